//! `cargo xtask docs`

use std::process::ExitCode;

use anyhow::{Result, bail};
use relay_vm::{Architecture, workspace};

use crate::setup::{self, Part};

/// Write the generated parts of docs/reference
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also take the pictures of the page of `relay serve`, in a virtual machine
    #[arg(long)]
    pictures: bool,
}

/// Lets the tests that compare the pages with the program write them instead.
///
/// # Errors
/// The tests do not build, or fail for something else than a stale page; or for the pictures, a part
/// of the setup could not be installed.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let reference = ["test", "--quiet", "--package", "relay", "--test", "reference"];
    cargo(&reference, "RELAY_DOCS", "docs/reference")?;
    if arguments.pictures {
        let parts = [Part::Ebpf, Part::Lab(Architecture::Amd64), Part::Browser];
        if let Some(piece) = setup::ensure(&parts).first() {
            bail!("{piece}");
        }
        let what = "the pictures in docs/guides";
        // The tests run the binary that lies beside them.
        cargo(&["build", "--quiet", "--workspace", "--bins"], "RELAY_PICTURES", what)?;
        cargo(&["test", "--quiet", "--workspace", "--test", "browser"], "RELAY_PICTURES", what)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs cargo with a variable that makes tests write `what`.
fn cargo(arguments: &[&str], variable: &str, what: &str) -> Result<()> {
    let mut command = workspace::cargo();
    command.args(arguments).current_dir(workspace::root()).env(variable, "write");
    if !command.status()?.success() {
        bail!("{what} could not be written");
    }
    Ok(())
}
