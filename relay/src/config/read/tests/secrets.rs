use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::*;

const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
/// The public key of [`PRIVATE`].
const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
const PRESHARED: &str = "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=";

/// A configuration in a directory of its own, which goes with the value.
struct Site(tempfile::TempDir);

impl Site {
    fn new(public_key: &str) -> Self {
        let site = Self(tempfile::tempdir().expect("a directory"));
        let text = format!(
            "{RELAY}private_key_file = \"private.key\"\n[[peer]]\nname = \"node-b\"\n\
             public_key = \"{public_key}\"\naddress = [\"10.3.2.3\"]\npreshared_key_file = \"psk\"\n"
        );
        site.write("relay.toml", &text, 0o644);
        site
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn load(&self) -> Loaded {
        load(&self.0.path().join("relay.toml"), Options::default()).expect("no problems")
    }

    /// What reading the key files says, with the directory as `/etc/relay`.
    fn problems(&self) -> String {
        let problems = Secrets::read(&self.load()).expect_err("problems").to_string();
        problems.replace(&self.0.path().display().to_string(), "/etc/relay")
    }
}

#[test]
fn keys_are_read_from_beside_the_main_file() {
    let site = Site::new(KEYS[1]);
    site.write("private.key", &format!("{PRIVATE}\n"), 0o600);
    site.write("psk", PRESHARED, 0o400);
    let loaded = site.load();
    assert_eq!(loaded.warnings, []);
    let secrets = Secrets::read(&loaded).expect("keys");
    let public_key = secrets.private_key().expect("a key").public_key();
    assert_eq!(public_key.to_string(), PUBLIC);
    let preshared_key = secrets.preshared_key(&loaded.relay.peers[0]).expect("a key");
    assert_eq!(preshared_key.to_base64().as_str(), PRESHARED);
    assert_eq!(format!("{secrets:?}"), "(hidden)");
}

#[test]
fn an_absent_private_key_is_fine_and_an_absent_preshared_key_is_not() {
    let site = Site::new(KEYS[1]);
    insta::assert_snapshot!(site.problems(), @r"
    /etc/relay/relay.toml:8:22: node-b.preshared_key_file: /etc/relay/psk does not exist; create it with (umask 077; wg genpsk > /etc/relay/psk)
    ");
    site.write("psk", PRESHARED, 0o600);
    let secrets = Secrets::read(&site.load()).expect("keys");
    assert!(secrets.private_key().is_none());
}

#[test]
fn files_without_a_key_are_errors_that_do_not_show_them() {
    let site = Site::new(KEYS[1]);
    site.write("private.key", "open sesame", 0o600);
    site.write("psk", &PRESHARED.repeat(100), 0o600);
    insta::assert_snapshot!(site.problems(), @r"
    /etc/relay/relay.toml:3:20: relay.private_key_file: the content of /etc/relay/private.key is not 32 bytes in base64 (44 characters, the last one '='); write one key into it, as `wg genkey` or `wg genpsk` prints it
    /etc/relay/relay.toml:8:22: node-b.preshared_key_file: /etc/relay/psk cannot be read: larger than 4096 bytes; name a regular file with a key in base64
    ");
}

#[test]
fn what_is_no_regular_file_is_an_error() {
    let site = Site::new(KEYS[1]);
    symlink("/dev/zero", site.0.path().join("private.key")).expect("a link");
    fs::create_dir(site.0.path().join("psk")).expect("a directory");
    insta::assert_snapshot!(site.problems(), @r"
    /etc/relay/relay.toml:3:20: relay.private_key_file: /etc/relay/private.key cannot be read: not a regular file; name a regular file with a key in base64
    /etc/relay/relay.toml:8:22: node-b.preshared_key_file: /etc/relay/psk cannot be read: not a regular file; name a regular file with a key in base64
    ");
}

#[test]
fn a_peer_with_the_relays_own_key_is_an_error() {
    let site = Site::new(PUBLIC);
    site.write("private.key", PRIVATE, 0o600);
    site.write("psk", PRESHARED, 0o600);
    insta::assert_snapshot!(site.problems(), @r"
    /etc/relay/relay.toml:6:14: node-b.public_key: is the relay's own key; write what `wg pubkey` gives for the peer's private key
    ");
}

#[test]
fn key_files_others_can_read_are_warned_about() {
    let site = Site::new(KEYS[1]);
    site.write("private.key", PRIVATE, 0o644);
    site.write("psk", PRESHARED, 0o640);
    let warnings = Problems::new(site.load().warnings).to_string();
    let warnings = warnings.replace(&site.0.path().display().to_string(), "/etc/relay");
    insta::assert_snapshot!(warnings, @r"
    /etc/relay/relay.toml:3:20: relay.private_key_file: /etc/relay/private.key has mode 0644, which lets others use it; chmod 0600 /etc/relay/private.key
    /etc/relay/relay.toml:8:22: node-b.preshared_key_file: /etc/relay/psk has mode 0640, which lets others use it; chmod 0600 /etc/relay/psk
    ");
}

#[test]
fn the_key_of_the_transit_says_which_relay_this_is() {
    let site = Site::new(KEYS[1]);
    site.write("private.key", KEYS_OF_SITE[0], 0o600);
    site.write("psk", PRESHARED, 0o600);
    let path = site.0.path().join("relay.toml");
    let text = fs::read_to_string(&path).expect("the file");
    let mesh = |name: &str| {
        format!(
            "{text}[mesh]\n{name}private_key_file = \"mesh.key\"\n\
             [[mesh.relay]]\nname = \"fra1\"\npublic_key = \"{}\"\nhost = \"192.0.2.11\"\n\
             [[mesh.relay]]\nname = \"fra2\"\npublic_key = \"{PUBLIC}\"\nhost = \"192.0.2.12\"\n",
            KEYS[2]
        )
    };
    site.write("relay.toml", &mesh(""), 0o644);
    let mut said = vec![site.problems()];
    site.write("mesh.key", KEYS_OF_SITE[0], 0o600);
    said.push(site.problems());
    site.write("mesh.key", KEYS_OF_SITE[1], 0o600);
    said.push(site.problems());
    site.write("mesh.key", PRIVATE, 0o600);
    let secrets = Secrets::read(&site.load()).expect("keys");
    assert_eq!(secrets.mesh().expect("a key").place, 1);
    site.write("relay.toml", &mesh("name = \"fra1\"\n"), 0o644);
    said.push(site.problems());
    site.write("mesh.key", PRIVATE, 0o644);
    let warnings: Vec<_> = site.load().warnings.iter().map(ToString::to_string).collect();
    said.push(warnings.join("\n").replace(&site.0.path().display().to_string(), "/etc/relay"));
    insta::assert_snapshot!(said.concat());
}

/// Other private keys.
const KEYS_OF_SITE: [&str; 2] = [
    "qFlj1b4o0L8u1uW3hXq3pY0z0yG8m0m2hT5c6Tz4tVQ=",
    "YAnz5TgDhqg0a8k3e0qv1G5t4m1Q5cJm6b2r9w8xZ0o=",
];
