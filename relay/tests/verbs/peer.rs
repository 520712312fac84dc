//! Adding, removing and renaming peers; everything else in the files stays, byte for byte.

use std::{fs, os::unix::fs::symlink};

use super::site::{OTHERS, PUBLIC, Site};

#[test]
fn a_new_peer_is_a_fragment_with_the_next_free_addresses() {
    let site = Site::new();
    let main = site.read("relay.toml");
    let key = OTHERS[1];
    let run = site.relay(&format!(
        "peer add node-c --public-key {key} --allow 10.3.2.2,10.3.2.9/32 --routes 192.168.40.0/24"
    ));
    insta::assert_snapshot!(run.ended(0));
    insta::assert_snapshot!(site.read("relay.d/node-c.toml"));
    assert_eq!(site.read("relay.toml"), main);
    assert_eq!(site.mode("relay.d/node-c.toml"), 0o640, "as open as the main file");
    site.relay("check").ended(0);
}

#[test]
fn what_is_taken_is_not_given_again() {
    let site = Site::with(&format!(
        "[relay]\naddress = [\"10.3.2.2/29\"]\n[[peer]]\nname = \"a\"\npublic_key = \"{}\"\n\
         address = [\"10.3.2.1\"]\nroutes = [\"10.3.2.4/31\"]\n",
        OTHERS[0]
    ));
    let add = |name: &str, key| site.relay(&format!("peer add {name} --public-key {key}"));
    assert!(add("b", OTHERS[1]).ended(0).out.contains("added b with 10.3.2.3:"));
    assert!(add("c", OTHERS[2]).ended(0).out.contains("added c with 10.3.2.6:"));
    let before = site.tree();
    insta::assert_snapshot!(add("d", PUBLIC[0]).ended(2));
    assert_eq!(site.tree(), before);
}

#[test]
fn a_peer_is_added_to_a_file_behind_all_that_stands_there() {
    let site = Site::new();
    fs::rename(site.path("relay.toml"), site.path("real.toml")).expect("renamed");
    symlink("real.toml", site.path("relay.toml")).expect("a link");
    let before = site.read("relay.toml");
    let words = format!("peer add c --public-key {} --file ./relay.toml", OTHERS[1]);
    site.relay(&words).ended(0);
    let after = site.read("relay.toml");
    insta::assert_snapshot!(after.strip_prefix(&before).expect("nothing else changed"));
    assert_eq!(site.mode("relay.toml"), 0o640);
    assert!(fs::symlink_metadata(site.path("relay.toml")).expect("there").is_symlink());
}

#[test]
fn a_rename_changes_the_name_alone() {
    let site = Site::new();
    let before = site.read("relay.toml");
    insta::assert_snapshot!(site.relay("peer rename a admin").ended(0));
    let name = |name: &str| format!("  name = \"{name}\"   # nobody else");
    assert_eq!(site.read("relay.toml"), before.replace(&name("a"), &name("admin")));
}

#[test]
fn a_peer_that_is_off_keeps_its_place() {
    let site = Site::new();
    let before = site.read("relay.toml");
    insta::assert_snapshot!(site.relay("peer disable b --dry-run").ended(0));
    assert_eq!(site.read("relay.toml"), before);
    insta::assert_snapshot!(site.relay("peer disable b").ended(0));
    let off = before.replace("name=\"b\"\n", "name=\"b\"\nenabled = false\n");
    assert_eq!(site.read("relay.toml"), off);
    insta::assert_snapshot!(site.relay("peer disable b").ended(0));
    assert_eq!(site.read("relay.toml"), off);

    // No other peer gets its address, it reaches no one, and commands report it.
    let add = format!("peer add c --public-key {}", OTHERS[1]);
    assert!(site.relay(&add).ended(0).out.contains("added c with 10.3.2.4 and"));
    insta::assert_snapshot!(site.relay("explain --config-only a b").ended(1));
    insta::assert_snapshot!(site.relay("peer list").ended(0));
    let list = site.relay("peer list --json").ended(0).json("peers");
    assert_eq!(list["peers"][1]["enabled"], false);
    let client = site.relay("peer config b").ended(0);
    assert!(client.err.contains("warning: b is disabled"), "{client}");
    assert!(client.out.contains("AllowedIPs = 10.3.2.2/32"), "its file stays what it was");

    insta::assert_snapshot!(site.relay("peer enable b").ended(0));
    assert_eq!(site.read("relay.toml"), before);
    site.relay("explain --config-only a b").ended(0);
    site.relay("peer enable nobody").ended(2);
}

#[test]
fn a_rotation_changes_the_key_alone() {
    let site = Site::new();
    let before = site.read("relay.toml");
    let run = site.relay("peer rotate a").ended(0);
    let private = run.out.lines().find_map(|line| line.strip_prefix("PrivateKey = "));
    let public = site.relay_with("genkey --public", private.expect("a key")).ended(0).out;
    let after = before.replace(&format!("'{}'", PUBLIC[1]), &format!("\"{}\"", public.trim()));
    assert_eq!(site.read("relay.toml"), after);
}

#[test]
fn a_peer_goes_with_the_comments_that_touch_it() {
    let site = Site::new();
    let before = site.read("relay.toml");
    insta::assert_snapshot!(site.relay("peer remove b").ended(0));
    let start = before.find("# In the cellar.").expect("it is there");
    let end = before.find("# The end.").expect("it is there");
    assert_eq!(site.read("relay.toml"), format!("{}{}", &before[..start], &before[end..]));
}

#[test]
fn line_ends_of_another_system_stay() {
    let site = Site::new();
    let dos = site.read("relay.toml").replace('\n', "\r\n");
    site.write("relay.toml", &dos, 0o600);
    let words = format!("peer add c --public-key {} --file relay.toml", OTHERS[1]);
    site.relay(&words).ended(0);
    let added = site.read("relay.toml");
    assert!(added.starts_with(&dos));
    assert_eq!(added.matches('\n').count(), added.matches("\r\n").count());
    site.relay("peer rename c d").ended(0);
    site.relay("peer remove d").ended(0);
    assert_eq!(site.read("relay.toml"), dos);
}

#[test]
fn a_fragment_in_which_nothing_is_left_goes() {
    let site = Site::new();
    let before = site.read("relay.toml");
    site.relay(&format!("peer add c --public-key {}", OTHERS[1])).ended(0);
    site.relay("peer remove c").ended(0);
    assert!(!site.path("relay.d/c.toml").exists());
    site.write("relay.d/c.toml", "# Of the cellar's.\n\n", 0o600);
    let words = format!("peer add c --public-key {} --file relay.d/c.toml", OTHERS[1]);
    site.relay(&words).ended(0);
    site.relay("peer remove c").ended(0);
    assert_eq!(site.read("relay.d/c.toml"), "# Of the cellar's.\n");
    assert_eq!(site.read("relay.toml"), before);
}

#[test]
fn a_dry_run_shows_the_change_and_touches_nothing() {
    let site = Site::new();
    let before = site.tree();
    let add = format!("peer add c --public-key {} --file relay.toml --dry-run", OTHERS[1]);
    let runs = [add.as_str(), "peer remove b --dry-run", "peer rename a admin --dry-run"];
    let shown = runs.map(|words| site.relay(words).ended(0).to_string());
    insta::assert_snapshot!(shown.join("\n\n"));
    let run = site.relay("peer add c --generate --dry-run").ended(0);
    assert!(run.out.ends_with("nothing changed; each run generates a new key pair\n"), "{run}");
    assert!(!run.to_string().contains("PrivateKey"));
    assert_eq!(site.tree(), before);
}

#[test]
fn what_cannot_be_done_says_why_and_touches_nothing() {
    let site = Site::new();
    site.write("elsewhere.toml", "", 0o600);
    site.write("relay.d/d.toml", "# Only a comment.\n", 0o600);
    let before = site.tree();
    let [a, b, _] = OTHERS;
    let runs = [
        "peer add c".to_owned(),
        "peer add c --public-key dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC".to_owned(),
        format!("peer add C --public-key {b}"),
        format!("peer add a --public-key {b}"),
        format!("peer add c --public-key {a}"),
        format!("peer add c --public-key {}", PUBLIC[0]),
        format!("peer add c --public-key {b} --address 10.9.9.9"),
        format!("peer add c --public-key {b} --address 10.3.2.2"),
        format!("peer add c --public-key {b} --address 10.3.2.0/24"),
        format!("peer add c --public-key {b} --allow 10.3.2.9/24"),
        format!("peer add c --public-key {b} --file elsewhere.toml"),
        format!("peer add d --public-key {b}"),
        format!("peer add c --public-key {b} --generate"),
        format!("peer add c --public-key {b} --qr"),
        "peer remove c".to_owned(),
        "peer remove something-else".to_owned(),
        "peer remove --allow-empty aa".to_owned(),
        "peer rename a b".to_owned(),
        "peer rename c d".to_owned(),
        "peer rotate c".to_owned(),
        "peer config c".to_owned(),
    ];
    let shown = runs.map(|words| format!("$ relay {words}\n{}", site.relay(&words).ended(2)));
    insta::assert_snapshot!(shown.join("\n\n"));
    assert_eq!(site.tree(), before);
}

#[test]
fn the_last_peer_goes_only_on_request() {
    let site = Site::new();
    site.relay("peer remove a").ended(0);
    let before = site.tree();
    insta::assert_snapshot!(site.relay("peer remove b").ended(2));
    assert_eq!(site.tree(), before);
    site.relay("peer remove b --allow-empty").ended(0);
    insta::assert_snapshot!(site.relay("peer list").ended(0));
}

#[test]
fn peers_that_stand_inline_are_left_to_people() {
    let peer = |name: &str, key: &str, host: u8| {
        format!("{{name = \"{name}\", public_key = \"{key}\", address = [\"10.3.2.{host}\"]}}")
    };
    let peers = [peer("a", OTHERS[0], 2), peer("b", OTHERS[1], 3)].join(", ");
    let text = format!("peer = [{peers}]\n[relay]\naddress = [\"10.3.2.1/24\"]\n");
    let site = Site::with(&text);
    insta::assert_snapshot!(site.relay("peer remove b").ended(2));
    let add = format!("peer add c --public-key {} --file relay.toml", OTHERS[2]);
    site.relay(&add).ended(2);
    assert_eq!(site.read("relay.toml"), text);
    site.relay("peer rename b c").ended(0);
    assert_eq!(site.read("relay.toml"), text.replace("\"b\"", "\"c\""));
}

#[test]
fn the_list_shows_who_lists_whom() {
    let site = Site::new();
    let words = "peer add c --allow 10.3.2.0/24 --public-key";
    site.relay(&format!("{words} {}", OTHERS[1])).ended(0);
    insta::assert_snapshot!(site.relay("peer list").ended(0));
    let json = site.relay("peer list --json").ended(0).json("peers");
    assert_eq!(json["schemaVersion"], 1);
    assert_eq!(json["interface"], "relay0");
    assert_eq!(json["peers"][0]["allowedIps"], serde_json::json!(["10.3.2.3/32"]));
    assert_eq!(json["peers"][0]["oneSided"], serde_json::json!([]));
    assert_eq!(json["peers"][2]["oneSided"], serde_json::json!(["a", "b"]));
    assert_eq!(json["peers"][2]["publicKey"], OTHERS[1]);
}

#[test]
fn peers_added_at_once_to_one_file_are_all_in_it() {
    let site = Site::new();
    let keys: Vec<String> = (0..8)
        .map(|_| {
            let private = site.relay("genkey").ended(0).out;
            site.relay_with("genkey --public", &private).ended(0).out.trim().to_owned()
        })
        .collect();
    std::thread::scope(|scope| {
        for (number, key) in keys.iter().enumerate() {
            let words = format!("peer add new-{number} --public-key {key} --file relay.toml");
            let site = &site;
            scope.spawn(move || site.relay(&words).ended(0));
        }
    });
    let text = site.read("relay.toml");
    assert!((0..8).all(|number| text.contains(&format!("\"new-{number}\""))), "{text}");
    assert!(keys.iter().all(|key| text.contains(key)), "{text}");
    site.relay("check").ended(0);
}
