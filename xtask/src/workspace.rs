//! Where things are: the checkout, the build directory, the cache.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the checkout that xtask was built from.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's build directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |directory| root().join(directory))
}

/// What is downloaded or built once per machine: `$XDG_CACHE_HOME/relay` or `~/.cache/relay`.
///
/// # Errors
/// Neither XDG_CACHE_HOME nor HOME is set.
pub(crate) fn cache() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME names a directory for the cache; set one")?;
    Ok(base.join("relay"))
}

/// The cargo that runs xtask, so that every build uses the same one.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}
