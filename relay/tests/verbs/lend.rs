//! Access that is lent: what is written, and what is not.

use std::{fs, os::unix::fs::symlink};

use super::site::{Run, Site};

const RULES: &str = include_str!("../../../examples/rules.toml");

/// What nobody who reads this will live to see end.
const FAR: &str = "2999-12-31T18:00:00Z";
const PAST: &str = "2001-01-01T00:00:00Z";

/// The output with `TIME` in place of each time, and without the warning that depends on the host.
fn timeless(run: &Run) -> String {
    const LEN: usize = FAR.len();
    let text = run.to_string();
    let is_said = |line: &&str| !line.contains("no known time service runs");
    let text: String = text.split_inclusive('\n').filter(is_said).collect();
    let is_time = |at: usize| {
        let time = text.as_bytes().get(at..at + LEN)?;
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
        marks.iter().all(|&(place, mark)| time[place] == mark).then_some(())
    };
    let mut shown = String::new();
    let mut skipped = 0;
    for (at, c) in text.char_indices() {
        if skipped == 0 && is_time(at).is_some() {
            shown.push_str("TIME");
            skipped = LEN;
        }
        match skipped {
            0 => shown.push(c),
            _ => skipped -= 1,
        }
    }
    shown
}

/// A fragment as `lend` writes it.
fn fragment(name: &str, until: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\ndescription = \"audit\"\nfrom = [\"guest\"]\nto = [\"db\"]\n\
         ports = [\"tcp/5432\"]\nuntil = {until}\n"
    )
}

#[test]
fn what_is_lent_is_a_rule_in_a_fragment_of_its_own() {
    let site = Site::with(RULES);
    let before = site.tree();
    let shown = [
        "lend guest db tcp/5432 --for 2h --dry-run",
        "lend group:admins 10.3.2.6 udp/53 tcp/8000-8100 icmp/echo --for 30days --both-ways \
         --reason say:\"\\\" --dry-run",
        "lend any fd00::3:2:4/127 sctp --for 1s --dry-run",
    ]
    .map(|words| format!("$ relay {words}\n{}", timeless(&site.relay(words).ended(0))));
    insta::assert_snapshot!(shown.join("\n\n"));
    assert_eq!(site.tree(), before);

    // What it shows is what `check` accepts.
    for words in [
        "lend guest db tcp/5432 --for 2h --dry-run",
        &shown[1][8..shown[1].find('\n').expect("a line")],
    ] {
        let run = site.relay(words);
        let lines: Vec<&str> = run.out.lines().filter_map(|line| line.strip_prefix("+ ")).collect();
        let name = lines.iter().find_map(|line| line.strip_prefix("name")).expect("a name");
        let name = name.trim_matches([' ', '=', '"']);
        site.write(&format!("relay.d/{name}.toml"), &lines.join("\n"), 0o600);
    }
    site.relay("check").ended(0);
    let list = site.relay("lend --list --json").ended(0).json("lend");
    assert_eq!(list["loans"][1]["reason"], "say:\"\\\"");
    // The next one gets another name.
    let again = site.relay("lend guest db tcp/5432 --for 3h --dry-run").ended(0);
    assert!(again.out.contains("/relay.d/lent-guest-db-2.toml\n"), "{again}");
}

#[test]
fn a_name_that_a_file_or_a_rule_has_is_not_given_again() {
    let site = Site::with(RULES);
    fs::create_dir_all(site.path("relay.d/lent-guest-db.toml.d")).expect("a directory");
    symlink("/nowhere", site.path("relay.d/lent-guest-db")).expect("a link");
    let name = |words: &str| {
        let out = site.relay(words).ended(0).out;
        out.lines().next().and_then(|line| line.rsplit('/').next()).expect("a path").to_owned()
    };
    let words = "lend guest db tcp/5432 --for 2h --dry-run";
    assert_eq!(name(words), "lent-guest-db.toml");
    let other = "[[rule]]\nname = \"lent-guest-db\"\nfrom = [\"guest\"]\nto = [\"bob\"]\n";
    site.write("relay.d/others.toml", other, 0o600);
    assert_eq!(name(words), "lent-guest-db-2.toml");
    site.write("relay.d/lent-guest-db-2.toml", "# Nothing yet.\n", 0o600);
    assert_eq!(name(words), "lent-guest-db-3.toml");
    // A rule of that name elsewhere is not lent.
    insta::assert_snapshot!(site.relay("lend --revoke lent-guest-db --dry-run").ended(2));
}

#[test]
fn what_cannot_be_lent_says_why_and_touches_nothing() {
    let site = Site::with(RULES);
    let shadow = "[[test]]\nfrom = \"guest\"\nto = \"bob\"\ndeny = [\"tcp/22\"]\n";
    site.write("relay.d/tests.toml", shadow, 0o600);
    let off = RULES.replace("name       = \"bob\"", "name       = \"bob\"\nenabled = false");
    let before = site.tree();
    let runs = [
        "lend guest db tcp/5432",
        "lend guest db --for 2h",
        "lend guest --for 2h",
        "lend guest db tcp/5432 --for 0s",
        "lend guest db tcp/5432 --for 999ms",
        "lend guest db tcp/5432 --for 2",
        "lend guest db tcp/5432 --for soon",
        "lend guest db tcp/5432 --for -2h",
        "lend guest db tcp/5432 --for 367days",
        "lend guest db tcp/5432 --for 99999999999999999999y",
        "lend guest db tcp/5432 --for 500000000000y",
        "lend guest db tcp/5432 --for 2h --until 2999-12-31T18:00:00Z",
        "lend guest db tcp/5432 --until 2999-12-31T18:00:00Z",
        "lend guest db tcp/5432 --until 2001-01-01T00:00:00Z",
        "lend guest db tcp/5432 --until 2999-12-31T18:00:00",
        "lend guest db tcp/5432 --until 18:00",
        "lend guest db tcp/5432 --until tomorrow",
        "lend ../../../etc/passwd db tcp/5432 --for 2h",
        "lend guest group:../db tcp/5432 --for 2h",
        "lend gest db tcp/5432 --for 2h",
        "lend guest servers tcp/5432 --for 2h",
        "lend guest 10.9.9.9 tcp/5432 --for 2h",
        "lend guest guest tcp/5432 --for 2h",
        "lend guest db tcp/0-70000 --for 2h",
        "lend guest db tcp/22 tcp/22 --for 2h",
        "lend guest bob tcp/20-30 --for 2h",
        "lend ann web tcp/22 --for 2h",
        "lend group:admins group:servers tcp/22 --for 2h",
        "lend --list --revoke lent-guest-db",
        "lend --list --for 2h",
        "lend --json",
        "lend --revoke lent-guest-db --dry-run",
        "lend --revoke ../tests --dry-run",
        "lend --revoke admins-ssh --dry-run",
    ];
    let shown = runs.map(|words| {
        // As root, nothing would keep it from being lent.
        let dry_run =
            if words.contains("--dry-run") || words.contains("--list") { "" } else { " --dry-run" };
        format!("$ relay {words}\n{}", timeless(&site.relay(&format!("{words}{dry_run}")).ended(2)))
    });
    insta::assert_snapshot!(shown.join("\n\n"));
    let mut reason = site.command("lend guest db tcp/5432 --for 2h --dry-run --reason");
    let reason = reason.arg("one\ntwo").output().expect("relay runs");
    assert_eq!(reason.status.code(), Some(2));
    assert_eq!(site.tree(), before);

    site.write("relay.toml", &off, 0o640);
    insta::assert_snapshot!(site.relay("lend bob db tcp/5432 --for 2h --dry-run").ended(2));
}

#[test]
fn what_lists_open_is_not_lent() {
    let site = Site::new();
    let before = site.tree();
    insta::assert_snapshot!(site.relay("lend a b tcp/22 --for 2h --dry-run").ended(2));
    assert_eq!(site.tree(), before);
}

#[test]
fn nothing_is_written_where_the_relay_is_not_up() {
    let site = Site::with(&RULES.replace("[relay]\n", "[relay]\ninterface = \"nonesuch0\"\n"));
    let before = site.tree();
    site.relay("lend guest db tcp/5432 --for 2h").ended(3);
    assert_eq!(site.tree(), before);
}

#[test]
fn clients_without_a_route_are_named() {
    let exact = RULES.replace("client_allowed_ips = \"overlay\"", "client_allowed_ips = \"exact\"");
    let site = Site::with(&exact);
    let run = site.relay("lend guest bob tcp/5432 --for 2h --dry-run").ended(0);
    assert!(run.err.contains("no route to each other yet: bob, guest; give them"), "{run}");
    // Everybody pings the servers.
    let run = site.relay("lend guest db tcp/5432 --for 2h --dry-run").ended(0);
    assert!(!run.err.contains("no route"), "{run}");
}

#[test]
fn what_is_lent_is_listed() {
    let site = Site::with(RULES);
    insta::assert_snapshot!(site.relay("lend --list").ended(0));
    site.write("relay.d/lent-guest-db.toml", &fragment("lent-guest-db", FAR), 0o600);
    site.write("relay.d/lent-old.toml", &fragment("lent-old", PAST), 0o600);
    // These are not what `lend` writes.
    let two = fragment("lent-two", FAR) + &fragment("more", FAR);
    site.write("relay.d/lent-two.toml", &two, 0o600);
    site.write("relay.d/other.toml", &fragment("lent-other", FAR), 0o600);
    let text = site.relay("lend --list").ended(0);
    let names: Vec<_> = text.out.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["name", "lent-old", "lent-guest-db"], "{text}");
    assert!(!text.out.lines().any(|line| line.ends_with(' ')), "{text}");
    let json = site.relay("lend --list --json").ended(0).json("lend");
    let [old, other] = json["loans"].as_array().expect("a list").as_slice() else {
        panic!("{json}")
    };
    assert!(old["secondsLeft"].as_i64() < Some(0) && other["secondsLeft"].as_i64() > Some(0));
    assert_eq!([&other["until"], &other["reason"], &other["from"][0]], [FAR, "audit", "guest"]);
    assert_eq!(other["file"], site.path("relay.d/lent-guest-db.toml").display().to_string());
}

#[test]
fn what_is_revoked_is_shown_first() {
    let site = Site::with(RULES);
    site.write("relay.d/lent-guest-db.toml", &fragment("lent-guest-db", FAR), 0o600);
    let before = site.tree();
    insta::assert_snapshot!(site.relay("lend --revoke lent-guest-db --dry-run").ended(0));
    insta::assert_snapshot!(site.relay("lend --revoke lent-gest-db --dry-run").ended(2));
    // What a test asks for is not taken away.
    let test = "[[test]]\nfrom = \"guest\"\nto = \"db\"\nallow = [\"tcp/5432\"]\n";
    site.write("relay.d/test.toml", test, 0o600);
    insta::assert_snapshot!(site.relay("lend --revoke lent-guest-db --dry-run").ended(2));
    fs::remove_file(site.path("relay.d/test.toml")).expect("removed");
    assert_eq!(site.tree(), before);
}

#[test]
fn what_has_ended_goes_with_the_next_change() {
    let site = Site::with(RULES);
    site.write("relay.d/lent-old.toml", &fragment("lent-old", PAST), 0o600);
    site.write("relay.d/lent-new.toml", &fragment("lent-new", FAR), 0o600);
    // Whatever else somebody wrote stays.
    let kept = ["relay.d/lent-two.toml", "relay.d/other.toml"];
    site.write(kept[0], &(fragment("lent-two", PAST) + &fragment("more", PAST)), 0o600);
    site.write(kept[1], &fragment("lent-other", PAST), 0o600);
    let before = site.tree();
    for words in ["check", "lend --list", "peer list", "peer disable ann --dry-run"] {
        site.relay(words).ended(0);
    }
    for words in ["up --dry-run", "reload --dry-run"] {
        site.relay(words);
    }
    assert_eq!(site.tree(), before);
    // It is in nobody's way.
    insta::assert_snapshot!(site.relay("peer disable guest").ended(0));
    assert!(!site.path("relay.d/lent-old.toml").exists());
    assert!(
        ["relay.d/lent-new.toml", kept[0], kept[1]].iter().all(|file| site.path(file).exists())
    );
}
