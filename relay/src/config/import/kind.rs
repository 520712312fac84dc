//! What a file is that is no hub's.

use serde::de::IgnoredAny;

use super::{
    remarks::Remark,
    wg_quick::{Hub, Section, prefix},
};

const SHOWCONF: &str = "bring its interface up, save what `wg showconf INTERFACE` prints, and add \
                        Address below [Interface]";
const OF_THE_TOOL: &str = "import the wg-quick file that the tool writes for the same hub";

/// What the file begins with, when it is no text.
const MAGIC: [(&[u8], &str); 4] = [
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"PK\x03\x04", "an archive (ZIP)"),
    (b"\x1f\x8b", "a compressed file (gzip)"),
    (b"\x89PNG", "a picture (PNG)"),
];

/// What a line begins with, in lower case, that no wg-quick file has; the first that occurs counts.
const SIGNS: [(&[&str], &str, &str); 15] = [
    (
        &["$ansible_vault;"],
        "an Ansible vault",
        "decrypt it with `ansible-vault view FILE`, and import what that prints",
    ),
    (&["[[peer]]", "[relay]"], "relay's own configuration", "check it with `relay check FILE`"),
    (&["[connection]", "[wireguard-peer."], "a keyfile of NetworkManager", SHOWCONF),
    (&["[netdev]", "[wireguardpeer]"], "a .netdev file of systemd-networkd", SHOWCONF),
    (
        &["[match]", "[network]"],
        "a .network file of systemd-networkd, which holds no keys",
        SHOWCONF,
    ),
    (
        &["/interface wireguard", "/interface/wireguard", "/interface bridge", "# by routeros"],
        "an export of RouterOS",
        "write what it says as [Interface] and [Peer] of wg-quick",
    ),
    (
        &["config interface", "config wireguard_"],
        "a configuration of OpenWrt (UCI)",
        "import what `wg showconf INTERFACE` prints there, with Address added below [Interface]",
    ),
    (&["set interfaces wireguard", "interfaces {"], "a configuration of VyOS", SHOWCONF),
    (&["interface: "], "what `wg show` prints", "import what `wg showconf INTERFACE` prints"),
    (&["<?xml", "<opnsense", "<pfsense"], "XML, as pfSense and OPNsense keep", OF_THE_TOOL),
    (&["network:", "mode: wireguard"], "YAML, as netplan reads", SHOWCONF),
    (&["dev tun", "client-to-client", "<ca>"], "a file of OpenVPN", "name a WireGuard hub's file"),
    (&["-----begin "], "a certificate or key in PEM", "name a WireGuard hub's file"),
    (&["#!"], "a script", OF_THE_TOOL),
    (&["{"], "JSON, as wg-easy, NetBird and Firezone keep", OF_THE_TOOL),
];

/// What bytes are that are no text.
pub(super) fn of_bytes(bytes: &[u8]) -> Remark {
    let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    let what = known.map_or("a file of bytes, not of text", |(_, what)| what);
    foreign(0, what, "name the hub's wg-quick file, such as /etc/wireguard/wg0.conf")
}

/// What a text is, if it is none of wg-quick's.
pub(super) fn of_text(text: &str) -> Option<Remark> {
    let lines = || {
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        lines.map(|(index, line)| (index + 1, line.trim().to_ascii_lowercase()))
    };
    let header = |line: &str| line.starts_with("[interface]") || line.starts_with("[peer]");
    if lines().any(|(_, line)| header(&line)) {
        return None;
    }
    if text.trim_start().starts_with('[') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return Some(foreign(0, "JSON", OF_THE_TOOL));
    }
    let sign = lines().find_map(|(number, line)| {
        let of = |signs: &&[&str]| signs.iter().any(|sign| line.starts_with(sign));
        let (_, what, remedy) = SIGNS.iter().find(|(signs, _, _)| of(signs))?;
        Some(foreign(number, what, remedy))
    });
    Some(sign.unwrap_or_else(|| {
        let text = "has neither [Interface] nor [Peer], so it is no wg-quick file; name the hub's, \
                    such as /etc/wireguard/wg0.conf";
        Remark { line: 0, text: text.to_owned() }
    }))
}

/// Whether it is the file of one that dials: every peer has an Endpoint, and there is no port to
/// be dialled at, or a peer's AllowedIPs hold the file's own address.
pub(super) fn of_client(hub: &Hub<'_>) -> Option<Remark> {
    let peers = || hub.peers.iter().filter(|peer| !peer.is_off);
    let dialled = peers().map(|peer| peer.last("endpoint"));
    let endpoints: Vec<_> = dialled.collect::<Option<_>>()?;
    let first = endpoints.first()?;
    let own: Vec<_> = hub.interface.items("address").filter_map(|(_, text)| prefix(text)).collect();
    let leads_here = |peer: &Section<'_>| {
        let networks = peer.items("allowedips").filter_map(|(_, text)| prefix(text));
        networks.into_iter().any(|it| own.iter().any(|own| it.contains(&own.addr())))
    };
    let has_port = hub.interface.last("listenport").is_some_and(|port| port.value != "0");
    let text = match (has_port, peers().any(leads_here)) {
        (_, true) => "every peer has an Endpoint, and AllowedIPs hold this file's own Address",
        (false, false) => "every peer has an Endpoint, and there is no ListenPort",
        (true, false) => return None,
    };
    let remedy = "import the file of the hub that it dials; if this is the hub, remove Endpoint, \
                  which relay has no use for";
    let text = format!("this looks like a client's file: {text}; {remedy}");
    Some(Remark { line: first.line, text })
}

fn foreign(line: usize, what: &str, remedy: &str) -> Remark {
    Remark { line, text: format!("is {what}, no wg-quick file; {remedy}") }
}
