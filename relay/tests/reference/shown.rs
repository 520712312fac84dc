//! The tests that `docs/internals/testing.md` names are there.

use std::{fs, path::Path};

use pulldown_cmark::{Event, Options, Parser};

use crate::page;

/// How the page begins the name of a test.
const TARGETS: [&str; 10] = [
    "relay",
    "relay-common",
    "relay-fuzz",
    "xtask",
    "verbs",
    "objects",
    "programs",
    "network",
    "host",
    "lab",
];

#[test]
fn every_test_that_a_threat_or_a_scenario_names_exists() {
    let text = fs::read_to_string(page::root().join("docs/internals/testing.md")).expect("a page");
    let mut sources = String::new();
    for directory in ["relay/src", "relay/tests", "relay-common/src", "tests", "xtask/src"] {
        collect(&page::root().join(directory), &mut sources);
    }
    let mut named = 0;
    let mut missing = Vec::new();
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        let Event::Code(code) = event else { continue };
        let Some((target, path)) = code.split_once(' ') else { continue };
        let Some(name) = path.split("::").last().filter(|name| !name.is_empty()) else { continue };
        if !TARGETS.contains(&target) {
            continue;
        }
        named += 1;
        // Or a module of tests.
        if !sources.contains(&format!("fn {name}(")) && !sources.contains(&format!("mod {name}")) {
            missing.push(code.into_string());
        }
    }
    assert!(named > 100, "the page names {named} tests");
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

/// Appends all sources of Rust below `directory`.
fn collect(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}
