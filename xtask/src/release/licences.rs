//! Licence notices of everything linked into the binary, which are distributed with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::Package;
use relay_vm::{Architecture, workspace};

use super::linked::{self, Linked};

/// The target's standard library.
const LIBC: &str = "\
The binary also holds Rust's standard library (MIT OR Apache-2.0, https://github.com/rust-lang/rust)
and musl (MIT, https://musl.libc.org, Copyright © 2005-2020 Rich Felker, et al.).
";

/// What the page of `relay serve` brings along, and its licence, from the root of the repository.
const PAGE: (&str, &str) =
    ("uPlot (https://github.com/leeoniya/uPlot)", "relay/src/serve/page/vendor/uPlot.LICENSE");

/// A list of the packages that are linked for an architecture, with licence and source, followed by the
/// licence texts, each once.
///
/// # Errors
/// `cargo metadata` failed, or a package states no licence.
pub(super) fn notices(architecture: Architecture) -> Result<String> {
    let mut text =
        String::from("What is linked into the relay binary, and under which licences.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((name, version), Linked { package, .. }) in &linked::packages(architecture)? {
        if package.name == "relay" {
            continue;
        }
        let licence = match (&package.license, &package.license_file) {
            (Some(licence), _) => licence.as_str(),
            (None, Some(_)) => "see below",
            (None, None) => bail!("{name} {version} states no licence in its Cargo.toml"),
        };
        let source = package.repository.as_deref().unwrap_or("https://crates.io");
        writeln!(text, "{name} {version}: {licence}; {source}")?;
        for words in licence_texts(package)? {
            texts.entry(words).or_default().push(format!("{name} {version}"));
        }
    }
    write!(text, "\n{LIBC}")?;
    let (name, licence) = PAGE;
    let path = workspace::root().join(licence);
    let words = fs::read_to_string(&path).with_context(|| format!("cannot read {licence}"))?;
    writeln!(text, "The page has {name}: MIT.")?;
    texts.entry(words).or_default().push(name.to_owned());
    for (words, holders) in texts {
        let rule = "-".repeat(80);
        write!(text, "\n{rule}\n{}\n{rule}\n\n{}\n", holders.join(", "), words.trim())?;
    }
    Ok(text)
}

/// The licence files of a package.
fn licence_texts(package: &Package) -> Result<Vec<String>> {
    let directory = package.manifest_path.parent().context("a manifest has a directory")?;
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {directory}"))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let is_notice = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase());
        name.is_some_and(|name| {
            ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
                .iter()
                .any(|start| name.starts_with(start))
        })
    };
    paths
        .iter()
        .filter(|path| path.is_file() && is_notice(path))
        .map(|path| {
            let text = fs::read_to_string(path);
            text.with_context(|| format!("cannot read {}", path.display()))
        })
        .collect()
}
