use super::*;
use crate::{
    config::read::tests::{KEYS, parsed},
    model::{PresharedKey, PrivateKey},
};

const FULL: &str = "{RELAY}
endpoint = \"vpn.example.org:51820\"

[[peer]]
name = \"node-b\"
description = \"in the cellar\"
public_key = \"{KEY_B}\"
address = [\"10.3.2.3\", \"fd00::3:2:3\"]
allowed_ips = [\"10.3.2.0/24\", \"fd00::3:2:2\"]
dns = [\"10.3.2.1\", \"corp.example.org\", \"fd00::3:2:1\"]
";

fn rendered(text: &str, private: Option<&PrivateKey>, preshared: Option<&PresharedKey>) -> String {
    let relay = parsed(text).expect("no problems").relay;
    let relay_public_key = KEYS[2].parse().expect("a key");
    let mut out = String::new();
    let peer = &relay.peers[0];
    let allowed_ips = &peer.allowed_ips;
    render_client_into(&mut out, &relay, &relay_public_key, peer, allowed_ips, private, preshared)
        .expect("a string takes everything");
    out
}

#[test]
fn everything() {
    let private = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=".parse().expect("a key");
    let preshared = "XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=".parse().expect("a key");
    insta::assert_snapshot!(rendered(FULL, Some(&private), Some(&preshared)), @r"
    # node-b: in the cellar
    [Interface]
    PrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=
    Address = 10.3.2.3/32, fd00::3:2:3/128
    MTU = 1280
    DNS = 10.3.2.1, corp.example.org, fd00::3:2:1

    [Peer]
    PublicKey = i6JdWpzseo7IhbqJihZqhHfySQH+TNBhV4hWKFAJ6W8=
    PresharedKey = XasIfmJKikt54X+Lg4AO5m87sSkmGLb9HC+LJ/+I4Os=
    AllowedIPs = 10.3.2.0/24, fd00::3:2:2/128
    Endpoint = vpn.example.org:51820
    PersistentKeepalive = 25
    ");
}

#[test]
fn without_keys() {
    insta::assert_snapshot!(rendered(FULL, None, None), @r"
    # node-b: in the cellar
    [Interface]
    # PrivateKey = (known to the peer only)
    Address = 10.3.2.3/32, fd00::3:2:3/128
    MTU = 1280
    DNS = 10.3.2.1, corp.example.org, fd00::3:2:1

    [Peer]
    PublicKey = i6JdWpzseo7IhbqJihZqhHfySQH+TNBhV4hWKFAJ6W8=
    AllowedIPs = 10.3.2.0/24, fd00::3:2:2/128
    Endpoint = vpn.example.org:51820
    PersistentKeepalive = 25
    ");
}

#[test]
fn what_is_empty_is_left_out() {
    let text = "{RELAY}
[[peer]]
name = \"node-b\"
public_key = \"{KEY_B}\"
address = [\"10.3.2.3\"]
persistent_keepalive = 0
";
    insta::assert_snapshot!(rendered(text, None, None), @r"
    # node-b
    [Interface]
    # PrivateKey = (known to the peer only)
    Address = 10.3.2.3/32
    MTU = 1280

    [Peer]
    PublicKey = i6JdWpzseo7IhbqJihZqhHfySQH+TNBhV4hWKFAJ6W8=
    ");
}

#[test]
fn a_peers_own_endpoint_comes_first() {
    let text = format!("{FULL}endpoint = \"[2001:db8::1]:443\"\n");
    assert!(rendered(&text, None, None).contains("\nEndpoint = [2001:db8::1]:443\n"));
}
