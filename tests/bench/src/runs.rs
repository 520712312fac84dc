//! Runs the `bench` program, in the virtual machine and on this host, and collects its rows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relay_vm::progress::Step;
use relay_vm::{Clock, Kernel, Machine, Series, process, same_path, workspace};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::document::Document;
use crate::rows::{Excuse, Host};

/// Far more than a measurement takes.
const DEADLINE: Duration = Duration::from_secs(3600);

/// 32 ns per instruction: slow enough that timers of the guest seldom fire.
const SHIFT: u8 = 5;

/// 4 ns per instruction: fast enough that periodic work of the kernel hardly counts.
const FAST: u8 = 2;

/// 1 ns per instruction, as on a machine: timers of seconds fire as they do there.
const PLAIN: u8 = 0;

/// Numbers of peers.
const SIZES: &str = "10,1000,10000,100000";
const QUICK_SIZES: &str = "10,1000";

/// What to measure.
pub struct Plan<'a> {
    /// In this order.
    pub subjects: &'a [Subject],
    /// Fewer sizes, one kernel, fewer rounds.
    pub quick: bool,
    /// The program `bench` of this package, optimised.
    pub bench: &'a Path,
    /// The `relay` binary, optimised.
    pub relay: &'a Path,
}

/// A kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// Guest instructions per packet.
    Instructions,
    /// Guest instructions per packet of a flow: by lists, by a rule, with nftables.
    Flows,
    /// Nanoseconds per packet on this machine.
    Native,
    /// Nanoseconds per run of the program, on one processor and on two at once.
    Processors,
    /// Time and memory of a policy.
    Memory,
    /// Cost of commands of a running relay.
    Commands,
    /// Guest instructions of the guard, alone and in a flood.
    Guard,
    /// Memory, bytes and time of the gossip between relays.
    Mesh,
}

impl Subject {
    /// All of them, in the order measured.
    pub const ALL: [Self; 8] = [
        Self::Instructions,
        Self::Flows,
        Self::Native,
        Self::Processors,
        Self::Memory,
        Self::Commands,
        Self::Guard,
        Self::Mesh,
    ];
}

/// Measures all subjects of the plan.
///
/// # Errors
/// A virtual machine does not boot, or a measurement fails.
pub fn measure(plan: &Plan<'_>) -> Result<Document> {
    let Plan { bench, relay, .. } = *plan;
    let mut document = Document::new(today()?, commit(), plan.quick, host()?);
    for subject in plan.subjects {
        match subject {
            Subject::Instructions => instructions(&mut document, bench)?,
            Subject::Flows => flows(&mut document, bench)?,
            Subject::Native => native(&mut document, bench)?,
            Subject::Processors => processors(&mut document, bench)?,
            Subject::Memory => memory(&mut document, bench)?,
            Subject::Commands => commands(&mut document, bench, relay)?,
            Subject::Guard => guard(&mut document, bench, relay)?,
            Subject::Mesh => mesh(&mut document, bench)?,
        }
    }
    Ok(document)
}

fn instructions(document: &mut Document, bench: &Path) -> Result<()> {
    for &series in kernels(document) {
        let mut machine = Machine::new(Kernel::fetch(series)?);
        machine.clock = Clock::Instructions { shift: SHIFT };
        machine.files.push((bench.to_path_buf(), PathBuf::from("/bin/bench")));
        for tool in ["iptables-legacy-restore", "ip6tables-legacy-restore"] {
            let file = process::find(tool).with_context(|| format!("{tool} is not installed"))?;
            machine.files.push((file, PathBuf::from("/usr/bin").join(tool)));
        }
        machine.files.push(same_path(&iptables_extensions()?));
        let command = format!("exec /bin/bench instructions --peers {}", sizes(document));
        let subject = format!("instructions on {series}");
        let rows = follow(&subject, |on_line| machine.run(&command, DEADLINE, on_line))?;
        let kernel = series.to_string();
        for mut row in rows {
            row["kernel"] = kernel.clone().into();
            keep(row, &subject, &mut document.instructions, &mut document.excuses)?;
        }
    }
    Ok(())
}

fn flows(document: &mut Document, bench: &Path) -> Result<()> {
    for &series in kernels(document) {
        let mut machine = Machine::new(Kernel::fetch(series)?);
        machine.clock = Clock::Instructions { shift: SHIFT };
        machine.files.push((bench.to_path_buf(), PathBuf::from("/bin/bench")));
        let subject = format!("flows on {series}");
        let rows =
            follow(&subject, |on_line| machine.run("exec /bin/bench flows", DEADLINE, on_line))?;
        for mut row in rows {
            row["kernel"] = series.to_string().into();
            keep(row, &subject, &mut document.flows, &mut document.excuses)?;
        }
    }
    Ok(())
}

fn native(document: &mut Document, bench: &Path) -> Result<()> {
    document.host.load = load()?;
    let mut arguments = vec!["native", "--peers", sizes(document)];
    if document.quick {
        arguments.extend(["--rounds", "2", "--runs", "5"]);
    }
    for row in on_host(bench, "native", &arguments)? {
        keep(row, "native", &mut document.native, &mut document.excuses)?;
    }
    for row in on_host(bench, "the program alone", &["alone", "--peers", sizes(document)])? {
        keep(row, "alone", &mut document.alone, &mut document.excuses)?;
    }
    Ok(())
}

fn processors(document: &mut Document, bench: &Path) -> Result<()> {
    document.host.load = load()?;
    for row in on_host(bench, "two processors", &["processors"])? {
        keep(row, "processors", &mut document.processors, &mut document.excuses)?;
    }
    Ok(())
}

fn memory(document: &mut Document, bench: &Path) -> Result<()> {
    let sizes: &[&str] = if document.quick { &["10000"] } else { &["100", "10000", "100000"] };
    for shape in ["pairs", "one-to-many", "mesh", "rules"] {
        for peers in sizes {
            let subject = format!("{shape} of {peers} peers");
            // A process each: memory is counted from its start.
            let arguments = ["memory", "--shape", shape, "--peers", peers];
            for row in on_host(bench, &subject, &arguments)? {
                keep(row, "memory", &mut document.memory, &mut document.excuses)?;
            }
        }
    }
    Ok(())
}

/// Counts instructions in the virtual machine, which has WireGuard, and times one command on this
/// host.
fn commands(document: &mut Document, bench: &Path, relay: &Path) -> Result<()> {
    let sizes = if document.quick { "4" } else { "4,10000,100000" };
    let mut machine = Machine::new(Kernel::fetch(Series::ALL[0])?);
    // 100 000 peers, in the kernel and in the configuration.
    machine.memory_mib = 4096;
    machine.files.push((bench.to_path_buf(), PathBuf::from("/bin/bench")));
    machine.files.push((relay.to_path_buf(), PathBuf::from("/bin/relay")));
    let changed = if document.quick { "1000" } else { "1000,10000,100000" };
    for (subject, sizes, shift) in [
        ("commands", sizes, SHIFT),
        ("changes", changed, SHIFT),
        ("takeover", "1000", PLAIN),
        ("takeover", "10000", PLAIN),
    ] {
        machine.clock = Clock::Instructions { shift };
        let command =
            format!("exec /bin/bench {subject} --relay /bin/relay --peers {sizes} --shift {shift}");
        for row in follow(subject, |on_line| machine.run(&command, DEADLINE, on_line))? {
            keep(row, "commands", &mut document.commands, &mut document.excuses)?;
        }
    }
    let relay = relay.to_string_lossy();
    let arguments = ["commands", "--relay", &relay, "--peers", sizes];
    for row in on_host(bench, "the pace of this machine", &arguments)? {
        keep(row, "pace", &mut document.pace, &mut document.excuses)?;
    }
    Ok(())
}

fn guard(document: &mut Document, bench: &Path, relay: &Path) -> Result<()> {
    for &series in kernels(document) {
        let mut machine = Machine::new(Kernel::fetch(series)?);
        machine.clock = Clock::Instructions { shift: FAST };
        machine.files.push((bench.to_path_buf(), PathBuf::from("/bin/bench")));
        machine.files.push((relay.to_path_buf(), PathBuf::from("/bin/relay")));
        machine.environment.insert("RELAY_BIN".to_owned(), "/bin/relay".to_owned());
        let chrt = process::find("chrt").context("chrt, of util-linux, is not installed")?;
        machine.files.push((chrt, PathBuf::from("/bin/chrt")));
        let command = format!("exec /bin/bench guard --shift {FAST}");
        let subject = format!("the guard on {series}");
        for mut row in follow(&subject, |on_line| machine.run(&command, DEADLINE, on_line))? {
            row["kernel"] = series.to_string().into();
            let (guard, excuses) = (&mut document.guard, &mut document.excuses);
            if row.get("frame").is_some() {
                keep(row, &subject, &mut guard.alone, excuses)?;
            } else if row.get("flood").is_some() {
                keep(row, &subject, &mut guard.floods, excuses)?;
            } else {
                keep(row, &subject, &mut guard.sieges, excuses)?;
            }
        }
    }
    Ok(())
}

/// Relays and peers of sites, and of a thousand datagrams those that are lost; over UDP without it.
const SITES: [(&str, &str, Option<&str>); 7] = [
    ("3", "30000", None),
    ("3", "30000", Some("0")),
    ("50", "10000", Some("0")),
    ("50", "100000", Some("0")),
    ("50", "100000", Some("10")),
    ("50", "200000", Some("0")),
    ("50", "400000", Some("0")),
];

fn mesh(document: &mut Document, bench: &Path) -> Result<()> {
    let sites = if document.quick { &SITES[..2] } else { &SITES[..] };
    for (relays, peers, lost) in sites {
        let subject = format!("gossip of {relays} relays with {peers} peers");
        // A process each: memory is counted from its start.
        let mut arguments = vec!["mesh", "--relays", relays, "--peers", peers];
        arguments.extend(lost.iter().flat_map(|lost| ["--lost", lost]));
        for row in on_host(bench, &subject, &arguments)? {
            keep(row, "mesh", &mut document.mesh, &mut document.excuses)?;
        }
    }
    Ok(())
}

fn kernels(document: &Document) -> &'static [Series] {
    if document.quick { &Series::ALL[..1] } else { &Series::ALL }
}

fn sizes(document: &Document) -> &'static str {
    if document.quick { QUICK_SIZES } else { SIZES }
}

/// Adds a row to the figures or to the excuses.
fn keep<T: DeserializeOwned>(
    row: Value,
    subject: &str,
    rows: &mut Vec<T>,
    excuses: &mut Vec<Excuse>,
) -> Result<()> {
    if row.get("excuse").is_some() {
        let excuse: Excuse = serde_json::from_value(row)?;
        excuses.push(Excuse { subject: subject.to_owned(), ..excuse });
    } else {
        rows.push(serde_json::from_value(row).context("unexpected row of the bench program")?);
    }
    Ok(())
}

fn on_host(bench: &Path, subject: &str, arguments: &[&str]) -> Result<Vec<Value>> {
    follow(subject, |on_line| {
        process::follow(Command::new(bench).args(arguments), DEADLINE, on_line)
    })
}

/// Runs the bench program, shows its progress, and returns its rows.
fn follow(
    subject: &str,
    run: impl FnOnce(&mut dyn FnMut(&str)) -> Result<i32>,
) -> Result<Vec<Value>> {
    let what = format!("bench: {subject}");
    let mut step = Step::start(what.as_str());
    let mut rows = Vec::new();
    let mut text = String::new();
    let mut at = None;
    let code = run(&mut |line| match serde_json::from_str::<Value>(line) {
        Ok(row) if row.is_object() => {
            let layer = row["layer"].as_str().unwrap_or_default().to_owned();
            let now = row["peers"].as_u64().map(|peers| (layer, peers));
            if let Some((layer, peers)) = &now
                && row.get("excuse").is_none()
                && at != now
            {
                step.show(&format!("{what}: {layer} at {peers} peers"));
                at = now;
            }
            rows.push(row);
        }
        _ => {
            text += line;
            text.push('\n');
        }
    })?;
    if code != 0 {
        step.finish("failed");
        bail!("{what} failed with exit code {code}:\n{}", text.trim_end());
    }
    if rows.is_empty() {
        step.finish("failed");
        bail!("{what}: expected figures, found:\n{}", text.trim_end());
    }
    step.finish(&format!("{} figures", rows.len()));
    Ok(rows)
}

/// The directory from which iptables loads its extensions.
fn iptables_extensions() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = vec!["/usr/lib/xtables".into()];
    if let Ok(entries) = std::fs::read_dir("/usr/lib") {
        places.extend(entries.flatten().map(|entry| entry.path().join("xtables")));
    }
    places
        .into_iter()
        .find(|place| place.is_dir())
        .context("found no directory with extensions of iptables")
}

fn host() -> Result<Host> {
    let read =
        |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let processors = read("/proc/cpuinfo")?;
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(Host {
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        processor: model.map_or("unknown", |(_, name)| name.trim()).to_owned(),
        processors: std::thread::available_parallelism()?.get(),
        load: load()?,
    })
}

fn load() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .context("/proc/loadavg does not start with a number")
}

fn today() -> Result<String> {
    Ok(process::read(Command::new("date").args(["-u", "+%F"]))?.trim().to_owned())
}

fn commit() -> String {
    let mut command = Command::new("git");
    command.args(["describe", "--always", "--dirty"]).current_dir(workspace::root());
    process::read(&mut command).map_or_else(|_no_git| String::new(), |text| text.trim().to_owned())
}
