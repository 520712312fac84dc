//! A generated key is delivered, or nothing is changed; a closed standard output changes nothing
//! else.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use super::site::{OTHERS, Site};

/// Commands that generate a key.
const MADE: [&str; 3] = ["peer rotate a", "peer add c --generate", "peer rotate a --png -"];

/// Runs `relay` with this standard output; returns exit code and standard error.
fn run(site: &Site, words: &str, out: impl Into<Stdio>) -> (Option<i32>, String) {
    let child = command(site, words).stdout(out).stderr(Stdio::piped()).spawn();
    let output = child.expect("relay runs").wait_with_output().expect("relay ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn command(site: &Site, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    command
        .args(words.split_whitespace())
        .current_dir(site.path(""))
        .env_clear()
        .env("RELAY_CONFIG", site.path("relay.toml"))
        .env("RELAY_STATE", site.path("state"))
        .stdin(Stdio::null());
    command
}

/// A pipe without a reader.
fn unread() -> io::PipeWriter {
    let (_, writer) = io::pipe().expect("a pipe");
    writer
}

#[test]
fn a_change_is_not_made_when_its_key_reaches_nobody() {
    let site = Site::new();
    let before = site.tree();
    let open = |path: &str| File::options().write(true).open(path).expect("a device");
    for words in MADE {
        for (code, err) in [
            run(&site, words, unread()),
            run(&site, words, open("/dev/full")),
            run(&site, words, Stdio::null()),
        ] {
            assert_eq!(code, Some(1), "{words}: {err}");
            assert!(err.contains("so nothing was changed"), "{words}: {err}");
            assert!(!err.contains("added") && !err.contains("gave"), "{words}: {err}");
        }
        let closed = format!("exec {} {words} >&-", env!("CARGO_BIN_EXE_relay"));
        let closed = Command::new("sh")
            .args(["-c", &closed])
            .env("RELAY_CONFIG", site.path("relay.toml"))
            .env("RELAY_STATE", site.path("state"))
            .output();
        assert_eq!(closed.expect("sh runs").status.code(), Some(1), "{words}");
        assert_eq!(site.tree(), before, "{words}");
    }
}

#[test]
fn a_reader_that_leaves_before_the_end_was_not_given_a_key() {
    let site = Site::new();
    let before = site.tree();
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let child = command(&site, "peer rotate a").stdout(writer).stderr(Stdio::piped()).spawn();
    reader.read_exact(&mut [0; 1]).expect("a byte");
    drop(reader);
    let output = child.expect("relay runs").wait_with_output().expect("relay ends");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(site.tree(), before);
}

#[test]
fn a_picture_takes_the_place_of_nothing() {
    let site = Site::new();
    site.write("a.png", "the only copy of another key", 0o600);
    let before = site.tree();
    insta::assert_snapshot!(site.relay("peer rotate a --png a.png").ended(2));
    site.relay("peer add c --generate --png a.png").ended(2);
    site.relay("peer config a --private-key-file a.key --png a.png").ended(2);
    site.relay("peer rotate a --png new/a.png").ended(1);
    site.relay("peer rotate a --qr --png -").ended(2);
    assert_eq!(site.tree(), before, "nor makes directories");
    let picture = command(&site, "peer rotate a --png -").output().expect("relay runs");
    assert_eq!(picture.status.code(), Some(0));
    assert!(picture.stdout.starts_with(b"\x89PNG\r\n"));
    assert!(!site.path("-").exists());
}

#[test]
fn a_failed_delivery_leaves_no_picture() {
    let site = Site::new();
    let before = site.tree();
    let (code, err) = run(&site, "peer rotate a --qr --png a.png", unread());
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(site.tree(), before);
}

#[test]
fn who_reads_changes_neither_exit_code_nor_message() {
    let site = Site::new();
    site.write(
        "wg0.conf",
        &format!(
            "[Interface]\nAddress = 10.8.0.1/24\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.8.0.2\n",
            OTHERS[1]
        ),
        0o600,
    );
    for (words, code) in [
        ("explain --config-only a b", 0),
        ("explain --config-only a fd00::3:2:9", 1),
        ("explain --config-only --json a fd00::3:2:9", 1),
        ("explain --config-only a nobody", 2),
        ("peer list", 0),
        ("peer list --json", 0),
        ("peer config a", 0),
        ("peer config --stale", 0),
        ("peer config --stale --json", 0),
        ("peer rename a b --dry-run", 2),
        ("peer rename a c --dry-run", 0),
        ("check", 0),
        ("graph", 0),
        ("graph --format svg", 0),
        ("graph --format dot", 0),
        ("import wg0.conf", 0),
        ("completions bash", 0),
        ("man", 0),
        ("genkey --public", 2),
        ("--help", 0),
        ("no-such-verb", 2),
    ] {
        let read = command(&site, words).output().expect("relay runs");
        assert_eq!(read.status.code(), Some(code), "{words}");
        let said = String::from_utf8(read.stderr).expect("UTF-8");
        assert_eq!(run(&site, words, unread()), (Some(code), said), "{words}");
    }
    // Standard error may be closed too.
    let child = command(&site, "peer rename a c").stdout(unread()).stderr(unread()).status();
    assert_eq!(child.expect("relay runs").code(), Some(0));
    assert!(site.read("relay.toml").contains("name = \"c\""));
}

#[test]
fn who_may_not_read_is_told_to_be_root_and_nothing_else() {
    // The files belong to another user than the one who runs the tests.
    let site = Site::new();
    site.write("relay.d/b.toml", "", 0o600);
    let mode = |name: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(site.path(name), mode).expect("a mode");
    };
    let fails = |words: &str| {
        let mut command = command(&site, words);
        if std::fs::metadata("/proc/self")
            .is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
        {
            command.current_dir("/").uid(65_534).gid(65_534);
        }
        let output = command.output().expect("relay runs");
        let err = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(3), "{words}: {err}");
        assert!(err.contains("as root"), "{words}: {err}");
        for advice in ["readable", "remove", "chmod"] {
            assert!(!err.contains(advice), "{words}: {err}");
        }
    };
    let all = ["check", "peer list", "peer rename a c", "graph", "explain --config-only a b", "up"];
    for (name, closed, open) in [
        ("", 0o000, 0o755),
        ("relay.toml", 0o000, 0o644),
        ("relay.d", 0o000, 0o755),
        ("relay.d/b.toml", 0o000, 0o644),
    ] {
        mode("relay.toml", 0o644);
        mode(name, closed);
        all.iter().for_each(|words| fails(words));
        mode(name, open);
    }
    // Commands that only read need no write access to the directory.
    mode("psk", 0o000);
    mode("private.key", 0o000);
    fails("check");
    fails("peer rename a c");
}
