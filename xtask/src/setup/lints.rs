//! rustfmt and clippy.

use std::process::Command;

use anyhow::{Context as _, Result};
use relay_build::{LINKED, NIGHTLY, Toolchain};
use relay_vm::{apt, process, workspace};

use super::{Missing, Part};

/// A cargo subcommand that a toolchain may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `cargo fmt`
    Format,
    /// `cargo clippy`
    Clippy,
}

impl Tool {
    const ALL: [Self; 2] = [Self::Format, Self::Clippy];

    fn subcommand(self) -> &'static str {
        match self {
            Self::Format => "fmt",
            Self::Clippy => "clippy",
        }
    }

    fn component(self) -> &'static str {
        match self {
            Self::Format => "rustfmt",
            Self::Clippy => "clippy",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Format => "rustfmt-web",
            Self::Clippy => "rust-web-clippy",
        }
    }

    /// The command, of the cargo that runs xtask, or else of Debian's toolchain.
    pub(crate) fn command(self) -> Option<Command> {
        let mut own = workspace::cargo();
        own.arg(self.subcommand());
        if works(&own) {
            return Some(own);
        }
        let mut linked = Command::new("rustup");
        linked.args(["run", LINKED, "cargo", self.subcommand()]);
        if works(&linked) {
            // Another compiler would invalidate the build directory.
            linked.env("CARGO_TARGET_DIR", workspace::target().join("lints"));
            return Some(linked);
        }
        None
    }
}

fn works(command: &Command) -> bool {
    let mut probe = Command::new(command.get_program());
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    process::succeeds(probe.args(command.get_args()).arg("--version").envs(variables))
}

pub(super) fn missing() -> Vec<Missing> {
    let programs = without_clippy().map(|toolchain| Missing {
        part: Part::Lints,
        what: "clippy for the toolchain that builds for BPF".to_owned(),
        remedy: match toolchain {
            Toolchain::Nightly => format!("rustup component add clippy --toolchain {NIGHTLY}"),
            Toolchain::Linked | Toolchain::InPath => {
                format!("apt-get install {}", Tool::Clippy.package())
            }
        },
    });
    Tool::ALL
        .into_iter()
        .filter(|tool| tool.command().is_none())
        .map(|tool| Missing {
            part: Part::Lints,
            what: format!("cargo {}", tool.subcommand()),
            remedy: format!(
                "rustup component add {}, or on Debian apt-get install {} (beside rustc-web)",
                tool.component(),
                tool.package()
            ),
        })
        .chain(programs)
        .collect()
}

/// Installs Debian's if apt has Debian's compiler too, else rustup's.
pub(super) fn install() -> Result<()> {
    for tool in Tool::ALL.into_iter().filter(|tool| tool.command().is_none()) {
        let (package, component) = (tool.package(), tool.component());
        if apt::candidate("rustc-web").is_some() && apt::candidate(package).is_some() {
            super::step(format!("installing {package}"), || {
                apt::install(&["rustc-web", "cargo-web", package])
            })?;
            // Fails without rustup, where there is nothing to link.
            let _ = process::succeeds(Command::new("rustup").args([
                "toolchain",
                "link",
                LINKED,
                "/usr",
            ]));
            if tool.command().is_some() {
                continue;
            }
        }
        super::step(format!("adding rustup's {component}"), || {
            process::read(Command::new("rustup").args(["component", "add", component]))
                .map(drop)
                .with_context(|| format!("neither apt nor rustup provides {component}"))
        })?;
    }
    match without_clippy() {
        None => Ok(()),
        Some(Toolchain::Nightly) => {
            super::step("adding clippy to rustup's nightly".to_owned(), || {
                let mut command = Command::new("rustup");
                command.args(["component", "add", "clippy", "--toolchain", NIGHTLY]);
                process::read(&mut command).map(drop)
            })
        }
        Some(Toolchain::Linked | Toolchain::InPath) => {
            let package = Tool::Clippy.package();
            super::step(format!("installing {package}"), || apt::install(&[package]))
        }
    }
}

/// The toolchain that builds for BPF, if it lacks clippy.
fn without_clippy() -> Option<Toolchain> {
    Toolchain::find().filter(|toolchain| !has_clippy(*toolchain))
}

pub(crate) fn has_clippy(toolchain: Toolchain) -> bool {
    process::succeeds(toolchain.command("cargo").args(["clippy", "--version"]))
}
