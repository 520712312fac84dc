use super::{example, relay, schema, stderr, stdout};

#[test]
fn the_configuration_alone_says_what_passes_and_what_to_write_where() {
    for (name, words, code) in [
        ("allowed", &["node-a", "node-b"][..], 0),
        ("allowed_by_address", &["10.3.2.2", "10.3.2.4"], 0),
        ("of_two_families", &["10.3.2.2", "fd00::3:2:3"], 2),
        ("dropped", &["node-b", "10.3.2.4"], 1),
        ("unknown", &["node-b", "node-x"], 2),
        ("itself", &["node-b", "node-b"], 1),
    ] {
        let arguments = [&["explain", "--config-only"], words].concat();
        let output = relay(&example("one-to-many.toml"), &arguments);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        let directory = example("").display().to_string();
        insta::assert_snapshot!(name, said.replace(&directory, "/etc/relay/"));
        if !output.stdout.is_empty() {
            let arguments = [&arguments[..], &["--json"]].concat();
            let output = relay(&example("one-to-many.toml"), &arguments);
            let answer = schema::parse("explain", &stdout(&output));
            assert_eq!(answer["allowed"], code == 0, "{name}: {answer}");
        }
    }
}

/// Two peers of a relay with this `[relay]`; only `b` lists the other peer and the relay.
fn config(lines: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let text = format!(
        "[relay]\naddress = [\"10.3.2.1/24\"]\n{lines}\n\
         [[peer]]\nname = \"a\"\npublic_key = \"1rAoTG+RAoOxgCXxI+44FU1fe3GQ3PXU8VkiOqNQJGI=\"\n\
         address = [\"10.3.2.2\", \"10.3.2.5\"]\nallowed_ips = [\"10.3.2.3/32\"]\n\
         [[peer]]\nname = \"b\"\npublic_key = \"bZ2dcK55rLIRrWwkeuzr/MnjxYPbm2QohxAQAOGichQ=\"\n\
         address = [\"10.3.2.3\"]\nallowed_ips = [\"10.3.2.0/30\", \"192.0.2.0/24\"]\nroutes = [\"10.3.2.0/29\"]\n"
    );
    std::fs::write(directory.path().join("relay.toml"), text).expect("a file");
    directory
}

/// Output and exit code for two ends.
fn explained(lines: &str, a: &str, b: &str) -> (String, Option<i32>) {
    let directory = config(lines);
    let path = directory.path().join("relay.toml");
    let arguments = ["explain", "--config-only", a, b];
    let output = relay(&path, &arguments);
    if !output.stdout.is_empty() {
        let output = relay(&path, &[&arguments[..], &["--json"]].concat());
        schema::parse("explain", &stdout(&output));
    }
    (format!("{}{}", stdout(&output), stderr(&output)), output.status.code())
}

#[test]
fn host_access_counts_and_other_packets_than_ping_are_named() {
    for (access, code, said) in [
        ("\"none\"", 1, "dropped: host_access"),
        ("\"ping\"", 0, "TCP and UDP to the relay are dropped"),
        ("[\"tcp/22\", \"udp/53\"]", 0, "holds for ping and tcp/22, udp/53; other"),
        ("\"all\"", 0, "allowed, to the relay itself"),
    ] {
        let (text, found) = explained(&format!("host_access = {access}"), "b", "10.3.2.1");
        assert!(found == Some(code) && text.contains(said), "{access}: {text}");
        assert_eq!(
            text.contains("are dropped"),
            access.contains("ping") || access.contains("tcp"),
            "{text}"
        );
    }
}

#[test]
fn from_the_relay_itself_everything_goes_and_what_the_client_lacks_is_said() {
    let lines = "host_access = \"none\"";
    let (text, code) = explained(lines, "10.3.2.1", "b");
    assert!(
        code == Some(0) && text.contains("10.3.2.1 → b 10.3.2.3: allowed, from the relay itself"),
        "{text}"
    );
    assert!(!text.contains("AllowedIPs lack"), "{text}");
    let lacks = "a's client exchanges nothing with 10.3.2.1";
    for (a, b) in [("10.3.2.1", "a"), ("a", "10.3.2.1")] {
        let (text, code) = explained("", a, b);
        assert!(code == Some(0) && text.contains(lacks), "{text}");
        assert!(text.contains("add \"10.3.2.1/32\" to allowed_ips of a"), "{text}");
    }
}

#[test]
fn from_outside_nothing_comes_in_but_answers() {
    for (lines, code, said) in [
        ("", 1, "dropped: forwarded_in"),
        ("egress = \"stack\"", 1, "answers to connections that the peer opened pass"),
        ("egress = \"stack\"\nfence = false", 0, "netfilter also decide"),
    ] {
        let (text, found) = explained(lines, "192.0.2.9", "b");
        assert!(found == Some(code) && text.contains(said), "{text}");
    }
    let (text, code) = explained("", "192.0.2.9", "10.3.2.1");
    assert!(code == Some(2) && text.contains("name a peer"), "{text}");
}

#[test]
fn every_address_of_a_peer_is_asked_about() {
    let (text, code) = explained("", "a", "b");
    assert!(text.contains("a 10.3.2.2 → b 10.3.2.3: allowed"), "{text}");
    assert!(text.contains("a 10.3.2.5 → b 10.3.2.3: dropped: not_in_destination_list"), "{text}");
    assert_eq!(code, Some(1));
    assert_eq!(text.lines().filter(|line| line.contains(" → ")).count(), 4, "{text}");
}

#[test]
fn no_name_is_an_address() {
    let directory = config("");
    let path = directory.path().join("relay.toml");
    let text = std::fs::read_to_string(&path).expect("the file");
    for (name, code) in [("10.3.2.3", 2), ("10.3.2", 0), ("10", 0), ("fe80", 0)] {
        std::fs::write(&path, text.replace("\"a\"", &format!("\"{name}\""))).expect("written");
        let output = relay(&path, &["explain", "--config-only", name, "10.3.2.1"]);
        assert_eq!(output.status.code(), Some(code), "{name}: {}", stderr(&output));
        assert_eq!(stderr(&output).contains("is an address"), code == 2, "{}", stderr(&output));
    }
}

/// Whether an answer is yes, and its text, for a service.
fn asked(rules: &str, words: [&str; 3]) -> (String, Option<i32>) {
    let directory = super::diff::office("", rules);
    let arguments = [&["explain", "--config-only"], &words[..]].concat();
    let path = directory.path().join("relay.toml");
    let output = relay(&path, &arguments);
    let json = relay(&path, &[&arguments[..], &["--json"]].concat());
    if !json.stdout.is_empty() {
        schema::parse("explain", &stdout(&json));
    }
    let said = format!("{}{}", stdout(&output), stderr(&output));
    (said.replace(&directory.path().display().to_string(), ""), output.status.code())
}

#[test]
fn a_service_names_the_rule_that_decides_or_the_nearest_one() {
    let rule = |more: &str| {
        format!(
            "[[rule]]\nname = \"ssh\"\nfrom = [\"group:ops\"]\nto = [\"group:servers\"]\n\
             ports = [\"tcp/22\"]\n{more}\n"
        )
    };
    let mut report = String::new();
    for (more, words, code) in [
        ("", ["ann", "db", "tcp/22"], 0),
        ("until = 2999-12-31T18:00:00Z", ["ann", "db", "tcp/22"], 0),
        ("both_ways = true", ["db", "ann", "tcp/22"], 0),
        ("", ["db", "ann", "tcp/22"], 1),
        ("", ["ann", "db", "udp/53"], 1),
        ("except = [\"db\"]", ["ann", "db", "tcp/22"], 1),
        ("until = 2001-12-31T18:00:00Z", ["ann", "db", "tcp/22"], 1),
        ("", ["ann", "bob", "sctp"], 1),
        ("", ["ann", "10.3.2.1", "tcp/22"], 1),
        ("", ["ann", "db", "tcp"], 2),
    ] {
        let (said, found) = asked(&rule(more), words);
        assert_eq!(found, Some(code), "{words:?}: {said}");
        let more = if more.is_empty() { "as it is" } else { more };
        report += &format!("$ relay explain {} # {more}\n{said}\n", words.join(" "));
    }
    insta::assert_snapshot!("services", report);
}
