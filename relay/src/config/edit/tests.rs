//! What an edit was not asked to change is the same bytes after it.

use std::fs;

use super::{
    entry::Entry,
    mention::{mentions, renamed},
    new_peer::add,
    *,
};
use crate::{
    config::read::{
        Options, Source, judge,
        tests::{KEYS, filled},
    },
    model::{Peer, PeerName},
};

/// The examples, as they are and with the line ends of other systems.
fn texts() -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let files = fs::read_dir(directory).expect("examples");
    let texts = files.map(|file| fs::read_to_string(file.expect("a file").path()).expect("a text"));
    texts.flat_map(|text| [text.replace('\n', "\r\n"), text]).collect()
}

fn peers(text: &str) -> Vec<Peer> {
    let source = Source { path: "relay.toml".into(), text: Ok(text.to_owned()) };
    judge(&[source], Options { allow_empty: true }).expect("no problems").relay.peers
}

fn new_peer() -> NewPeer {
    NewPeer {
        name: "new".parse().expect("a name"),
        public_key: KEYS[0].parse().expect("a key"),
        addresses: vec!["10.3.2.77".parse().expect("an address")],
        routes: Vec::new(),
        allowed_ips: Some(Vec::new()),
        groups: vec!["servers".parse().expect("a name")],
    }
}

#[test]
fn what_was_added_can_be_removed_without_a_trace() {
    let name: PeerName = "new".parse().expect("a name");
    for text in texts().iter().map(String::as_str).chain(["", "[relay]\n", "# x\n\n[relay]\n"]) {
        let added = add(text, &new_peer()).expect("tables");
        assert!(added.starts_with(text));
        let entry = Entry::find(&added, &name).expect("it is there");
        assert_eq!(entry.remove(&added).expect("a table"), text);
    }
}

#[test]
fn what_was_renamed_is_renamed_back_without_a_trace() {
    let new: PeerName = "renamed".parse().expect("a name");
    for text in texts() {
        for peer in peers(&text) {
            let mentioned = mentions(&text, &peer.name);
            let changed = renamed(&text, &mentioned, &new);
            assert_eq!(mentions(&changed, &peer.name), []);
            let again = mentions(&changed, &new);
            assert_eq!(again.len(), mentioned.len());
            assert_eq!(renamed(&changed, &again, &peer.name), text);
        }
    }
}

#[test]
fn what_was_switched_off_is_switched_on_without_a_trace() {
    let said = |line: &str| line.trim_start().starts_with("enabled") && line.contains("= true");
    for text in texts() {
        let text: String = text.split_inclusive('\n').filter(|line| !said(line)).collect();
        for peer in peers(&text) {
            let entry = Entry::find(&text, &peer.name).expect("it is there");
            let off = entry.disable(&text).expect("a table");
            let there = peers(&off).into_iter().find(|other| other.name == peer.name);
            assert_eq!(there, Some(Peer { enabled: false, ..peer.clone() }));
            let entry = Entry::find(&off, &peer.name).expect("it is there");
            assert_eq!(entry.disable(&off).expect("a table"), off, "once is enough");
            assert_eq!(entry.enable(&off), text);
        }
    }
}

#[test]
fn a_switch_keeps_what_else_stands_on_its_line() {
    let name: PeerName = "a".parse().expect("a name");
    let switched = |text: &str| {
        let entry = Entry::find(text, &name).expect("it is there");
        (entry.disable(text), entry.enable(text))
    };
    let remarked = "[[peer]]\nname = \"a\"\n  enabled = false # away\n";
    let (off, on) = switched(remarked);
    assert_eq!(off.as_deref(), Some(remarked));
    assert_eq!(on, remarked.replace("false", "true"));
    let (off, on) = switched(&on);
    assert_eq!(off.as_deref(), Some(remarked));
    assert_eq!(on, remarked.replace("false", "true"));
    let last = "[[peer]]\nname=\"a\"";
    let (off, _) = switched(last);
    assert_eq!(off.as_deref(), Some("[[peer]]\nname=\"a\"\nenabled = false"));
    assert_eq!(switched(&off.expect("text")).1, last);
    let inline = "peer = [{ name = \"a\" }]\n";
    assert_eq!(switched(inline), (None, inline.to_owned()));
}

#[test]
fn a_removal_takes_the_peers_own_lines_and_no_others() {
    // Rules name peers; `peer remove` takes them out of there, too.
    let rules = "# Named sets of peers.";
    let texts = texts().into_iter().map(|text| match text.find(rules) {
        Some(start) => text[..start].to_owned(),
        None => text,
    });
    for text in texts.filter(|text| !text.contains("[[rule]]")) {
        let before = peers(&text);
        for (index, peer) in before.iter().enumerate() {
            let entry = Entry::find(&text, &peer.name).expect("it is there");
            let after = entry.remove(&text).expect("a table");
            let mut others = before.clone();
            others.remove(index);
            assert_eq!(peers(&after), others);
            let common = text.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
            let gap = text.len() - after.len();
            assert_eq!(after[common..], text[common + gap..], "one piece went");
        }
    }
}

#[test]
fn comments_stay_when_an_empty_line_keeps_them_off() {
    let text = filled(
        "# Top.\n\n# Of a.\n[[peer]]\nname = \"a\" # a\npublic_key = \"{KEY_A}\"\n# In a.\n\
         address = [\n  \"10.3.2.2\", # first\n]\n# Below a.\n\n# Between.\n\n# Of b.\n[[peer]]\n\
         name = \"b\"\npublic_key = \"{KEY_B}\"\naddress = [\"10.3.2.3\"]\n# Of defaults.\n[defaults]\n",
    );
    let removed = |name: &str| {
        let entry = Entry::find(&text, &name.parse().expect("a name")).expect("it is there");
        entry.remove(&text).expect("a table")
    };
    let (start, end) = (text.find("# Of a.").expect("it"), text.find("# Between.").expect("it"));
    assert_eq!(removed("a"), format!("{}{}", &text[..start], &text[end..]));
    let (start, end) =
        (text.find("# Of b.").expect("it"), text.find("# Of defaults.").expect("it"));
    assert_eq!(removed("b"), format!("{}{}", &text[..start], &text[end..]));
}
