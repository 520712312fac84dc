use std::fs;

use super::{relay, schema, stderr, stdout};

/// ann and bob are `ops`; web and db are `servers`. With these groups and rules.
pub(super) fn office(lists: &str, rest: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut text = "[relay]\naddress = [\"10.3.2.1/24\"]\n[groups]\nops = [\"ann\", \"bob\"]\n\
                    servers = [\"web\", \"db\"]\n"
        .to_owned();
    let peers = [
        ("ann", "1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI="),
        ("bob", "bZ2dcK55rLIRrWwkeuzr/MnjxYPbm2QohxAQAOGichQ="),
        ("web", "E2WpFYbaxQs/cXG8egHaXm1wN7yQjE5WRxa7njhmYQA="),
        ("db", "YzI3qqnN4/qerogu1XaBi06pIhO81sSbs3/745oJNEQ="),
    ];
    for (number, (name, key)) in (2..).zip(peers) {
        text += &format!(
            "[[peer]]\nname = \"{name}\"\npublic_key = \"{key}\"\naddress = [\"10.3.2.{number}\"]\n\
             allowed_ips = [{lists}]\n"
        );
    }
    fs::write(directory.path().join("relay.toml"), text + rest).expect("a file");
    directory
}

/// Output and exit code of a comparison.
fn compared(
    before: &tempfile::TempDir,
    after: &tempfile::TempDir,
    more: &[&str],
) -> (String, Option<i32>) {
    let [one, two] =
        [before, after].map(|directory| directory.path().join("relay.toml").display().to_string());
    let output =
        relay(&before.path().join("none.toml"), &[&["diff", &one, &two][..], more].concat());
    (format!("{}{}", stdout(&output), stderr(&output)), output.status.code())
}

const SSH: &str = "[[rule]]\nname = \"ssh\"\nfrom = [\"group:ops\"]\nto = [\"group:servers\"]\n\
                   ports = [\"tcp/22\", \"icmp/echo\"]\n";

#[test]
fn what_a_rule_gives_and_what_lists_take_is_a_line_each() {
    let (empty, rule) = (office("", ""), office("", SSH));
    let (mesh, lent) = (
        office("\"10.3.2.0/24\"", ""),
        office("", &format!("{SSH}until = 2999-12-31T18:00:00Z\n")),
    );
    for (before, after, code, expected) in [
        (
            &empty,
            &rule,
            1,
            "+ group:ops → group:servers: tcp/22, icmp/echo (rule ssh)\n\
             4 directions gain something, 0 directions lose something, 0 directions keep something \
             with another end or rule\n",
        ),
        (&rule, &rule, 0, "nothing is gained or lost\n"),
        (
            &mesh,
            &rule,
            1,
            "- any ↔ any: everything but what ~ keeps (lists)\n\
             ~ group:ops → group:servers: tcp/22, icmp/echo (lists; now rule ssh)\n\
             0 directions gain something, 12 directions lose something, 4 directions keep something \
             with another end or rule\n",
        ),
        (
            &rule,
            &lent,
            0,
            "~ group:ops → group:servers: tcp/22, icmp/echo (rule ssh; now rule ssh until \
             2999-12-31T18:00:00Z)\n\
             0 directions gain something, 0 directions lose something, 4 directions keep something \
             with another end or rule\n",
        ),
    ] {
        assert_eq!(compared(before, after, &[]), (expected.to_owned(), Some(code)));
        let (text, found) = compared(before, after, &["--json"]);
        let json = schema::parse("diff", &text);
        assert_eq!((&json["differs"], found), (&(code == 1).into(), Some(code)));
    }
}

#[test]
fn all_prints_each_pair_and_a_bad_file_is_usage() {
    let (empty, rule) = (office("", ""), office("", SSH));
    let (text, _) = compared(&rule, &empty, &["--all"]);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("- ")).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines.contains(&"- bob → db: tcp/22, icmp/echo (rule ssh)"), "{text}");
    let (text, code) = compared(&empty, &office("", "[[rule]]\nname = \"x\"\n"), &[]);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn a_limit_that_changes_is_a_line_of_each_peer() {
    let limited =
        |key: &str, limit: &str| office("", &format!("[defaults]\n{key} = \"{limit}\"\n"));
    let (empty, rate, quota) =
        (office("", ""), limited("rate_from", "10 Mbit/s"), limited("quota", "1 GB/day"));
    let (text, code) = compared(&empty, &rate, &[]);
    let lines = ["ann", "bob", "web", "db"]
        .map(|name| format!("~ {name}: rate_from unlimited; now 10 Mbit/s\n"));
    assert_eq!((text, code), (lines.concat() + "nothing is gained or lost\n", Some(1)));
    let (text, code) = compared(&rate, &quota, &["--json"]);
    let json = schema::parse("diff", &text);
    assert_eq!((&json["differs"], code), (&true.into(), Some(1)));
    let limits = json["limits"].as_array().expect("a list");
    assert_eq!(limits.len(), 8, "{text}");
    assert_eq!(limits[0]["before"], "10 Mbit/s");
    assert_eq!((&limits[1]["key"], &limits[1]["after"]), (&"quota".into(), &"1 GB/day".into()));
}
