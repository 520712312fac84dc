use std::{fs::File, process::Command};

use super::site::{PRIVATE, PUBLIC, Site};

#[test]
fn keys_are_made_as_wg_makes_them() {
    let site = Site::with("");
    let public = |key: &str| site.relay_with("genkey --public", key).ended(0).out;
    assert_eq!(public(PRIVATE[0]), format!("{}\n", PUBLIC[0]));
    assert_eq!(public(&format!("{}\n", PRIVATE[1])), format!("{}\n", PUBLIC[1]));
    let [one, other] = ["genkey", "genkey"].map(|words| site.relay(words).ended(0).out);
    assert_ne!(one, other);
    assert_eq!(public(&one).len(), 45);
    assert_eq!(site.relay("genkey --psk").ended(0).out.len(), 45);
}

#[test]
fn what_is_no_key_is_an_error_that_does_not_show_it() {
    let site = Site::with("");
    let run = site.relay_with("genkey --public", &PRIVATE[0][1..]);
    insta::assert_snapshot!(run.ended(2));
    site.relay("genkey --public --psk").ended(2);
}

#[test]
fn a_key_in_a_file_that_others_can_read_is_warned_about() {
    let site = Site::with("");
    let warned = |mode: u32| {
        site.write("private.key", "", mode);
        let file = File::options().write(true).open(site.path("private.key")).expect("a file");
        let relay = Command::new(env!("CARGO_BIN_EXE_relay")).arg("genkey").stdout(file).output();
        !relay.expect("relay runs").stderr.is_empty()
    };
    assert_eq!([0o644, 0o640, 0o600].map(warned), [true, true, false]);
}
