//! Paths: the checkout, the build directory, the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The root of the checkout.
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let workspace = package.ancestors().find(|directory| directory.join("Cargo.lock").is_file());
    workspace.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's build directory.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |directory| root().join(directory))
}

/// Downloads and builds that are kept: `$XDG_CACHE_HOME/relay` or `~/.cache/relay`.
///
/// # Errors
/// Neither XDG_CACHE_HOME nor HOME is set.
pub fn cache() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context(
            "neither XDG_CACHE_HOME nor HOME is set to an absolute path; set one, for the cache",
        )?;
    Ok(base.join("relay"))
}

/// The directory of `cargo install`.
pub fn cargo_bin() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("bin"))
}

/// The cargo that runs this program, with the directory of `cargo install` in its PATH.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    if let Some(bin) = cargo_bin()
        && !directories.contains(&bin)
    {
        directories.push(bin);
        if let Ok(path) = std::env::join_paths(directories) {
            command.env("PATH", path);
        }
    }
    command
}
