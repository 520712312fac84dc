//! The notices of what is linked into the binary, which go wherever the binary goes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::setup::dist::TARGET;
use crate::{process, workspace};

/// What the target's standard library brings along.
const LIBC: &str = "\
The binary also holds Rust's standard library (MIT OR Apache-2.0, https://github.com/rust-lang/rust)
and musl (MIT, https://musl.libc.org, Copyright © 2005-2020 Rich Felker, et al.).
";

/// Every package that is linked, with its licence and where its source is; then the texts, each
/// once, with the packages it came with.
///
/// # Errors
/// cargo does not say, or a package has neither a licence nor a text.
pub(super) fn notices() -> Result<String> {
    let mut packages = BTreeMap::new();
    for (manifest, root, target) in [
        ("Cargo.toml", "relay", Some(TARGET)),
        // The programs in the binary have libraries of their own.
        ("relay-ebpf/Cargo.toml", "relay-ebpf", None),
    ] {
        for package in linked(manifest, root, target)? {
            packages.insert((package.name.clone(), package.version.clone()), package);
        }
    }
    let mut text =
        String::from("What is linked into the relay binary, and under which licences.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages.values() {
        let Package { name, version, .. } = package;
        let licence = match (&package.license, &package.license_file) {
            (Some(licence), _) => licence.as_str(),
            (None, Some(_)) => "see below",
            (None, None) => bail!("{name} {version} says nothing about its licence"),
        };
        let source = package.repository.as_deref().unwrap_or("https://crates.io");
        writeln!(text, "{name} {version}: {licence}; {source}")?;
        for words in package.texts()? {
            texts.entry(words).or_default().push(format!("{name} {version}"));
        }
    }
    write!(text, "\n{LIBC}")?;
    for (words, holders) in texts {
        let rule = "-".repeat(80);
        write!(text, "\n{rule}\n{}\n{rule}\n\n{}\n", holders.join(", "), words.trim())?;
    }
    Ok(text)
}

#[derive(Debug, Clone, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    license_file: Option<String>,
    repository: Option<String>,
    manifest_path: String,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// None for what is linked, else `build` or `dev`.
    kind: Option<String>,
}

impl Package {
    /// Its licence files.
    fn texts(&self) -> Result<Vec<String>> {
        let directory =
            Path::new(&self.manifest_path).parent().context("a manifest is in a directory")?;
        let entries = fs::read_dir(directory)
            .with_context(|| format!("cannot read {}", directory.display()))?;
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
}

/// What `root` links, directly or not, itself left out.
fn linked(manifest: &str, root: &str, target: Option<&str>) -> Result<Vec<Package>> {
    let mut command = workspace::cargo();
    command.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]);
    command.arg(workspace::root().join(manifest));
    if let Some(target) = target {
        command.args(["--filter-platform", target]);
    }
    let metadata: Metadata = serde_json::from_str(&process::read(&mut command)?)
        .context("`cargo metadata` wrote what is not understood")?;
    metadata.reached_from(root)
}

impl Metadata {
    fn reached_from(self, root: &str) -> Result<Vec<Package>> {
        let nodes: HashMap<&str, &Node> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let root = self.packages.iter().find(|package| package.name == root);
        let root = root.context("the workspace lacks the package")?.id.as_str();
        let mut reached = vec![root];
        let mut next = 0;
        while let Some(node) = reached.get(next).and_then(|id| nodes.get(id)) {
            next += 1;
            let linked = node.deps.iter().filter(|d| d.dep_kinds.iter().any(|k| k.kind.is_none()));
            for dependency in linked {
                if !reached.contains(&dependency.pkg.as_str()) {
                    reached.push(&dependency.pkg);
                }
            }
        }
        let packages = self.packages.iter();
        let others = packages.filter(|p| p.id != root && reached.contains(&p.id.as_str()));
        Ok(others.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_built_or_tested_with_is_not_linked() {
        let package = |name: &str| {
            format!(
                r#"{{"id":"{name}","name":"{name}","version":"1.0.0","license":"MIT","license_file":null,"repository":null,"manifest_path":"/c/{name}/Cargo.toml"}}"#
            )
        };
        let text = format!(
            r#"{{"packages":[{},{},{},{}],"resolve":{{"nodes":[
            {{"id":"relay","deps":[{{"pkg":"a","dep_kinds":[{{"kind":null}}]}},{{"pkg":"c","dep_kinds":[{{"kind":"dev"}},{{"kind":"build"}}]}}]}},
            {{"id":"a","deps":[{{"pkg":"b","dep_kinds":[{{"kind":"build"}},{{"kind":null}}]}}]}},
            {{"id":"b","deps":[]}},{{"id":"c","deps":[]}}]}}}}"#,
            package("relay"),
            package("a"),
            package("b"),
            package("c")
        );
        let metadata: Metadata = serde_json::from_str(&text).expect("metadata");
        let names: Vec<_> = metadata
            .reached_from("relay")
            .expect("relay is there")
            .into_iter()
            .map(|package| package.name)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
