//! Tier 0: formatting, lints, layers.

use std::io::IsTerminal as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{Report, Required, check};
use crate::setup::ebpf::Toolchain;
use crate::setup::lints::Tool;
use crate::{layers, process, workspace};

/// Runs every check, whatever came of the others.
pub(super) fn run(report: &mut Report, required: &Required) {
    match Tool::Format.command() {
        None => report.push(required.skip(0, "formatting", "lints", "cargo fmt")),
        Some(_) => check(report, "formatting", || {
            let mut complaints = String::new();
            let workspaces: [(&str, &[&str]); 2] =
                [("Cargo.toml", &["--all"]), ("relay-ebpf/Cargo.toml", &[])];
            for (manifest, arguments) in workspaces {
                let Some(mut command) = Tool::Format.command() else { continue };
                command.args(["--check", "--manifest-path"]);
                command.arg(workspace::root().join(manifest)).args(arguments);
                if !std::io::stderr().is_terminal() {
                    command.args(["--", "--color", "never"]);
                }
                complaints += &complaint(&mut command)?.unwrap_or_default();
            }
            Ok((!complaints.is_empty()).then_some(complaints))
        }),
    }
    match Tool::Clippy.command() {
        None => report.push(required.skip(0, "lints", "lints", "cargo clippy")),
        Some(mut command) => check(report, "lints", || {
            command.args(["--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]);
            complaint(command.current_dir(workspace::root()))
        }),
    }
    match Toolchain::find() {
        Some(toolchain) if toolchain.has_clippy() => {
            check(report, "lints of the programs", || complaint(&mut ebpf_clippy(toolchain)));
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
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        Ok((!lines.is_empty()).then(|| lines.join("\n")))
    });
}

/// Long enough for a first build on a slow machine.
const DEADLINE: Duration = Duration::from_secs(1200);

/// What the command said, if it failed.
fn complaint(command: &mut Command) -> Result<Option<String>> {
    let mut said = String::new();
    let code = process::follow(command, DEADLINE, |line| {
        said += line;
        said.push('\n');
    })?;
    Ok((code != 0).then_some(said))
}

/// The same flags as in relay's build script.
fn ebpf_clippy(toolchain: Toolchain) -> Command {
    let mut command = toolchain.cargo();
    command.args(["clippy", "--quiet", "--release", "--target", "bpfel-unknown-none"]);
    if toolchain == Toolchain::Nightly {
        command.args(["-Z", "build-std=core"]);
    } else {
        command.env("RUSTC_BOOTSTRAP", "aya_ebpf,relay_ebpf,relay_guard");
    }
    command.arg("--target-dir").arg(workspace::target().join("lints-ebpf"));
    command.args(["--", "-D", "warnings"]).current_dir(workspace::root().join("relay-ebpf"));
    let architecture = std::env::consts::ARCH;
    command.env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{architecture}\""));
    command
}
