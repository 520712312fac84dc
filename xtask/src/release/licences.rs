//! Licence notices of everything linked into the binary, which are distributed with it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{
    DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId, PackageName,
};
use relay_vm::workspace;

use crate::setup::dist::TARGET;

/// The target's standard library.
const LIBC: &str = "\
The binary also holds Rust's standard library (MIT OR Apache-2.0, https://github.com/rust-lang/rust)
and musl (MIT, https://musl.libc.org, Copyright © 2005-2020 Rich Felker, et al.).
";

/// What the page of `relay serve` brings along, and its licence, from the root of the repository.
const PAGE: (&str, &str) =
    ("uPlot (https://github.com/leeoniya/uPlot)", "relay/src/serve/page/vendor/uPlot.LICENSE");

/// A list of the linked packages with licence and source, followed by the licence texts, each once.
///
/// # Errors
/// `cargo metadata` failed, or a package states no licence.
pub(super) fn notices() -> Result<String> {
    let mut packages = BTreeMap::new();
    for (manifest, root, target) in [
        ("Cargo.toml", "relay", Some(TARGET)),
        // The eBPF programs in the binary have dependencies of their own.
        ("relay-ebpf/Cargo.toml", "relay-ebpf", None),
    ] {
        for package in linked(&metadata(manifest, target)?, root)? {
            packages.insert((package.name.to_string(), package.version.to_string()), package);
        }
    }
    let mut text =
        String::from("What is linked into the relay binary, and under which licences.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((name, version), package) in &packages {
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

fn metadata(manifest: &str, target: Option<&str>) -> Result<Metadata> {
    let mut options = vec!["--locked".to_owned()];
    options.extend(target.map(|target| format!("--filter-platform={target}")));
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace::root().join(manifest)).other_options(options);
    command.exec().with_context(|| format!("cannot read the dependencies of {manifest}"))
}

/// Dependencies of the package `root`, direct and indirect, that are linked.
fn linked(metadata: &Metadata, root: &str) -> Result<Vec<Package>> {
    let resolve = metadata.resolve.as_ref().context("`cargo metadata` resolved no dependencies")?;
    let nodes: HashMap<&PackageId, &Node> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let root = PackageName::new(root.to_owned());
    let root = metadata.packages.iter().find(|package| package.name == root);
    let root = &root.context("the workspace lacks the package")?.id;
    let mut reached = vec![root];
    let mut next = 0;
    while let Some(node) = reached.get(next).and_then(|id| nodes.get(id)) {
        next += 1;
        let is_linked = |dependency: &&cargo_metadata::NodeDep| {
            dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        };
        for dependency in node.deps.iter().filter(is_linked) {
            if !reached.contains(&&dependency.pkg) {
                reached.push(&dependency.pkg);
            }
        }
    }
    let packages = metadata.packages.iter();
    let dependencies = packages.filter(|p| p.id != *root && reached.contains(&&p.id));
    Ok(dependencies.cloned().collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_and_dev_dependencies_are_not_linked() {
        let package = |name: &str| {
            format!(
                r#"{{"id":"{name}","name":"{name}","version":"1.0.0","license":"MIT","manifest_path":"/c/{name}/Cargo.toml","dependencies":[],"targets":[],"features":{{}}}}"#
            )
        };
        let dependency = |name: &str, kinds: &[&str]| {
            let kinds: Vec<_> =
                kinds.iter().map(|kind| format!(r#"{{"kind":{kind},"target":null}}"#)).collect();
            format!(r#"{{"name":"{name}","pkg":"{name}","dep_kinds":[{}]}}"#, kinds.join(","))
        };
        let node = |name: &str, dependencies: &[String]| {
            format!(
                r#"{{"id":"{name}","deps":[{}],"dependencies":[],"features":[]}}"#,
                dependencies.join(",")
            )
        };
        let packages = ["relay", "a", "b", "c"].map(package).join(",");
        let nodes = [
            node(
                "relay",
                &[dependency("a", &["null"]), dependency("c", &[r#""dev""#, r#""build""#])],
            ),
            node("a", &[dependency("b", &[r#""build""#, "null"])]),
            node("b", &[]),
            node("c", &[]),
        ];
        let text = format!(
            r#"{{"packages":[{packages}],"workspace_members":[],"resolve":{{"nodes":[{}],"root":null}},"workspace_root":"/c","target_directory":"/t","version":1}}"#,
            nodes.join(",")
        );
        let metadata = MetadataCommand::parse(text).expect("metadata");
        let names: Vec<_> = linked(&metadata, "relay")
            .expect("relay is a package")
            .into_iter()
            .map(|package| package.name.to_string())
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
