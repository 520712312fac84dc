//! Who may import whom: the table of ARCHITECTURE.md, checked against the sources' tokens.
//!
//! Code under `#[cfg(test)]` may import anything.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use cargo_metadata::{DependencyKind, MetadataCommand, PackageName};

/// What one module may import.
struct Row {
    module: &'static str,
    /// Modules of the relay crate.
    modules: &'static [&'static str],
    /// Other crates, as they are spelled in Rust.
    crates: &'static [&'static str],
    /// Parts of the standard library that are closed to it.
    closed: &'static [&'static str],
}

/// What any module's errors and logs need.
const EVERYWHERE: &[&str] = &["thiserror", "tracing"];

/// Input, output and clocks, closed to what is pure.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::time",
    "std::env",
];

const TABLE: &[Row] = &[
    Row {
        module: "model",
        modules: &[],
        crates: &["ipnet", "base64", "getrandom", "x25519_dalek", "zeroize"],
        closed: IMPURE,
    },
    Row {
        module: "config",
        modules: &["model"],
        crates: &[
            "blake2",
            "getrandom",
            "ipnet",
            "libc",
            "serde",
            "serde_json",
            "strsim",
            "toml",
            "zeroize",
        ],
        closed: &["std::process", "std::time"],
    },
    Row {
        module: "policy",
        modules: &["model"],
        crates: &["ipnet", "relay_common"],
        closed: IMPURE,
    },
    Row {
        module: "datapath",
        modules: &["model", "policy"],
        crates: &[
            "relay_common",
            "aya",
            "aya_log",
            "blake2",
            "bytemuck",
            "ipnet",
            "libc",
            "log",
            "memmap2",
            "object",
            "rustix",
        ],
        closed: &["std::process"],
    },
    Row {
        module: "wireguard",
        modules: &["model"],
        crates: &["ipnet", "libc", "wireguard_control", "zeroize"],
        closed: &["std::process"],
    },
    Row {
        module: "net",
        modules: &["model"],
        crates: &[
            "futures_util",
            "ipnet",
            "libc",
            "netlink_packet_netfilter",
            "rtnetlink",
            "tokio",
        ],
        closed: &["std::process"],
    },
    Row {
        module: "stats",
        modules: &["model", "units"],
        crates: &["ipnet", "ratatui", "relay_common", "serde", "serde_json"],
        // Ages are told from times that are handed in.
        closed: &["std::fs", "std::process", "std::env", "std::time::Instant"],
    },
    Row { module: "graph", modules: &["model", "policy", "units"], crates: &[], closed: IMPURE },
    Row { module: "units", modules: &[], crates: &[], closed: IMPURE },
    Row { module: "doctor", modules: &["model"], crates: &["ipnet", "serde"], closed: IMPURE },
    Row {
        module: "cli",
        modules: &[
            "model",
            "config",
            "policy",
            "datapath",
            "wireguard",
            "net",
            "stats",
            "graph",
            "doctor",
        ],
        crates: &[
            "anyhow",
            "clap",
            "clap_complete",
            "clap_mangen",
            "comfy_table",
            "crossterm",
            "futures_util",
            "humantime",
            "ipnet",
            "png",
            "qrcode",
            "ratatui",
            "relay_common",
            "rustix",
            "serde",
            "serde_json",
            "strsim",
            "tokio",
            "tracing_subscriber",
            "zeroize",
        ],
        closed: &[],
    },
];

/// One import that the table does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    file: PathBuf,
    line: usize,
    problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.problem)
    }
}

/// Reads every source of relay and relay-common below `root`.
///
/// # Errors
/// A source cannot be read or is not Rust, or cargo does not tell the dependencies.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>> {
    let dependencies = dependencies(root)?;
    let mut violations = Vec::new();
    let source = root.join("relay/src");
    let mut entries: Vec<_> = fs::read_dir(&source)
        .with_context(|| format!("cannot read {}", source.display()))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        if matches!(name.as_str(), "lib" | "main") {
            continue;
        }
        let Some(row) = TABLE.iter().find(|row| row.module == name) else {
            let problem = format!("the module {name} has no row in the table of imports");
            violations.push(Violation { file: relative(&entry, root), line: 1, problem });
            continue;
        };
        for file in sources(&entry)? {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let module = module_path(&file, &source);
            let paths = paths(&text).with_context(|| format!("in {}", file.display()))?;
            violations.extend(paths.iter().filter_map(|path| {
                let problem = judge(row, &module, path, &dependencies)?;
                Some(Violation { file: relative(&file, root), line: path.line, problem })
            }));
        }
    }
    for file in sources(&root.join("relay-common/src"))? {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let paths = paths(&text).with_context(|| format!("in {}", file.display()))?;
        violations.extend(paths.iter().filter(|path| path.names[0] == "std").map(|path| {
            let problem = "relay-common runs in the kernel and must not use std".to_owned();
            Violation { file: relative(&file, root), line: path.line, problem }
        }));
    }
    violations.sort();
    violations.dedup();
    Ok(violations)
}

/// A path as it is written, `use` trees taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    line: usize,
    names: Vec<String>,
}

/// Says what is wrong with an import, if anything is.
fn judge(
    row: &Row,
    module: &[String],
    path: &Import,
    dependencies: &BTreeSet<String>,
) -> Option<String> {
    let first = path.names[0].as_str();
    let sibling = match first {
        "crate" | "relay" => path.names.get(1).cloned(),
        "super" => {
            let up = path.names.iter().take_while(|name| *name == "super").count();
            // From a file of the module itself, enough steps up lead to its siblings.
            (up >= module.len()).then(|| path.names.get(up).cloned()).flatten()
        }
        _ => None,
    };
    if let Some(sibling) = sibling {
        let known = TABLE.iter().any(|other| other.module == sibling);
        let allowed = sibling == row.module || row.modules.contains(&sibling.as_str());
        return (known && !allowed)
            .then(|| format!("{} must not import {sibling} ({})", row.module, permitted(row)));
    }
    let written = path.names.join("::");
    if let Some(closed) = row
        .closed
        .iter()
        .find(|part| written == **part || written.starts_with(&format!("{part}::")))
    {
        return Some(format!("{} must not use {closed}", row.module));
    }
    let foreign = dependencies.contains(first);
    let allowed = row.crates.contains(&first) || EVERYWHERE.contains(&first);
    (foreign && !allowed)
        .then(|| format!("{} must not use the crate {first} ({})", row.module, permitted(row)))
}

fn permitted(row: &Row) -> String {
    let names: Vec<_> = row.modules.iter().chain(row.crates).chain(EVERYWHERE).copied().collect();
    format!("it may use {}", names.join(", "))
}

/// Every path in the text, outside comments, strings and `#[cfg(test)]`.
fn paths(text: &str) -> Result<Vec<Import>> {
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("not Rust: {error}"))?;
    let mut found = Vec::new();
    walk(tokens, &mut found);
    Ok(found)
}

fn walk(tokens: TokenStream, found: &mut Vec<Import>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = after_item(&tokens, at + 2);
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(ident) if ident == "use" => {
                let end = (at..tokens.len()).find(|i| is_punct(&tokens[*i], ';'));
                let end = end.unwrap_or(tokens.len());
                take_apart(&tokens[at + 1..end], &[], found);
                at = end;
            }
            TokenTree::Ident(ident) if !follows_colons(&tokens, at) => {
                let line = ident.span().start().line;
                let mut names = vec![ident.to_string()];
                while is_colons(&tokens, at + 1) {
                    let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                    names.push(next.to_string());
                    at += 3;
                }
                if names.len() > 1 || is_colons(&tokens, at + 1) {
                    found.push(Import { line, names });
                }
            }
            TokenTree::Group(group) => walk(group.stream(), found),
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

/// Takes the tree of a `use` apart into one path per leaf.
fn take_apart(tokens: &[TokenTree], prefix: &[String], found: &mut Vec<Import>) {
    for branch in tokens.split(|token| is_punct(token, ',')) {
        let mut names = prefix.to_vec();
        let mut line = None;
        let mut nested = false;
        let mut at = 0;
        while at < branch.len() {
            match &branch[at] {
                // What it is called here does not matter.
                TokenTree::Ident(ident) if ident == "as" => break,
                TokenTree::Ident(ident) => {
                    line = line.or(Some(ident.span().start().line));
                    names.push(ident.to_string());
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    take_apart(&inner, &names, found);
                    nested = true;
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    line = line.or(Some(punct.span().start().line));
                }
                TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
        if let Some(line) = line
            && !nested
        {
            found.push(Import { line, names });
        }
    }
}

/// Whether `#[cfg(test)]`, or a `cfg(all(test, …))`, begins here.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(group), ..] = tokens else { return false };
    if !is_punct(hash, '#') || group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text: String = group.stream().to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The position behind the item that begins at `at`.
fn after_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while at < tokens.len() {
        let ends = match &tokens[at] {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        at += 1;
        if ends {
            break;
        }
    }
    at
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at..at + 2), Some([a, b]) if is_punct(a, ':') && is_punct(b, ':'))
}

/// Whether the name at `at` continues a path; a leading `::` begins one.
fn follows_colons(tokens: &[TokenTree], at: usize) -> bool {
    at >= 3
        && is_colons(tokens, at - 2)
        && match &tokens[at - 3] {
            TokenTree::Ident(_) => true,
            TokenTree::Punct(punct) => punct.as_char() == '>',
            TokenTree::Group(_) | TokenTree::Literal(_) => false,
        }
}

/// `relay/src/policy/leaf.rs` is `[policy, leaf]`; `mod.rs` belongs to its directory.
fn module_path(file: &Path, source: &Path) -> Vec<String> {
    let relative = file.strip_prefix(source).unwrap_or(file).with_extension("");
    let mut names: Vec<_> =
        relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

/// Every source below a file or directory, without those that hold only tests.
fn sources(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        return Ok(if is_rust && !is_test { vec![path.to_path_buf()] } else { Vec::new() });
    }
    if path.file_name().is_some_and(|name| name == "tests") {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    for entry in entries.flatten() {
        files.extend(sources(&entry.path())?);
    }
    files.sort();
    Ok(files)
}

fn relative(path: &Path, root: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}

/// The crates that relay depends on, as they are spelled in Rust.
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

    fn problems(module: &str, file: &[&str], text: &str) -> Vec<String> {
        let dependencies = ["aya", "toml", "serde", "ipnet", "relay_common", "tokio"]
            .map(String::from)
            .into_iter()
            .collect();
        let row = TABLE.iter().find(|row| row.module == module).expect("a row");
        let file: Vec<_> = file.iter().map(|name| (*name).to_owned()).collect();
        paths(text)
            .expect("Rust")
            .iter()
            .filter_map(|path| {
                let problem = judge(row, &file, path, &dependencies)?;
                Some(format!("{}: {}", path.line, problem.split(" (").next().unwrap_or_default()))
            })
            .collect()
    }

    #[test]
    fn what_the_table_names_is_allowed() {
        let text = "use crate::model::{Peer, PublicKey};\nuse relay_common::Reason;\nuse std::fmt;";
        assert!(problems("policy", &["policy", "leaf"], text).is_empty());
    }

    #[test]
    fn other_modules_and_crates_are_refused_however_they_are_written() {
        let text = "use crate::{model::Peer, datapath::Maps};\n\
                    use super::super::config::Raw;\n\
                    fn f(x: ::aya::Ebpf) { tokio::spawn(x); println!(\"{}\", aya::maps::X); }\n\
                    // use aya::A\n\
                    const S: &str = \"aya::B\";";
        assert_eq!(
            problems("policy", &["policy", "leaf"], text),
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
    fn a_module_of_a_crates_name_is_not_that_crate() {
        let text = "use crate::policy::toml::X; use super::toml::Y; fn f() { self::aya::z() }";
        assert!(problems("policy", &["policy", "leaf"], text).is_empty());
    }

    #[test]
    fn what_is_pure_reads_no_clock_and_no_file() {
        let text = "use std::{fs, fmt};\nfn f() { std::time::Instant::now(); }";
        assert_eq!(
            problems("policy", &["policy"], text),
            ["1: policy must not use std::fs", "2: policy must not use std::time"]
        );
    }

    #[test]
    fn tests_may_use_anything() {
        let text = "#[cfg(test)]\nmod tests { use aya::X; }\n#[cfg(test)] use aya::Y;\nuse aya::Z;";
        assert_eq!(problems("policy", &["policy"], text), ["4: policy must not use the crate aya"]);
    }

    #[test]
    fn one_step_up_stays_inside_a_module_and_leaves_it_from_its_root() {
        assert!(problems("policy", &["policy", "leaf"], "use super::config::X;").is_empty());
        assert_eq!(
            problems("policy", &["policy"], "use super::config::X;"),
            ["1: policy must not import config"]
        );
    }

    #[test]
    fn a_source_knows_its_module() {
        let source = Path::new("relay/src");
        let path = |file: &str| module_path(&source.join(file), source).join("::");
        assert_eq!(path("policy/mod.rs"), "policy");
        assert_eq!(path("policy/leaf.rs"), "policy::leaf");
    }
}
