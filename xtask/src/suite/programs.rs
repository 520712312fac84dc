//! Tiers 1 and 2: test programs on this machine.

use std::process::Command;
use std::time::{Duration, Instant};

use relay_vm::process;
use relay_vm::progress::Step;

use super::libtest::Reader;
use super::report::{Counts, Report, Row};
use super::{Plan, Required};
use crate::build::{Build, TestProgram};
use crate::host;

/// The package of the tests that need root, a kernel with BPF, or the lab.
const PACKAGE: &str = "relay-tests";

/// Time limit of one program.
const DEADLINE: Duration = Duration::from_secs(900);

/// Its programs that tier 2 does not run.
const OF_TIER_3: [&str; 2] = ["lab", "browser"];

/// Tier 1: unit and property tests, and integration tests that run anywhere.
pub(super) fn unit(report: &mut Report, build: &Build, plan: &Plan) {
    let started = Instant::now();
    let mut counts = Counts::default();
    for program in build.tests.iter().filter(|program| !needs_kernel(program)) {
        let name = program.name();
        let what = format!("test: tier 1: {name}");
        let (found, failures) = captured(&what, program, build, &plan.filter, &[]);
        counts += found;
        report.name_failures(&name, &failures);
    }
    let what = "unit and property tests".to_owned();
    report.push(Row { tier: 1, what, counts, took: started.elapsed() });
}

/// Tier 2: the tests that need this machine's kernel.
pub(super) fn on_host(report: &mut Report, required: &Required, build: &Build, plan: &Plan) {
    let release = host::kernel_release();
    if find(build, "programs").is_none() {
        let what = format!("programs on Linux {release}");
        report.push(required.skip(2, &what, "bpf", "the test target `programs`"));
    }
    let programs = build.tests.iter().filter(|program| needs_kernel(program));
    for program in programs.filter(|program| !OF_TIER_3.contains(&program.target.as_str())) {
        let what = format!("{} on Linux {release}", program.target);
        let started = Instant::now();
        let step = format!("test: tier 2: {what}");
        let (counts, failures) = captured(&step, program, build, &plan.filter, &["--nocapture"]);
        report.name_failures(&what, &failures);
        report.push(Row { tier: 2, what, counts, took: started.elapsed() });
    }
}

/// Environment variable with the binary that tests run.
pub(super) const RELAY: &str = "RELAY_BIN";

/// The test program of this target.
pub(super) fn find<'a>(build: &'a Build, target: &str) -> Option<&'a TestProgram> {
    build.tests.iter().find(|program| needs_kernel(program) && program.target == target)
}

/// The command that runs a test program as `cargo test` would.
pub(super) fn command(program: &TestProgram, build: &Build) -> Command {
    let mut command = Command::new(&program.file);
    command.current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
    if let Ok(file) = build.binary("relay") {
        command.env(RELAY, file);
    }
    command
}

fn needs_kernel(program: &TestProgram) -> bool {
    program.kind == "test" && program.package == PACKAGE
}

/// Runs a test program and shows its output if a test failed. Returns the names of those too.
fn captured(
    what: &str,
    program: &TestProgram,
    build: &Build,
    filter: &[String],
    flags: &[&str],
) -> (Counts, Vec<String>) {
    let step = Step::start(what);
    let mut reader = Reader::default();
    let mut text = String::new();
    let mut skips = Vec::new();
    let outcome =
        process::follow(command(program, build).args(filter).args(flags), DEADLINE, |line| {
            if let Some(skip) = reader.line(line) {
                skips.push(skip.to_owned());
            }
            text += line;
            text.push('\n');
        });
    let failures = reader.failures().to_vec();
    let counts = match &outcome {
        Ok(code) => reader.finish(*code),
        Err(_) => Counts { failed: 1, ..reader.finish(0) },
    };
    let Counts { passed, failed, skipped } = counts;
    step.finish(&format!("{passed} passed, {failed} failed, {skipped} skipped"));
    for skip in skips {
        println!("skip: {skip}");
    }
    if counts.failed > 0 {
        eprintln!("{}", text.trim_end());
    }
    match outcome {
        Err(error) => eprintln!("{error:#}"),
        Ok(code) if code > 128 => eprintln!("{what}: killed by signal {}", code - 128),
        Ok(_) => {}
    }
    (counts, failures)
}
