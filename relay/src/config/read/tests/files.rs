use std::fs;

use super::*;

const PEER: &str = "[[peer]]\nname = \"NAME\"\npublic_key = \"KEY\"\naddress = [\"ADDRESS\"]\n";

fn peer(name: &str, key: &str, address: &str) -> String {
    PEER.replace("NAME", name).replace("KEY", key).replace("ADDRESS", address)
}

#[test]
fn fragments_are_read_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let main = directory.path().join("site.toml");
    let fragments = directory.path().join("site.d");
    fs::create_dir(&fragments).expect("a directory");
    fs::write(&main, format!("{RELAY}{}", peer("a", KEYS[0], "10.3.2.2"))).expect("written");
    fs::write(fragments.join("20-c.toml"), peer("c", KEYS[2], "10.3.2.4")).expect("written");
    fs::write(fragments.join("10-b.toml"), peer("b", KEYS[1], "10.3.2.3")).expect("written");
    for left_over in [".10-b.toml", "10-b.toml~", "10-b.toml.rpmsave", "README"] {
        fs::write(fragments.join(left_over), "no TOML").expect("written");
    }
    let relay = load(&main, Options::default()).expect("no problems").relay;
    let names: Vec<_> = relay.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn what_is_loaded_again_is_what_the_files_say_now() {
    let directory = tempfile::tempdir().expect("a directory");
    let main = directory.path().join("relay.toml");
    let fragments = directory.path().join("relay.d");
    fs::create_dir(&fragments).expect("a directory");
    fs::write(&main, format!("{RELAY}{}", peer("a", KEYS[0], "10.3.2.2"))).expect("written");
    let fragment = fragments.join("b.toml");
    fs::write(&fragment, peer("b", KEYS[1], "10.3.2.3")).expect("written");
    let options = Options::default();
    let first = load(&main, options).expect("no problems");
    let relay = first.relay.clone();
    let same = load_again(first, &main, options).expect("no problems");
    assert_eq!(same.relay, relay);

    let again = |loaded, text: Option<String>| {
        match text {
            Some(text) => fs::write(&fragment, text).expect("written"),
            None => fs::remove_file(&fragment).expect("removed"),
        }
        load_again(loaded, &main, options)
    };
    let changed = again(same, Some(peer("c", KEYS[1], "10.3.2.3"))).expect("no problems");
    assert_eq!(changed.relay.peers[1].name.as_str(), "c");
    let without = again(changed, None).expect("no problems");
    assert_eq!(without.relay.peers.len(), 1);
    let with = again(without, Some(peer("b", KEYS[1], "10.3.2.3"))).expect("no problems");
    assert_eq!(with.relay, relay);
    fs::rename(&fragment, fragments.join("10-b.toml")).expect("renamed");
    let renamed = load_again(with, &main, options).expect("no problems");
    assert_eq!(renamed.texts[1].0, fragments.join("10-b.toml"));
    fs::write(&main, "relay").expect("written");
    load_again(renamed, &main, options).expect_err("problems");
}

#[test]
fn groups_of_all_files_are_one_set_with_each_name_once() {
    let main = format!("{RELAY}[groups]\nops = [\"a\"]\n{}", peer("a", KEYS[0], "10.3.2.2"));
    let fragment = "[groups]\nstaff = [\"group:ops\"]\n";
    let loaded = parse(&sources(&[&main, fragment]), Options::default()).expect("no problems");
    let members = loaded.relay.groups.iter().map(|group| (group.name.as_str(), &*group.members));
    assert!(members.eq([("ops", &[0][..]), ("staff", &[0][..])]));
    insta::assert_snapshot!(
        problems(&[&main, "[groups]\nops = [\"a\"]\n"]),
        @"relay.d/1.toml:2:1: groups.ops: is already a group (relay.toml:4); join both lists in one"
    );
}

#[test]
fn what_cannot_be_read_is_a_problem_beside_the_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let main = directory.path().join("relay.toml");
    let fragments = directory.path().join("relay.d");
    fs::create_dir_all(fragments.join("10-directory.toml")).expect("a directory");
    fs::write(&main, format!("{RELAY}mtu = 5\n")).expect("written");
    fs::write(fragments.join("20-bytes.toml"), b"name = \"\xff\"").expect("written");
    fs::write(fragments.join("30-unknown.toml"), "[[peer]]\nnam = \"a\"\n").expect("written");
    let problems = load(&main, Options::default()).expect_err("problems").to_string();
    let problems = problems.replace(&directory.path().display().to_string(), "/etc/relay");
    insta::assert_snapshot!(problems, @r#"
    /etc/relay/relay.toml:3:7: relay.mtu: 5 is outside 576 to 9000; write mtu = 1420
    /etc/relay/relay.d/10-directory.toml:1:1: file: cannot be read: not a regular file; name a regular file
    /etc/relay/relay.d/20-bytes.toml:1:1: file: is not UTF-8 (byte 8); save it as UTF-8
    /etc/relay/relay.d/30-unknown.toml:1:1: peer.name: is missing; add name = "node-b"
    /etc/relay/relay.d/30-unknown.toml:1:1: peer.public_key: is missing; add public_key = "..."
    /etc/relay/relay.d/30-unknown.toml:1:1: peer.address: is missing; add address = ["10.3.2.3"]
    /etc/relay/relay.d/30-unknown.toml:2:1: peer.nam: is not a key of [[peer]]; did you mean name?
    "#);
}

#[test]
fn a_missing_main_file_is_one_problem() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("relay.toml");
    let problems = load(&path, Options::default()).expect_err("problems").to_string();
    let problems = problems.replace(&directory.path().display().to_string(), "/etc/relay");
    insta::assert_snapshot!(problems, @r"
    /etc/relay/relay.toml:1:1: file: does not exist; create it, or name another with --config
    ");
}

#[test]
fn only_regular_files_are_read_and_none_without_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let fifo = std::process::Command::new("mkfifo").arg(path("fifo.toml")).status();
    assert!(fifo.expect("mkfifo").success());
    std::os::unix::fs::symlink("/dev/zero", path("zero.toml")).expect("a link");
    let large = fs::File::create(path("large.toml")).expect("a file");
    large.set_len(regular::TEXT_MAX + 1).expect("a length");
    for (name, why) in [
        ("fifo.toml", "not a regular file"),
        ("zero.toml", "not a regular file"),
        ("large.toml", "larger than 67108864 bytes"),
    ] {
        let problems = load(&path(name), Options::default()).expect_err("problems").to_string();
        assert!(problems.contains(&format!("cannot be read: {why}; ")), "{problems}");
    }
}
