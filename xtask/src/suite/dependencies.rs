//! The crates that relay and its programs are built from, by deny.toml: where they come from, under
//! which licence, in how many versions, and what is known against them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use relay_vm::progress::Step;
use relay_vm::{process, workspace};

use super::Required;
use super::lints::{check, require_success};
use super::report::Report;
use crate::setup::deny;

/// Each has a lock file. The second needs few of the exceptions in deny.toml.
const WORKSPACES: [(&str, &str); 2] = [("Cargo.toml", "-D"), ("relay-ebpf/Cargo.toml", "-A")];

/// What cargo-deny says of an exception that nothing needs.
const STALE: [&str; 4] = [
    "unmatched-skip",
    "unmatched-skip-root",
    "license-not-encountered",
    "license-exception-not-encountered",
];

/// Time to fetch the advisories.
const FETCH: Duration = Duration::from_secs(120);

pub(super) fn run(report: &mut Report, required: &Required) {
    let Some(program) = deny::program() else {
        for what in ["dependencies", "advisories"] {
            report.push(required.skip(0, what, "lints", "cargo-deny"));
        }
        return;
    };
    check(report, "dependencies", || judge(&program, &["bans", "licenses", "sources"]));
    match fetch(&program) {
        Ok(()) => check(report, "advisories", || judge(&program, &["advisories"])),
        Err(error) => {
            let thing = format!("the advisories of RustSec, which cannot be fetched: {error:#}");
            report.push(required.skip(0, "advisories", "advisories", &thing));
        }
    }
}

/// Runs these checks on both workspaces.
fn judge(program: &Path, checks: &[&str]) -> Result<()> {
    let mut first = Ok(());
    for (manifest, stale) in WORKSPACES {
        let mut command = deny(program, manifest);
        command.arg("check").args(STALE.iter().flat_map(|lint| [stale, lint])).args(checks);
        first = first.and(require_success(&mut command));
    }
    first
}

/// Fetches the advisories, as those of an earlier day would say nothing of what is known today.
fn fetch(program: &Path) -> Result<()> {
    let step = Step::start("test: tier 0: fetching advisories");
    let mut last = String::new();
    let (manifest, _) = WORKSPACES[0];
    let code = process::follow(deny(program, manifest).args(["fetch", "db"]), FETCH, |line| {
        if !line.trim().is_empty() {
            last = line.trim().to_owned();
        }
    });
    let is_fetched = matches!(code, Ok(0));
    step.finish(if is_fetched { "done" } else { "failed" });
    if code? != 0 {
        bail!("{last}");
    }
    Ok(())
}

fn deny(program: &Path, manifest: &str) -> Command {
    let root = workspace::root();
    let mut command = Command::new(program);
    command.args(["--locked", "--color", "never", "--manifest-path"]).arg(root.join(manifest));
    command.arg("--config").arg(root.join("deny.toml")).current_dir(root);
    command
}
