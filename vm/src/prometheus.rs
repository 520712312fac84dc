//! Debian's Prometheus, downloaded as a package and unpacked into the cache. It is not installed: the
//! package would start a service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::Archive;
use crate::{process, workspace};

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
    let directory = directory()?;
    let cache = directory.parent().context("the cache has no parent directory")?;
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let work = cache.join(format!(".prometheus-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let outcome = unpack(&work, &directory);
    // A directory that stays does no harm: the next run uses another one.
    drop(fs::remove_dir_all(&work));
    outcome
}

fn directory() -> Result<PathBuf> {
    Ok(workspace::cache()?.join(PACKAGE))
}

fn unpack(work: &Path, directory: &Path) -> Result<()> {
    let package = Archive::system().download(PACKAGE, work).or_else(|reason| {
        let bookworm = Archive::bookworm(&workspace::cache()?.join("bookworm"));
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
    match fs::rename(&ready, directory) {
        // Another run was faster, with the same result.
        Err(_) if PROGRAMS.iter().all(|program| directory.join(program).is_file()) => Ok(()),
        outcome => outcome.with_context(|| format!("cannot make {}", directory.display())),
    }
}
