//! What packages bring along from elsewhere: C libraries, and the page's own.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::linked::Linked;

/// Source that a package holds and compiles.
pub(super) struct Bundled {
    pub(super) name: &'static str,
    pub(super) version: String,
    /// As SPDX writes it.
    pub(super) licence: &'static str,
    pub(super) source: &'static str,
    /// Vendor and product, by which faults are filed.
    pub(super) cpe: Option<(&'static str, &'static str)>,
}

/// What this package bundles.
///
/// # Errors
/// Its source does not say its version.
pub(super) fn of(linked: &Linked) -> Result<Option<Bundled>> {
    let root = linked.package.manifest_path.parent().context("a manifest has a directory")?;
    let root = root.as_std_path();
    Ok(match linked.package.name.as_str() {
        "libsqlite3-sys" => Some(Bundled {
            name: "sqlite",
            version: defined(&root.join("sqlite3/sqlite3.h"), "SQLITE_VERSION")?,
            licence: "blessing",
            source: "https://www.sqlite.org",
            cpe: Some(("sqlite", "sqlite")),
        }),
        "zstd-sys" => {
            let header = root.join("zstd/lib/zstd.h");
            let number = |part: &str| defined(&header, &format!("ZSTD_VERSION_{part}"));
            let version = [number("MAJOR")?, number("MINOR")?, number("RELEASE")?].join(".");
            Some(Bundled {
                name: "zstd",
                version,
                licence: "BSD-3-Clause OR GPL-2.0-only",
                source: "https://github.com/facebook/zstd",
                cpe: Some(("facebook", "zstandard")),
            })
        }
        "relay" => Some(Bundled {
            name: "uplot",
            version: of_plot(&root.join("src/serve/page/vendor/uPlot.iife.min.js"))?,
            licence: "MIT",
            source: "https://github.com/leeoniya/uPlot",
            cpe: None,
        }),
        _ => None,
    })
}

/// The value of a `#define`, without quotes.
fn defined(header: &Path, name: &str) -> Result<String> {
    let text = read(header)?;
    let value = text.lines().find_map(|line| {
        let mut words = line.strip_prefix("#define")?.split_whitespace();
        (words.next()? == name).then(|| words.next())?
    });
    let value = value.with_context(|| format!("{} does not define {name}", header.display()))?;
    Ok(value.trim_matches('"').to_owned())
}

/// The version in the first line, such as `/*! https://github.com/leeoniya/uPlot (v1.6.32) */`.
fn of_plot(script: &Path) -> Result<String> {
    let text = read(script)?;
    let version = text.split_once("(v").and_then(|(_, rest)| rest.split_once(") */"));
    let (version, _) =
        version.with_context(|| format!("{} does not begin with a version", script.display()))?;
    Ok(version.to_owned())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
