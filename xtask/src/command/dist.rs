//! `cargo xtask dist`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use relay_vm::workspace;

use crate::release;
use crate::setup::{self, Part};

/// Build a release: Debian package, static tarball, bill of materials, SHA256SUMS
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Output directory [default: dist in the build directory]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Revision of the Debian package
    #[arg(long, default_value_t = 1)]
    revision: u32,
    /// Build with other compilers than relay-build/src/pins.rs names
    #[arg(long)]
    any_toolchain: bool,
}

/// Fails if lintian reports an error or a warning.
///
/// # Errors
/// A part of the setup could not be installed, or the build failed.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(piece) = setup::ensure(&[Part::Ebpf, Part::Dist]).first() {
        bail!("{piece}");
    }
    let output = arguments.output.clone().unwrap_or_else(|| workspace::target().join("dist"));
    let release = release::make(&output, arguments.revision, arguments.any_toolchain)?;
    for file in &release.files {
        println!("{}", file.display());
    }
    if release.complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}", release.complaints.trim_end());
    Ok(ExitCode::FAILURE)
}
