//! `cargo xtask dist`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use relay_vm::{Architecture, workspace};

use crate::release;
use crate::setup::{self, Part};

/// Build a release: Debian package, static tarball, bill of materials, SHA256SUMS
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Output directory [default: dist in the build directory]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Architecture, by Debian's name (repeatable)
    #[arg(long = "arch", value_name = "NAME", default_value = "amd64")]
    architectures: Vec<Architecture>,
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
    let is_wanted = |architecture: &Architecture| arguments.architectures.contains(architecture);
    let architectures: Vec<_> = Architecture::ALL.into_iter().filter(is_wanted).collect();
    let mut parts = vec![Part::Ebpf, Part::Dist];
    parts.extend(architectures.iter().map(|&architecture| Part::Target(architecture)));
    if let Some(piece) = setup::ensure(&parts).first() {
        bail!("{piece}");
    }
    let output = arguments.output.clone().unwrap_or_else(|| workspace::target().join("dist"));
    let (revision, any) = (arguments.revision, arguments.any_toolchain);
    let release = release::make(&output, &architectures, revision, any)?;
    for file in &release.files {
        println!("{}", file.display());
    }
    if release.complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}", release.complaints.trim_end());
    Ok(ExitCode::FAILURE)
}
