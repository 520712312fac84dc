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
            let outcome = streamed(tier, what, "", |on_line| {
                let mut command = programs::command(program, build);
                command.args(arguments(tier, plan));
                process::follow(&mut command, plan.deadline, on_line)
            });
            outcome.put_into(report);
            return;
        }
        None => Series::ALL.to_vec(),
    };
    let mut machines = Vec::new();
    for series in kernels {
        let what = format!("lab on Linux {series}");
        if let Some(piece) = lacking {
            report.push(required.skip(tier, &what, "vm", &piece.what));
            continue;
        }
        match Kernel::fetch(series) {
            Ok(kernel) => machines.push((what, series, kernel)),
            Err(error) => {
                let thing = format!("a kernel for the virtual machine: {error:#}");
                report.push(required.skip(tier, &what, "vm", &thing));
            }
        }
    }
    // Each takes one of the host's processors; all at once take as long as the slowest.
    let several = machines.len() > 1;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = machines
            .into_iter()
            .map(|(what, series, kernel)| {
                let whose = if several { format!("{series}: ") } else { String::new() };
                scope.spawn(move || {
                    streamed(tier, what, &whose, |on_line| {
                        in_machine(tier, kernel, program, build, plan, on_line)
                    })
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join()).collect()
    });
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => outcome.put_into(report),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Runs the scenarios in a virtual machine, and returns the code that they ended with.
fn in_machine(
    tier: u8,
    kernel: Kernel,
    program: &Program,
    build: &Build,
    plan: &Plan,
    on_line: &mut dyn FnMut(&str),
) -> Result<i32> {
    let vm = machine(kernel, program, build)?;
    let words: Vec<_> = arguments(tier, plan).iter().map(|word| process::quote(word)).collect();
    // What tier 1 had to skip on a host without WireGuard is made up for here.
    let script = format!(
        "cd {} || exit; code=0; for program in network lab; do /bin/$program {} || code=1; done; \
         exit $code",
        process::quote(&program.directory.to_string_lossy()),
        words.join(" ")
    );
    vm.run(&script, plan.deadline, on_line)
}

/// Whether this host's kernel can make a WireGuard interface, tried in a throwaway namespace.
pub(crate) fn host_has_wireguard() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--net", "ip", "link", "add", "probe", "type", "wireguard"]);
    process::succeeds(&mut command)
}

/// Modules whose scenarios would make a whole run too long. Tier 4 has these, tier 3 all the others.
const ON_REQUEST: [&str; 2] = ["atomic::", "guard::"];

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

/// What came of one run of the scenarios.
struct Outcome {
    row: Row,
    failures: Vec<String>,
}

impl Outcome {
    fn put_into(self, report: &mut Report) {
        report.name_failures(&self.row.what, &self.failures);
        report.push(self.row);
    }
}

/// Runs the scenarios and passes on what they say as they say it, each line behind `whose`.
fn streamed(
    tier: u8,
    what: String,
    whose: &str,
    work: impl FnOnce(&mut dyn FnMut(&str)) -> Result<i32>,
) -> Outcome {
    let started = Instant::now();
    let mut step = Some(Step::start(format!("test: tier {tier}: {what}")));
    let mut reader = Reader::default();
    let outcome = work(&mut |line| {
        if let Some(step) = step.take() {
            step.vanish();
        }
        println!("{whose}{line}");
        if let Some(skip) = reader.line(line) {
            println!("{whose}skip: {skip}");
        }
    });
    let failures = reader.failures().to_vec();
    let counts = match outcome {
        Ok(code) => reader.finish(code),
        Err(error) => {
            eprintln!("{what}: {error:#}");
            // Whatever it said before, the run as a whole did not hold.
            let counts = reader.finish(0);
            Counts { failed: counts.failed.max(1), ..counts }
        }
    };
    Outcome { row: Row { tier, what, counts, took: started.elapsed() }, failures }
}
