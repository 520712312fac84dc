//! Tiers 3 and 4: the lab, on this machine's kernel or in virtual machines.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use relay_vm::progress::Step;
use relay_vm::{Architecture, Clock, Kernel, Machine, Series, process, same_path, workspace};

use super::libtest::Reader;
use super::programs;
use super::report::{Counts, Report, Row};
use super::require::VARIABLE;
use super::{Plan, Required};
use crate::build::{Build, TestProgram};
use crate::host;
use crate::setup::Missing;

/// Runs the scenarios on each kernel of the plan; `lacking` is a part of the setup that is missing.
pub(super) fn run(
    tier: u8,
    report: &mut Report,
    required: &Required,
    build: &Build,
    plan: &Plan,
    lacking: Option<&Missing>,
) {
    let Some(program) = programs::find(build, "lab") else {
        report.push(required.skip(tier, "lab", "wireguard", "the test target `lab`"));
        return;
    };
    let kernels = match plan.kernel {
        Some(series) => vec![series],
        None if plan.architecture.is_own() && host::has_wireguard() => {
            let what = format!("lab on Linux {}", host::kernel_release());
            let outcome = streamed(tier, what, "", |on_line| {
                let mut command = programs::command(program, build);
                command.args(arguments(tier, plan, Kernels::One));
                process::follow(&mut command, plan.deadline, on_line)
            });
            outcome.push_to(report);
            return;
        }
        None => Series::ALL.to_vec(),
    };
    let mut fetched = Vec::new();
    for series in kernels {
        let what = match plan.architecture {
            Architecture::Amd64 => format!("lab on Linux {series}"),
            Architecture::Arm64 => format!("lab on Linux {series}, {}", plan.architecture),
        };
        if let Some(piece) = lacking {
            report.push(required.skip(tier, &what, "vm", &piece.what));
            continue;
        }
        match Kernel::fetch_for(series, plan.architecture) {
            Ok(kernel) => fetched.push((what, series, kernel)),
            Err(error) => {
                let thing = format!("a kernel for the virtual machine: {error:#}");
                report.push(required.skip(tier, &what, "vm", &thing));
            }
        }
    }
    let several = fetched.len() > 1;
    let of_kernel = |series: Series| match (several, series == Series::ALL[0]) {
        (false, _) => Kernels::One,
        (true, true) => Kernels::Newest,
        (true, false) => Kernels::Other,
    };
    let timed = fetched.iter().map(|(_, series, kernel)| {
        timed(&arguments(tier, plan, of_kernel(*series)), kernel, program, build)
    });
    let timed: Vec<_> = match timed.collect::<Result<_>>() {
        Ok(timed) => timed,
        Err(error) => {
            eprintln!("lab: {error:#}");
            report.push(Row::failure(tier, "lab", Duration::ZERO));
            return;
        }
    };
    let run = |&(kernel, part): &(usize, Part<'_>)| {
        let (what, series, kernel) = &fetched[kernel];
        let prefix = if several { format!("{series}: ") } else { String::new() };
        streamed(tier, what.clone(), &prefix, |on_line| {
            let mut machine = machine(kernel.clone(), program, build)?;
            machine.parameters.clone_from(&plan.parameters);
            let arguments = arguments(tier, plan, of_kernel(*series));
            let script = part.prepare(&mut machine, &arguments, program, tier, plan);
            machine.run(&script, plan.deadline, on_line)
        })
    };
    // Each machine uses one processor of the host. In this order two processors are done at about the
    // same time.
    let kernels = 0..fetched.len();
    let is_split = several && tier == 3 && plan.filter.is_empty();
    let newest = kernels.clone().find(|kernel| of_kernel(fetched[*kernel].1) == Kernels::Newest);
    let once = |modules| {
        let kernel = newest.filter(|_| is_split);
        kernel.map(|kernel| (kernel, Part::Untimed(Share::Of(modules))))
    };
    let untimed = |kernel: usize| match of_kernel(fetched[kernel].1) {
        Kernels::Newest if is_split => (kernel, Part::Untimed(Share::OfEach)),
        Kernels::One | Kernels::Newest | Kernels::Other => (kernel, Part::Untimed(Share::All)),
    };
    let mut runs: Vec<_> = once(&ONCE[..HALF]).into_iter().collect();
    runs.extend(kernels.clone().rev().map(untimed));
    runs.extend(once(&ONCE[HALF..]));
    let timed = timed.iter().enumerate().filter(|(_, names)| !names.is_empty());
    runs.extend(timed.map(|(kernel, names)| (kernel, Part::Timed(names.as_slice()))));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(one) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((one.0, run(one)));
        }
        done
    };
    let mut done: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let workers: Vec<_> = kernels.map(|_| scope.spawn(worker)).collect();
        let join = |worker: ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    });
    done.sort_by_key(|(kernel, _)| *kernel);
    let mut whole: Vec<Outcome> = Vec::new();
    for (_, outcome) in done {
        match whole.last_mut() {
            Some(last) if last.row.what == outcome.row.what => last.add(outcome),
            _ => whole.push(outcome),
        }
    }
    whole.into_iter().for_each(|outcome| outcome.push_to(report));
}

/// The scenarios of one machine.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// Of all but those of [`TIMED`].
    Untimed(Share),
    /// These.
    Timed(&'a [String]),
}

/// How many of the scenarios one machine has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    /// All of them.
    All,
    /// Those that run on each kernel.
    OfEach,
    /// Those of these modules.
    Of(&'static [&'static str]),
}

impl Part<'_> {
    /// Sets the machine up for them, and returns what it runs.
    fn prepare(
        self,
        machine: &mut Machine,
        arguments: &[String],
        program: &TestProgram,
        tier: u8,
        plan: &Plan,
    ) -> String {
        let directory = process::quote(&program.directory.to_string_lossy());
        match self {
            Self::Untimed(share) => {
                machine.processors = plan.processors;
                let mut words = arguments.to_vec();
                words.extend(skip(&TIMED));
                match share {
                    Share::All => {}
                    Share::OfEach => words.extend(skip(&ONCE)),
                    Share::Of(modules) => {
                        words.extend(modules.iter().map(|&module| module.to_owned()));
                    }
                }
                let lab = format!("/bin/lab {}", quoted(&words));
                // It also has tests that need WireGuard, which a host without it skips in tier 2.
                let network = quoted(&self::arguments(tier, plan, Kernels::One));
                let network = format!("/bin/network {network}");
                match share {
                    Share::Of(_) => format!("cd {directory} || exit; exec {lab}"),
                    Share::All | Share::OfEach => format!(
                        "cd {directory} || exit; code=0; {network} || code=1; {lab} || code=1; \
                         exit $code"
                    ),
                }
            }
            Self::Timed(names) => {
                machine.clock = Clock::Instructions { shift: SHIFT };
                format!(
                    "cd {directory} || exit; exec /bin/lab --exact {} {}",
                    quoted(names),
                    FLAGS.join(" ")
                )
            }
        }
    }
}

/// The scenarios of [`TIMED`] that these arguments select. The test program lists them: in a virtual
/// machine, if this one does not run it.
fn timed(
    arguments: &[String],
    kernel: &Kernel,
    program: &TestProgram,
    build: &Build,
) -> Result<Vec<String>> {
    let list = if kernel.architecture.is_own() {
        let mut command = programs::command(program, build);
        process::read(command.args(arguments).arg("--list"))?
    } else {
        let mut list = String::new();
        let directory = process::quote(&program.directory.to_string_lossy());
        let script = format!("cd {directory} || exit; exec /bin/lab {} --list", quoted(arguments));
        let code = machine(kernel.clone(), program, build)?.run(&script, LISTING, &mut |line| {
            list += line;
            list.push('\n');
        })?;
        ensure!(code == 0, "the lab cannot list its scenarios:\n{list}");
        list
    };
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let timed = names.filter(|name| TIMED.iter().any(|module| name.starts_with(module)));
    Ok(timed.map(str::to_owned).collect())
}

/// Time limit of that machine.
const LISTING: Duration = Duration::from_secs(180);

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| process::quote(word)).collect::<Vec<_>>().join(" ")
}

/// Modules with scenarios that take minutes: run in tier 4 only.
const LONG: [&str; 17] = [
    "atomic::",
    // What is left behind, and beside a relay; that packets arrive is of tier 3.
    "bench::a_",
    "closed::a_read",
    "faults::",
    "full::",
    "interface::",
    "many::",
    "mesh::across::hops",
    "mesh::failover::",
    "mesh::moves::",
    "mesh::repeated::",
    "mesh::split::",
    "mesh::wrong::",
    "neighbours::programs_of_others_in_front",
    "policy::an_address",
    "sessions::",
    "soak::",
];

/// Scenarios about the passing of time, or with speeds: run in a machine whose clock counts
/// instructions, and skips the time in which it waits.
const TIMED: [&str; 10] = [
    "fairness::",
    "follow::a_peer",
    "limits::tcp_",
    "mesh::address::",
    "mesh::failover::",
    "mesh::moves::",
    "mesh::repeated::",
    "mesh::split::",
    "rules::time::",
    "sessions::time::",
];

/// Environment variables that say how much the scenarios of [`LONG`] do.
const SETTINGS: [&str; 2] = ["RELAY_SOAK_MINUTES", "RELAY_FAULTS_EVERY"];

/// 2 ns per instruction: no work takes long by the guest's clock.
const SHIFT: u8 = 1;

pub(super) const FLAGS: [&str; 2] = ["--test-threads=1", "--nocapture"];

/// Scenarios in which the kernel's version matters least. Of several kernels, tier 3 runs
/// them on the newest, and tier 4 on the others.
const ONCE: [&str; 32] = [
    "another::",
    "authority::",
    "bench::",
    "beside::",
    "clock::",
    "closed::a_pinned",
    "egress::",
    "environment::",
    "explain::",
    "fairness::",
    "follow::",
    "guard::",
    "host::",
    "learn::",
    "limits::",
    "mesh::",
    "missing::",
    "names::",
    "nat::",
    "neighbours::",
    "own_tunnel::",
    "rules::change::",
    "rules::lend::",
    "rules::oneway::",
    "rules::seen::",
    "rules::time::",
    // And `observe::`.
    "serve::",
    "shapes::one_to_many",
    "trace::",
    "trial::",
    "verbs::",
    "versions::",
];

/// Of [`ONCE`], the modules before this one take about as long as those from it on.
const HALF: usize = 20;

/// On how many kernels the scenarios run, and which of them this one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernels {
    One,
    Newest,
    Other,
}

fn arguments(tier: u8, plan: &Plan, kernels: Kernels) -> Vec<String> {
    let is_whole = plan.filter.is_empty();
    let selected = match (tier, kernels) {
        (3, Kernels::Other) if is_whole => [skip(&LONG), skip(&ONCE)].concat(),
        (3, _) => skip(&LONG),
        (_, Kernels::Other) if is_whole => {
            LONG.iter().chain(&ONCE).map(|&it| it.to_owned()).collect()
        }
        _ if is_whole => LONG.map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    plan.filter.iter().cloned().chain(selected).chain(FLAGS.map(str::to_owned)).collect()
}

fn skip(modules: &[&str]) -> Vec<String> {
    modules.iter().flat_map(|module| ["--skip", module]).map(str::to_owned).collect()
}

/// A machine with the test programs, the `relay` binary, and the files that the tests read.
fn machine(kernel: Kernel, program: &TestProgram, build: &Build) -> Result<Machine> {
    let mut machine = Machine::new(kernel);
    let network = programs::find(build, "network").context("the build made no test `network`")?;
    for (file, path) in
        [(program.file.as_path(), "/bin/lab"), (network.file.as_path(), "/bin/network")]
    {
        machine.files.push((file.to_owned(), PathBuf::from(path)));
    }
    let (relay, inside) = (build.binary("relay")?, "/bin/relay");
    machine.files.push((relay.to_owned(), PathBuf::from(inside)));
    machine.environment.insert(programs::RELAY.to_owned(), inside.to_owned());
    // At the paths that were compiled into the tests.
    machine.files.push(same_path(&workspace::root().join("examples")));
    machine.files.push(same_path(&program.directory.join("Cargo.toml")));
    machine
        .environment
        .insert("CARGO_MANIFEST_DIR".to_owned(), program.directory.to_string_lossy().into_owned());
    for name in [VARIABLE, "RUST_BACKTRACE", "RUST_LOG"].into_iter().chain(SETTINGS) {
        if let Ok(value) = std::env::var(name) {
            machine.environment.insert(name.to_owned(), value);
        }
    }
    Ok(machine)
}

/// What one run of the scenarios found.
pub(super) struct Outcome {
    row: Row,
    failures: Vec<String>,
}

impl Outcome {
    /// Adds another part of the same.
    fn add(&mut self, other: Self) {
        self.row.counts += other.row.counts;
        self.row.took += other.row.took;
        self.failures.extend(other.failures);
    }

    pub(super) fn push_to(self, report: &mut Report) {
        report.name_failures(&self.row.what, &self.failures);
        report.push(self.row);
    }
}

/// Runs the scenarios and prints their output as it comes, each line after `prefix`.
pub(super) fn streamed(
    tier: u8,
    what: String,
    prefix: &str,
    work: impl FnOnce(&mut dyn FnMut(&str)) -> Result<i32>,
) -> Outcome {
    let started = Instant::now();
    let mut step = Some(Step::start(format!("test: tier {tier}: {what}")));
    let mut reader = Reader::default();
    let outcome = work(&mut |line| {
        if let Some(step) = step.take() {
            step.vanish();
        }
        println!("{prefix}{line}");
        if let Some(skip) = reader.line(line) {
            println!("{prefix}skip: {skip}");
        }
    });
    let failures = reader.failures().to_vec();
    let counts = match outcome {
        Ok(code) => reader.finish(code),
        Err(error) => {
            eprintln!("{what}: {error:#}");
            // The run failed as a whole, even if all tests that ran passed.
            let counts = reader.finish(0);
            Counts { failed: counts.failed.max(1), ..counts }
        }
    };
    Outcome { row: Row { tier, what, counts, took: started.elapsed() }, failures }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_kernel_skips_another_or_another_tier_runs() {
        let plan = |filter: &[&str]| Plan {
            tiers: vec![3],
            kernel: None,
            architecture: Architecture::Amd64,
            parameters: Vec::new(),
            processors: 1,
            filter: filter.iter().map(|&word| word.to_owned()).collect(),
            deadline: Duration::ZERO,
        };
        let names = |tier, filter: &[&str], kernels| {
            let mut words = arguments(tier, &plan(filter), kernels);
            words.truncate(words.len() - FLAGS.len());
            words.join(" ")
        };
        let long = LONG.map(|module| format!("--skip {module}")).join(" ");
        assert_eq!(names(3, &[], Kernels::One), long);
        assert_eq!(names(3, &[], Kernels::Newest), long);
        let skipped = names(3, &[], Kernels::Other);
        let run = names(4, &[], Kernels::Other);
        for module in ONCE {
            assert!(skipped.contains(&format!("--skip {module}")), "{skipped}");
            assert!(run.contains(module), "{run}");
        }
        assert_eq!(names(4, &[], Kernels::Newest), LONG.join(" "));
        // What is asked for runs on each.
        assert_eq!(names(3, &["guard::"], Kernels::Other), format!("guard:: {long}"));
        assert_eq!(names(4, &["guard::"], Kernels::Other), "guard::");
    }
}
