//! Checks a file before it is put in place, as configuration management does.

use super::site::{OTHERS, Site};

fn peer(name: &str, key: &str, address: &str) -> String {
    format!("[[peer]]\nname = \"{name}\"\npublic_key = \"{key}\"\naddress = [\"{address}\"]\n")
}

#[test]
fn a_main_file_is_judged_with_the_fragments_and_keys_of_its_place() {
    let site = Site::with("");
    // Relative paths of key files are relative to the place, not to the copy.
    let main = "[relay]\naddress = [\"10.3.2.1/24\"]\nprivate_key_file = \"private.key\"\n";
    site.write("relay.toml", main, 0o600);
    site.write("private.key", "no key", 0o600);
    site.write("relay.d/b.toml", &peer("b", OTHERS[0], "10.3.2.3"), 0o600);
    site.write("tmp/candidate", main, 0o600);
    let run = site.relay("check --replace relay.toml=tmp/candidate").ended(2);
    assert!(run.err.contains("private.key"), "{run}");

    site.write("tmp/candidate", "[relay]\naddress = [\"10.3.2.1/24\"]\n", 0o600);
    let before = site.tree();
    let run = site.relay("check --replace relay.toml=tmp/candidate").ended(0);
    assert!(run.out.contains("1 peer,"), "{run}");
    // Without --replace, the copy has no peers.
    site.relay("check tmp/candidate").ended(2);

    site.write("tmp/candidate", "[relay]\naddress = [\"10.9.9.1/24\"]\n", 0o600);
    insta::assert_snapshot!(site.relay("check --replace relay.toml=tmp/candidate").ended(2));
    site.write("tmp/candidate", "[relay]\naddress = [\"10.3.2.1/24\"]\n", 0o600);
    assert_eq!(site.tree(), before, "nothing is touched");
}

#[test]
fn files_that_change_together_are_judged_together() {
    let site = Site::with("[relay]\naddress = [\"10.3.2.1/24\"]\n");
    site.write("relay.d/b.toml", &peer("b", OTHERS[0], "10.3.2.3"), 0o600);
    site.write("main", "[relay]\naddress = [\"10.9.9.1/24\"]\n", 0o600);
    site.write("fragment", &peer("b", OTHERS[0], "10.9.9.3"), 0o600);
    site.relay("check --replace relay.toml=main").ended(2);
    site.relay("check --replace relay.d/b.toml=fragment").ended(2);
    site.relay("check --replace relay.toml=main --replace relay.d/b.toml=fragment").ended(0);
}

#[test]
fn a_fragment_to_be_is_judged_among_the_others() {
    let site = Site::new();
    site.write("staged", &peer("c", OTHERS[1], "10.3.2.4"), 0o600);
    let run = site.relay("check --replace relay.d/c.toml=staged").ended(0);
    assert!(run.out.contains("configuration valid: 3 peers, "), "{run}");
    site.write("staged", &peer("c", OTHERS[1], "10.3.2.3"), 0o600);
    insta::assert_snapshot!(site.relay("check --replace relay.d/c.toml=staged").ended(2));
}

#[test]
fn what_replaces_nothing_is_said() {
    let site = Site::new();
    site.write("staged", "", 0o600);
    insta::assert_snapshot!(site.relay("check --replace elsewhere/c.toml=staged").ended(2));
    insta::assert_snapshot!(site.relay("check --replace relay.d/c.toml=absent").ended(2));
    insta::assert_snapshot!(site.relay("check --replace relay.toml").ended(2));
}
