use std::fs;

use super::{example, relay, stderr, stdout};

#[test]
fn every_example_in_every_format() {
    for name in ["node-to-node", "one-to-many", "full"] {
        for format in ["matrix", "dot", "svg"] {
            let output = relay(&example(&format!("{name}.toml")), &["graph", "--format", format]);
            assert!(output.status.success(), "{}", stderr(&output));
            insta::assert_snapshot!(format!("{name}_{format}"), stdout(&output));
        }
    }
}

/// A pair of each kind: both families, one family, one-sided, different families.
const PAIRS: &str = r#"
[relay]
address = ["10.3.2.1/24", "fd00::3:2:1/120"]
[[peer]]
name = "hub"
description = "<knows> everybody & \"all\""
public_key = "YzI3qqnN4/qerogu1XaBi06pIhO81sSbs3/745oJNEQ="
address = ["10.3.2.2", "fd00::3:2:2"]
allowed_ips = ["10.3.2.0/24", "fd00::3:2:3/128"]
[[peer]]
name = "whole"
public_key = "E2WpFYbaxQs/cXG8egHaXm1wN7yQjE5WRxa7njhmYQA="
address = ["10.3.2.3", "fd00::3:2:3"]
allowed_ips = ["10.3.2.2/32", "fd00::3:2:2/128"]
[[peer]]
name = "part"
public_key = "1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI="
address = ["10.3.2.4", "fd00::3:2:4"]
allowed_ips = ["10.3.2.2/32"]
[[peer]]
name = "listed"
public_key = "bZ2dcK55rLIRrWwkeuzr/MnjxYPbm2QohxAQAOGichQ="
address = ["10.3.2.5"]
allowed_ips = []
[[peer]]
name = "crossed"
public_key = "i6JdWpzseo7IhbqJihZqhHfySQH+TNBhV4hWKFAJ6W8="
address = ["10.3.2.6", "fd00::3:2:6"]
allowed_ips = ["fd00::3:2:2/128"]
"#;

#[test]
fn pairs_that_are_not_whole_are_marked() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("relay.toml");
    fs::write(&config, PAIRS).expect("a file");
    for format in ["matrix", "dot", "svg"] {
        let output = relay(&config, &["graph", "--format", format]);
        assert!(output.status.success(), "{}", stderr(&output));
        insta::assert_snapshot!(format!("pairs_{format}"), stdout(&output));
    }
}

#[test]
fn ruled_pairs_have_arrows_and_services() {
    let rules = "[[rule]]\nname = \"ssh\"\nfrom = [\"group:ops\"]\nto = [\"group:servers\"]\n\
                 ports = [\"tcp/22\"]\n[[rule]]\nname = \"ping\"\nfrom = [\"ann\"]\nto = [\"bob\"]\n\
                 ports = [\"icmp/echo\"]\nboth_ways = true\n";
    let directory = super::diff::office("", rules);
    for format in ["matrix", "dot", "svg"] {
        let output = relay(&directory.path().join("relay.toml"), &["graph", "--format", format]);
        assert!(output.status.success(), "{}", stderr(&output));
        insta::assert_snapshot!(format!("ruled_{format}"), stdout(&output));
    }
}

#[test]
fn a_file_is_written_in_the_format_of_its_ending() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, begins) in [("a.svg", "<svg "), ("a.dot", "digraph "), ("a.txt", "     ")] {
        let path = directory.path().join(name);
        let file = path.to_str().expect("text");
        let output = relay(&example("one-to-many.toml"), &["graph", "--output", file]);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", stderr(&output));
        assert!(fs::read_to_string(&path).expect("the file").starts_with(begins), "{name}");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_usage() {
    let output = relay(&example("absent.toml"), &["graph"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("does not exist"), "{}", stderr(&output));
}
