use std::fs;

use super::site::Site;

const VERBS: [&str; 24] = [
    "check",
    "up",
    "reload",
    "follow",
    "status",
    "down",
    "stats",
    "explain",
    "observe",
    "quota",
    "trace",
    "graph",
    "doctor",
    "peer add",
    "peer remove",
    "peer rename",
    "peer list",
    "peer config",
    "peer rotate",
    "genkey",
    "import",
    "completions",
    "man",
    "",
];

#[test]
fn every_verb_has_examples_in_its_help() {
    let site = Site::with("");
    for verb in VERBS {
        let run = site.relay(&format!("{verb} --help")).ended(0);
        assert!(
            run.out.contains("Examples:\n  relay ") || run.out.contains("Examples:\n  ("),
            "{run}"
        );
        assert!(run.out.lines().all(|line| line.chars().count() <= 100), "{run}");
    }
}

#[test]
fn shells_and_man_know_every_verb() {
    let site = Site::with("");
    for shell in ["bash", "zsh", "fish"] {
        let run = site.relay(&format!("completions {shell}")).ended(0);
        assert!(run.out.contains("rotate") && run.out.contains("private-key-file"), "{shell}");
    }
    assert!(site.relay("man").ended(0).out.contains(".TH relay 1"));
    site.relay("man --output man1").ended(0);
    for verb in VERBS {
        let name = format!("man1/relay {verb}.1").replace(" .1", ".1").replace(' ', "-");
        assert!(fs::exists(site.path(&name)).expect("a directory"), "{name}");
    }
}
