//! Tier 0: formatting, lints, layers.

use std::io::IsTerminal as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use relay_build::{Programs, Toolchain};
use relay_vm::progress::Step;
use relay_vm::{process, workspace};

use super::Required;
use super::report::{Counts, Report, Row};
use crate::layers;
use crate::setup::lints::{Tool, has_clippy};

/// What clippy checks, and its arguments. The demonstration builds without what only the suites need.
const CLIPPY: [(&str, &[&str]); 2] = [
    ("lints", &["--workspace", "--all-targets"]),
    (
        "lints of the demonstration",
        &["--package", "relay-tests", "--no-default-features", "--lib", "--bin=demo"],
    ),
];

/// Runs all checks; a failure does not stop later ones.
pub(super) fn run(report: &mut Report, required: &Required) {
    match Tool::Format.command() {
        None => report.push(required.skip(0, "formatting", "lints", "cargo fmt")),
        Some(_) => check(report, "formatting", formatting),
    }
    for (what, targets) in CLIPPY {
        match Tool::Clippy.command() {
            None => report.push(required.skip(0, what, "lints", "cargo clippy")),
            Some(mut command) => check(report, what, || {
                command.arg("--quiet").args(targets).args(["--", "-D", "warnings"]);
                require_success(command.current_dir(workspace::root()))
            }),
        }
    }
    match Toolchain::find() {
        Some(toolchain) if has_clippy(toolchain) => {
            check(report, "lints of the programs", || programs(toolchain));
        }
        Some(_) => {
            let thing = "clippy for the toolchain that builds for BPF";
            report.push(required.skip(0, "lints of the programs", "lints", thing));
        }
        None => {
            let thing = "a Rust toolchain that builds for BPF";
            report.push(required.skip(0, "lints of the programs", "ebpf", thing));
        }
    }
    check(report, "layers", || {
        let violations = layers::check(&workspace::root())?;
        if violations.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        bail!("{}", lines.join("\n"))
    });
}

/// Time limit of one check; enough for a first build on a slow machine.
const DEADLINE: Duration = Duration::from_secs(1200);

/// Runs a check and reports it as a row.
pub(super) fn check(report: &mut Report, what: &str, work: impl FnOnce() -> Result<()>) {
    let step = Step::start(format!("test: tier 0: {what}"));
    let started = Instant::now();
    let outcome = work();
    step.finish(if outcome.is_ok() { "passed" } else { "failed" });
    let (what, counts) = (what.to_owned(), Counts::of(outcome));
    report.push(Row { tier: 0, what, counts, took: started.elapsed() });
}

/// Checks the formatting of both workspaces.
fn formatting() -> Result<()> {
    let workspaces: [(&str, &[&str]); 2] =
        [("Cargo.toml", &["--all"]), ("relay-ebpf/Cargo.toml", &[])];
    let mut first = Ok(());
    for (manifest, arguments) in workspaces {
        let Some(mut command) = Tool::Format.command() else { continue };
        command.args(["--check", "--manifest-path"]);
        command.arg(workspace::root().join(manifest)).args(arguments);
        if !std::io::stderr().is_terminal() {
            command.args(["--", "--color", "never"]);
        }
        first = first.and(require_success(&mut command));
    }
    first
}

/// Fails with the command's output unless it exits with 0.
pub(super) fn require_success(command: &mut Command) -> Result<()> {
    let mut text = String::new();
    let code = process::follow(command, DEADLINE, |line| {
        text += line;
        text.push('\n');
    })?;
    if code != 0 {
        bail!("{}", text.trim_end());
    }
    Ok(())
}

/// Runs clippy on the programs, with the flags that they are compiled with.
fn programs(toolchain: Toolchain) -> Result<()> {
    let programs = Programs::of(toolchain, &workspace::root(), std::env::consts::ARCH)?;
    let mut command = programs.cargo("clippy")?;
    command.arg("--target-dir").arg(workspace::target().join("lints-ebpf"));
    require_success(command.args(["--", "-D", "warnings"]))
}
