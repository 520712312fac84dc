//! The packages that are linked into the binary, by `cargo tree`: it knows the features that relay
//! is built with, where `cargo metadata` knows those of the whole workspace with its tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use relay_vm::{Architecture, process, workspace};

/// Name and version, as cargo prints them.
pub(super) type Name = (String, String);

/// The manifests and names of the binary, and of the programs in it, which have dependencies of their
/// own.
pub(super) const ROOTS: [(&str, &str); 2] =
    [("Cargo.toml", "relay"), ("relay-ebpf/Cargo.toml", "relay-ebpf")];

/// A package, and what it depends on.
#[derive(Debug, Clone)]
pub(super) struct Linked {
    pub(super) package: Package,
    pub(super) dependencies: BTreeSet<Name>,
}

/// The packages of both roots for an architecture, which are among them. Procedural macros and what
/// builds something are not.
///
/// # Errors
/// Cargo failed.
pub(super) fn packages(architecture: Architecture) -> Result<BTreeMap<Name, Linked>> {
    let mut packages = BTreeMap::new();
    let targets = [&architecture.target(), relay_build::TARGET];
    for ((manifest, root), target) in ROOTS.into_iter().zip(targets) {
        let known: HashMap<Name, Package> = metadata(manifest, target)?
            .packages
            .into_iter()
            .map(|package| ((package.name.to_string(), package.version.to_string()), package))
            .collect();
        for (name, dependencies) in edges(&tree(manifest, root, target)?)? {
            let package = known.get(&name).with_context(|| {
                let (name, version) = &name;
                format!("`cargo tree` names {name} {version}, which `cargo metadata` does not")
            })?;
            let linked = Linked { package: package.clone(), dependencies: BTreeSet::new() };
            packages.entry(name).or_insert(linked).dependencies.extend(dependencies);
        }
    }
    Ok(packages)
}

fn metadata(manifest: &str, target: &str) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace::root().join(manifest));
    command.other_options(["--locked".to_owned(), format!("--filter-platform={target}")]);
    command.exec().with_context(|| format!("cannot read the dependencies of {manifest}"))
}

fn tree(manifest: &str, root: &str, target: &str) -> Result<String> {
    let mut command = workspace::cargo();
    command.args(["tree", "--locked", "--package", root, "--target", target]);
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", "{p}"]);
    command.arg("--manifest-path").arg(workspace::root().join(manifest));
    process::read(&mut command)
}

/// Each package with its dependencies, of lines such as `2syn v2.0.1`: the depth, and a package
/// that the last line of a lower depth depends on.
fn edges(tree: &str) -> Result<BTreeMap<Name, BTreeSet<Name>>> {
    let mut edges: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    let mut above: Vec<Name> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (depth, name) = parse(line)
            .with_context(|| format!("cannot read the line {line:?} of `cargo tree`"))?;
        above.truncate(depth);
        if let Some(dependent) = above.last() {
            edges.entry(dependent.clone()).or_default().insert(name.clone());
        }
        edges.entry(name.clone()).or_default();
        above.push(name);
    }
    Ok(edges)
}

fn parse(line: &str) -> Option<(usize, Name)> {
    let digits = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, package) = line.split_at(digits);
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some((depth.parse().ok()?, (name.to_owned(), version.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_depends_on_the_lines_below_it_that_are_one_deeper() {
        let tree = "0relay v0.1.0 (/c/relay)\n1a v1.0.0\n2b v2.0.0+zstd.1\n1b v1.0.0\n2c v1.0.0\n\
                    1a v1.0.0 (*)\n";
        let edges = edges(tree).expect("a tree");
        let of = |name: &str, version: &str| {
            let key = (name.to_owned(), version.to_owned());
            edges[&key]
                .iter()
                .map(|(name, version)| format!("{name} {version}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(edges.len(), 5);
        assert_eq!(of("relay", "0.1.0"), ["a 1.0.0", "b 1.0.0"]);
        assert_eq!(of("a", "1.0.0"), ["b 2.0.0+zstd.1"]);
        assert_eq!(of("b", "1.0.0"), ["c 1.0.0"]);
        assert_eq!(of("c", "1.0.0"), [""; 0]);
    }

    #[test]
    fn what_only_builds_or_tests_is_not_linked() {
        for architecture in Architecture::ALL {
            let packages = packages(architecture).expect("packages");
            let has = |name: &str| packages.keys().any(|(package, _)| package == name);
            assert!(has("relay") && has("rusqlite") && has("relay-ebpf") && has("aya-ebpf"));
            for other in ["relay-build", "serde_derive", "syn", "proptest", "cc", "palette"] {
                assert!(!has(other), "{other} for {architecture}");
            }
            // It looks for instructions that only some processors of x86-64 have.
            assert_eq!(has("cpufeatures"), architecture == Architecture::Amd64);
        }
    }
}
