//! Tiers 3 and 4: the lab, on this machine's kernel or in virtual machines.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use relay_vm::progress::Step;
use relay_vm::{Clock, Kernel, Machine, Series, process, same_path, workspace};

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
        None if host::has_wireguard() => {
            let what = format!("lab on Linux {}", host::kernel_release());
            let outcome = streamed(tier, what, "", |on_line| {
                let mut command = programs::command(program, build);
                command.args(arguments(tier, plan));
                process::follow(&mut command, plan.deadline, on_line)
            });
            outcome.push_to(report);
            return;
        }
        None => Series::ALL.to_vec(),
    };
    let mut fetched = Vec::new();
    for series in kernels {
        let what = format!("lab on Linux {series}");
        if let Some(piece) = lacking {
            report.push(required.skip(tier, &what, "vm", &piece.what));
            continue;
        }
        match Kernel::fetch(series) {
            Ok(kernel) => fetched.push((what, series, kernel)),
            Err(error) => {
                let thing = format!("a kernel for the virtual machine: {error:#}");
                report.push(required.skip(tier, &what, "vm", &thing));
            }
        }
    }
    // Each machine uses one processor of the host, so all together take as long as the slowest.
    let several = fetched.len() > 1;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = fetched
            .into_iter()
            .map(|(what, series, kernel)| {
                let prefix = if several { format!("{series}: ") } else { String::new() };
                scope.spawn(move || {
                    streamed(tier, what, &prefix, |on_line| {
                        in_machine(tier, kernel, program, build, plan, on_line)
                    })
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join()).collect()
    });
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => outcome.push_to(report),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Runs the scenarios in a virtual machine, those of [`TIMED`] in another, and returns their exit
/// code.
fn in_machine(
    tier: u8,
    kernel: Kernel,
    program: &TestProgram,
    build: &Build,
    plan: &Plan,
    on_line: &mut dyn FnMut(&str),
) -> Result<i32> {
    let mut machine = machine(kernel, program, build)?;
    machine.processors = plan.processors;
    let mut words = arguments(tier, plan);
    words.extend(TIMED.iter().flat_map(|module| ["--skip", module]).map(str::to_owned));
    let directory = process::quote(&program.directory.to_string_lossy());
    // `network` also has tests that need WireGuard, which a host without it skips in tier 2.
    let script = format!(
        "cd {directory} || exit; code=0; for program in network lab; do /bin/$program {} || code=1; \
         done; exit $code",
        quoted(&words)
    );
    let code = machine.run(&script, plan.deadline, on_line)?;
    let timed = timed(&arguments(tier, plan), program, build)?;
    if timed.is_empty() {
        return Ok(code);
    }
    machine.clock = Clock::Instructions { shift: SHIFT };
    let script = format!(
        "cd {directory} || exit; exec /bin/lab --exact {} {}",
        quoted(&timed),
        FLAGS.join(" ")
    );
    let timed_code = machine.run(&script, plan.deadline, on_line)?;
    Ok(if code == 0 { timed_code } else { code })
}

/// The scenarios of [`TIMED`] that these arguments select.
fn timed(arguments: &[String], program: &TestProgram, build: &Build) -> Result<Vec<String>> {
    let mut command = programs::command(program, build);
    let list = process::read(command.args(arguments).arg("--list"))?;
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let timed = names.filter(|name| TIMED.iter().any(|module| name.starts_with(module)));
    Ok(timed.map(str::to_owned).collect())
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| process::quote(word)).collect::<Vec<_>>().join(" ")
}

/// Modules with scenarios that take minutes: run in tier 4 only.
const LONG: [&str; 1] = ["atomic::"];

/// Modules with scenarios about the passing of time: run in a machine whose clock skips the time in
/// which it waits.
const TIMED: [&str; 1] = ["rules::time::"];

/// 2 ns per instruction: no work takes long by the guest's clock.
const SHIFT: u8 = 1;

const FLAGS: [&str; 2] = ["--test-threads=1", "--nocapture"];

fn arguments(tier: u8, plan: &Plan) -> Vec<String> {
    let skipped = LONG.iter().flat_map(|module| ["--skip", module]).map(str::to_owned);
    let selected: Vec<String> = match tier {
        3 => skipped.collect(),
        _ if plan.filter.is_empty() => LONG.map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    plan.filter.iter().cloned().chain(selected).chain(FLAGS.map(str::to_owned)).collect()
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
    for (variable, binary) in programs::BINARIES {
        let path = format!("/bin/{binary}");
        machine.files.push((build.binary(binary)?.to_owned(), PathBuf::from(&path)));
        machine.environment.insert(variable.to_owned(), path);
    }
    // At the paths that were compiled into the tests.
    machine.files.push(same_path(&workspace::root().join("examples")));
    machine.files.push(same_path(&program.directory.join("Cargo.toml")));
    machine
        .environment
        .insert("CARGO_MANIFEST_DIR".to_owned(), program.directory.to_string_lossy().into_owned());
    for name in [VARIABLE, "RUST_BACKTRACE", "RUST_LOG"] {
        if let Ok(value) = std::env::var(name) {
            machine.environment.insert(name.to_owned(), value);
        }
    }
    Ok(machine)
}

/// What one run of the scenarios found.
struct Outcome {
    row: Row,
    failures: Vec<String>,
}

impl Outcome {
    fn push_to(self, report: &mut Report) {
        report.name_failures(&self.row.what, &self.failures);
        report.push(self.row);
    }
}

/// Runs the scenarios and prints their output as it comes, each line after `prefix`.
fn streamed(
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
