//! Debian's package manager: what it offers, downloads and installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// The record of the version that would be installed.
///
/// # Errors
/// apt is not there, or does not know the package.
pub(crate) fn record(package: &str) -> Result<String> {
    process::read(Command::new("apt-cache").args(["show", "--no-all-versions", package]))
}

/// The version that would be installed, if apt is there and offers one.
pub(crate) fn candidate(package: &str) -> Option<String> {
    let text = process::read(Command::new("apt-cache").args(["policy", package])).ok()?;
    let version = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Installs packages, bringing the package lists up to date first if apt does not know them or
/// their files have moved on.
///
/// # Errors
/// Not root and no sudo, a package nobody offers, or apt's own complaint.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["-q", "-y", "--no-install-recommends", "install"];
    arguments.extend(packages);
    let mut fresh = false;
    if packages.iter().any(|package| candidate(package).is_none()) {
        update()?;
        fresh = true;
    }
    match process::read(&mut privileged("apt-get", &arguments)?) {
        Err(_) if !fresh => {
            update()?;
            process::read(&mut privileged("apt-get", &arguments)?).map(drop)
        }
        outcome => outcome.map(drop),
    }
}

/// Downloads a package file into `directory`, bringing the package lists up to date if they turn
/// out to be stale.
///
/// # Errors
/// The archive cannot be reached or does not have the package.
pub(crate) fn download(package: &str, directory: &Path) -> Result<PathBuf> {
    let fetch = || {
        process::read(
            Command::new("apt-get").args(["-q", "download", package]).current_dir(directory),
        )
    };
    if fetch().is_err() {
        update()?;
        fetch()?;
    }
    let mut files = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    match files.next() {
        Some(file) => Ok(file),
        None => bail!("`apt-get download {package}` succeeded and left no package"),
    }
}

/// Brings the package lists up to date.
///
/// # Errors
/// Not root and no sudo, or the archive cannot be reached.
pub(crate) fn update() -> Result<()> {
    process::read(&mut privileged("apt-get", &["-q", "update"])?).map(drop)
}

/// A command that runs as root: directly, or through sudo.
pub(crate) fn privileged(program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = if is_root()? {
        Command::new(program)
    } else if process::find("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    } else {
        bail!("`{program} {}` needs root, and sudo is not installed", arguments.join(" "));
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::metadata("/proc/self").context("cannot look at /proc/self")?;
    Ok(own.uid() == 0)
}
