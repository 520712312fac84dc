//! Import rules: which module may use which (the table in ARCHITECTURE.md), and no circles.

mod circle;
mod path;
mod source;
mod table;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, PackageName};

use self::source::Source;
use self::table::{Row, Table};

/// Where the table is.
const TABLE: &str = "ARCHITECTURE.md";

/// The sources of each crate. The guard is an object of its own.
const CRATES: [&str; 10] = [
    "relay/src",
    "relay-common/src",
    "relay-ebpf/src",
    "relay-ebpf/src/guard",
    "tests/src",
    "tests/bench/src",
    "tests/fleet/src",
    "tests/fuzz/src",
    "vm/src",
    "xtask/src",
];

/// An import that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Relative to the root of the checkout.
    file: PathBuf,
    line: usize,
    problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.problem)
    }
}

/// Checks all sources of the checkout.
///
/// # Errors
/// The table or a source cannot be read, or `cargo metadata` failed.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>> {
    let file = root.join(TABLE);
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let table = Table::parse(&text).with_context(|| format!("in {TABLE}"))?;
    let dependencies = dependencies(root)?;
    let mut violations = Vec::new();
    for name in CRATES {
        let sources = source::read(&root.join(name))?;
        match name {
            "relay/src" => imports(&sources, &table, &dependencies, &mut violations),
            "relay-common/src" => uses_of_std(&sources, &mut violations),
            _ => {}
        }
        circles(&sources, &mut violations);
    }
    for violation in &mut violations {
        violation.file = relative(&violation.file, root);
    }
    violations.sort();
    violations.dedup();
    Ok(violations)
}

/// Compares the imports of relay with the table.
fn imports(
    sources: &[Source],
    table: &Table,
    dependencies: &BTreeSet<String>,
    violations: &mut Vec<Violation>,
) {
    for source in sources {
        let Some(name) = source.module.first() else { continue };
        let Some(row) = table.row(name) else {
            let problem = format!("the module {name} has no row in the table of {TABLE}");
            violations.push(Violation { file: source.file.clone(), line: 1, problem });
            continue;
        };
        violations.extend(source.paths.iter().filter_map(|path| {
            let problem = judge(row, table, &source.module, &path.names, dependencies)?;
            Some(Violation { file: source.file.clone(), line: path.line, problem })
        }));
    }
}

fn uses_of_std(sources: &[Source], violations: &mut Vec<Violation>) {
    for source in sources {
        for path in source.paths.iter().filter(|path| path.names[0] == "std") {
            let problem = "relay-common runs in the kernel too and must not use std".to_owned();
            violations.push(Violation { file: source.file.clone(), line: path.line, problem });
        }
    }
}

fn circles(sources: &[Source], violations: &mut Vec<Violation>) {
    for circle in circle::circles(sources) {
        let Some(&(first, line)) = circle.first() else { continue };
        let names: Vec<_> = circle.iter().map(|(source, _)| source.module.join("::")).collect();
        let problem = format!("circle of imports: {} → {}", names.join(" → "), names[0]);
        violations.push(Violation { file: first.file.clone(), line, problem });
    }
}

/// Why a path in a module breaks the rules of its row, if it does.
fn judge(
    row: &Row,
    table: &Table,
    module: &[String],
    names: &[String],
    dependencies: &BTreeSet<String>,
) -> Option<String> {
    let first = &*names[0];
    let sibling = match first {
        "crate" | "relay" => names.get(1),
        "super" => {
            let up = names.iter().take_while(|name| *name == "super").count();
            // Enough steps up leave the module.
            names.get(up).filter(|_| up >= module.len())
        }
        _ => None,
    };
    if let Some(sibling) = sibling {
        let known = table.row(sibling).is_some();
        let allowed = *sibling == row.module || row.modules.contains(sibling);
        return (known && !allowed)
            .then(|| format!("{} must not import {sibling} ({})", row.module, permitted(row)));
    }
    let written = names.join("::");
    if let Some(closed) = row
        .closed
        .iter()
        .find(|part| written == **part || written.starts_with(&format!("{part}::")))
    {
        return Some(format!("{} must not use {closed}", row.module));
    }
    let foreign = dependencies.contains(first);
    let allowed = row.crates.iter().any(|name| name == first);
    (foreign && !allowed)
        .then(|| format!("{} must not use the crate {first} ({})", row.module, permitted(row)))
}

fn permitted(row: &Row) -> String {
    format!("it may use {}", [&row.modules[..], &row.crates[..]].concat().join(", "))
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}

/// The dependencies of relay, as they are spelled in Rust.
fn dependencies(root: &Path) -> Result<BTreeSet<String>> {
    let mut command = MetadataCommand::new();
    command.current_dir(root).no_deps().other_options(["--offline".to_owned()]);
    let metadata = command.exec().context("cannot read the dependencies of relay")?;
    let relay = PackageName::new("relay".to_owned());
    let package = metadata.packages.iter().find(|package| package.name == relay);
    let package = package.context("the workspace has no package relay")?;
    let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
    let names = normal.map(|d| d.rename.as_ref().unwrap_or(&d.name).replace('-', "_"));
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "| module | modules | crates | closed |\n| --- | --- | --- | --- |\n\
        | *pure* | | | `std::fs`, `std::time` |\n| `model` | none | none | none |\n\
        | `config` | none | none | none |\n| `datapath` | none | `aya` | none |\n\
        | `policy` | `model` | `ipnet`, `relay_common` | *pure* |\n";

    /// Problems of a file of the module `policy`, without what is permitted.
    fn problems(module: &[&str], text: &str) -> Vec<String> {
        let table = Table::parse(POLICY).expect("a table");
        let dependencies: BTreeSet<_> =
            ["aya", "toml", "serde", "ipnet", "relay_common", "tokio"].map(String::from).into();
        let row = table.row("policy").expect("a row");
        let module: Vec<_> = module.iter().map(|name| (*name).to_owned()).collect();
        path::paths(text)
            .expect("Rust")
            .iter()
            .filter_map(|path| {
                let problem = judge(row, &table, &module, &path.names, &dependencies)?;
                Some(format!("{}: {}", path.line, problem.split(" (").next().unwrap_or_default()))
            })
            .collect()
    }

    #[test]
    fn imports_in_the_table_are_allowed() {
        let text = "use crate::model::{Peer, PublicKey};\nuse relay_common::Reason;\nuse std::fmt;";
        assert!(problems(&["policy", "leaf"], text).is_empty());
    }

    #[test]
    fn other_modules_and_crates_are_violations_in_every_notation() {
        let text = "use crate::{model::Peer, datapath::Maps};\n\
                    use super::super::config::Raw;\n\
                    fn f(x: ::aya::Ebpf) { tokio::spawn(x); println!(\"{}\", aya::maps::X); }\n\
                    // use aya::A\n\
                    const S: &str = \"aya::B\";";
        assert_eq!(
            problems(&["policy", "leaf"], text),
            [
                "1: policy must not import datapath",
                "2: policy must not import config",
                "3: policy must not use the crate aya",
                "3: policy must not use the crate tokio",
                "3: policy must not use the crate aya",
            ]
        );
    }

    #[test]
    fn a_module_with_the_name_of_a_crate_is_not_that_crate() {
        let text = "use crate::policy::toml::X; use super::toml::Y; fn f() { self::aya::z() }";
        assert!(problems(&["policy", "leaf"], text).is_empty());
    }

    #[test]
    fn pure_modules_use_no_clock_and_no_files() {
        let text = "use std::{fs, fmt};\nfn f() { std::time::Instant::now(); }";
        assert_eq!(
            problems(&["policy"], text),
            ["1: policy must not use std::fs", "2: policy must not use std::time"]
        );
    }

    #[test]
    fn tests_may_use_anything() {
        let text = "#[cfg(test)]\nmod tests { use aya::X; }\n#[cfg(test)] use aya::Y;\nuse aya::Z;";
        assert_eq!(problems(&["policy"], text), ["4: policy must not use the crate aya"]);
    }

    #[test]
    fn one_step_up_stays_inside_a_module_and_leaves_it_from_its_root() {
        assert!(problems(&["policy", "leaf"], "use super::config::X;").is_empty());
        assert_eq!(
            problems(&["policy"], "use super::config::X;"),
            ["1: policy must not import config"]
        );
    }
}
