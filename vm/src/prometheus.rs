//! Debian's Prometheus, downloaded as a package and unpacked into the cache. It is not installed: the
//! package would start a service.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::Archive;
use crate::scratch::Scratch;
use crate::{Architecture, process, workspace};

/// The package.
pub const PACKAGE: &str = "prometheus";

/// What tests use of it.
pub const PROGRAMS: [&str; 2] = ["promtool", "prometheus"];

/// One of its programs: that in PATH, or that in the cache.
pub fn program(name: &str) -> Option<PathBuf> {
    process::find(name).or_else(|| {
        directory().ok().map(|directory| directory.join(name)).filter(|file| file.is_file())
    })
}

/// Downloads the package and keeps its programs.
///
/// # Errors
/// Neither the system's apt nor Debian 12 has it, or the cache cannot be written.
pub fn download() -> Result<()> {
    let scratch = Scratch::of(&directory()?)?;
    let work = scratch.path();
    let package = Archive::system().download(PACKAGE, work).or_else(|reason| {
        let bookworm = Archive::bookworm(Architecture::Amd64);
        bookworm.and_then(|archive| archive.download(PACKAGE, work)).context(format!("{reason:#}"))
    })?;
    let tree = work.join("tree");
    process::read(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&tree))?;
    let ready = work.join("ready");
    fs::create_dir_all(&ready)?;
    for program in PROGRAMS {
        let file = tree.join("usr/bin").join(program);
        if fs::rename(&file, ready.join(program)).is_err() {
            bail!("the package {PACKAGE} has no usr/bin/{program}");
        }
    }
    scratch.finish("ready")
}

fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join(PACKAGE))
}
