//! Tiers 3 and 4: the lab and its long scenarios, on this host's kernel or in the virtual machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::libtest::Reader;
use super::programs::{self, Build, Program};
use super::require::VARIABLE;
use super::{Counts, Plan, Report, Required, Row};
use crate::progress::Step;
use crate::setup::Missing;
use crate::vm::kernel::{Kernel, Series};
use crate::vm::{Vm, same_path};
use crate::{process, workspace};

/// Runs the scenarios on every kernel that the plan asks for.
pub(super) fn run(
    tier: u8,
    report: &mut Report,
    required: &Required,
    build: &Build,
    plan: &Plan,
    lacking: Option<&Missing>,
) {
    let Some(program) = build.lab_test("lab") else {
        report.push(required.skip(tier, "lab", "wireguard", "the test target `lab`"));
        return;
    };
    let kernels = match plan.kernel {
        Some(series) => vec![series],
        None if host_has_wireguard() => {
            let what = format!("lab on Linux {}", programs::host_release());
            let started = Instant::now();
            let counts = streamed(tier, report, &what, |on_line| {
                let mut command = programs::command(program, build);
                command.args(arguments(tier, plan));
                process::follow(&mut command, plan.deadline, on_line)
            });
            report.push(Row { tier, what, counts, took: started.elapsed() });
            return;
        }
        None => Series::ALL.to_vec(),
    };
    for series in kernels {
        let what = format!("lab on Linux {series}");
        if let Some(piece) = lacking {
            report.push(required.skip(tier, &what, "vm", &piece.what));
            continue;
        }
        let kernel = match Kernel::fetch(series) {
            Ok(kernel) => kernel,
            Err(error) => {
                let thing = format!("a kernel for the virtual machine: {error:#}");
                report.push(required.skip(tier, &what, "vm", &thing));
                continue;
            }
        };
        let started = Instant::now();
        let counts = streamed(tier, report, &what, |on_line| {
            let vm = machine(kernel, program, build)?;
            let words: Vec<_> =
                arguments(tier, plan).iter().map(|word| process::quote(word)).collect();
            // What tier 1 had to skip on a host without WireGuard is made up for here.
            let script = format!(
                "{UNPATCHED}cd {} || exit; code=0; for program in network lab; do \
                 /bin/$program {} || code=1; done; exit $code",
                process::quote(&program.directory.to_string_lossy()),
                words.join(" ")
            );
            vm.run(&script, plan.deadline, on_line)
        });
        report.push(Row { tier, what, counts, took: started.elapsed() });
    }
}

/// Hooks that stay taken for as long as the machine runs, so that the kernel need not patch its code
/// when the first program or table comes and the last goes. QEMU emulates several processors that
/// may run into the breakpoint of a patch after it is gone, which is an oops (int3) in the guest.
const UNPATCHED: &str = "\
    ip link add taken type dummy && tc qdisc add dev taken clsact && nft add table inet taken || exit; \
    for hook in prerouting input forward output postrouting; do \
    nft add chain inet taken $hook \"{ type filter hook $hook priority 0; }\" || exit; done; ";

/// Whether this host's kernel can make a WireGuard interface, tried in a throwaway namespace.
pub(crate) fn host_has_wireguard() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--net", "ip", "link", "add", "probe", "type", "wireguard"]);
    process::succeeds(&mut command)
}

/// Modules whose scenarios would make a whole run too long. Tier 4 has these, tier 3 all the others.
const ON_REQUEST: [&str; 2] = ["atomic::", "verbs::"];

fn arguments(tier: u8, plan: &Plan) -> Vec<String> {
    let flags = ["--test-threads=1", "--nocapture"].map(str::to_owned);
    let skipped = ON_REQUEST.iter().flat_map(|module| ["--skip", module]).map(str::to_owned);
    let which: Vec<String> = match tier {
        3 => skipped.collect(),
        _ if plan.filter.is_empty() => ON_REQUEST.map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    plan.filter.iter().cloned().chain(which).chain(flags).collect()
}

/// The machine with the test program, the `relay` binary, and what the tests read.
fn machine(kernel: Kernel, program: &Program, build: &Build) -> Result<Vm> {
    let mut vm = Vm::new(kernel);
    vm.files.push((program.file.clone(), PathBuf::from("/bin/lab")));
    let network = build.network_test().context("the relay package has no test `network`")?;
    vm.files.push((network.file.clone(), PathBuf::from("/bin/network")));
    vm.files.push((build.binary("relay")?.to_path_buf(), PathBuf::from("/bin/relay")));
    // Found where the tests were compiled, so that their paths hold.
    let data = [workspace::root().join("examples"), program.directory.clone()];
    vm.files.extend(data.iter().filter(|path| path.is_dir()).map(|path| same_path(path)));
    vm.environment.insert("RELAY_BIN".to_owned(), "/bin/relay".to_owned());
    vm.environment
        .insert("CARGO_MANIFEST_DIR".to_owned(), program.directory.to_string_lossy().into_owned());
    for name in [VARIABLE, "RUST_BACKTRACE", "RUST_LOG"] {
        if let Ok(value) = std::env::var(name) {
            vm.environment.insert(name.to_owned(), value);
        }
    }
    Ok(vm)
}

/// Runs the scenarios and passes on what they say as they say it.
fn streamed(
    tier: u8,
    report: &mut Report,
    what: &str,
    work: impl FnOnce(&mut dyn FnMut(&str)) -> Result<i32>,
) -> Counts {
    let mut step = Some(Step::start(format!("test: tier {tier}: {what}")));
    let mut reader = Reader::default();
    let outcome = work(&mut |line| {
        if let Some(step) = step.take() {
            step.vanish();
        }
        println!("{line}");
        if let Some(skip) = reader.line(line) {
            println!("skip: {skip}");
        }
    });
    report.name_failures(what, reader.failures());
    match outcome {
        Ok(code) => reader.finish(code),
        Err(error) => {
            eprintln!("{what}: {error:#}");
            // Whatever it said before, the run as a whole did not hold.
            let counts = reader.finish(0);
            Counts { failed: counts.failed.max(1), ..counts }
        }
    }
}
