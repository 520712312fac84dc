//! Recognizes files that are not wg-quick hub files.

use serde::de::IgnoredAny;

use super::{
    remarks::Remark,
    wg_quick::{Hub, Section, prefix},
};

const SHOWCONF: &str = "bring its interface up, save what `wg showconf INTERFACE` prints, and add \
                        Address below [Interface]";
const OF_THE_TOOL: &str = "import the wg-quick file that the tool writes for the same hub";

/// First bytes of known binary files.
const MAGIC: [(&[u8], &str); 4] = [
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"PK\x03\x04", "an archive (ZIP)"),
    (b"\x1f\x8b", "a compressed file (gzip)"),
    (b"\x89PNG", "a picture (PNG)"),
];

/// Starts of lines, in lower case, that identify other text files; the first match counts.
const SIGNS: [(&[&str], &str, &str); 15] = [
    (
        &["$ansible_vault;"],
        "an Ansible vault",
        "decrypt it with `ansible-vault view FILE`, and import what that prints",
    ),
    (&["[[peer]]", "[relay]"], "relay's own configuration", "check it with `relay check FILE`"),
    (&["[connection]", "[wireguard-peer."], "a NetworkManager keyfile", SHOWCONF),
    (&["[netdev]", "[wireguardpeer]"], "a systemd-networkd .netdev file", SHOWCONF),
    (
        &["[match]", "[network]"],
        "a systemd-networkd .network file, which contains no keys",
        SHOWCONF,
    ),
    (
        &["/interface wireguard", "/interface/wireguard", "/interface bridge", "# by routeros"],
        "a RouterOS export",
        "rewrite it as [Interface] and [Peer] of wg-quick",
    ),
    (
        &["config interface", "config wireguard_"],
        "an OpenWrt configuration (UCI)",
        "import what `wg showconf INTERFACE` prints there, with Address added below [Interface]",
    ),
    (&["set interfaces wireguard", "interfaces {"], "a VyOS configuration", SHOWCONF),
    (&["interface: "], "output of `wg show`", "import what `wg showconf INTERFACE` prints"),
    (&["<?xml", "<opnsense", "<pfsense"], "XML (pfSense, OPNsense)", OF_THE_TOOL),
    (&["network:", "mode: wireguard"], "YAML (netplan)", SHOWCONF),
    (&["dev tun", "client-to-client", "<ca>"], "an OpenVPN file", "name a WireGuard hub file"),
    (&["-----begin "], "a certificate or key in PEM", "name a WireGuard hub file"),
    (&["#!"], "a script", OF_THE_TOOL),
    (&["{"], "JSON (wg-easy, NetBird, Firezone)", OF_THE_TOOL),
];

/// What a binary file is.
pub(super) fn of_bytes(bytes: &[u8]) -> Remark {
    let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    let what = known.map_or("a binary file", |(_, what)| what);
    foreign(0, what, "name the hub's wg-quick file, such as /etc/wireguard/wg0.conf")
}

/// What a text is, if it is not a wg-quick file.
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
        let text = "has neither [Interface] nor [Peer], so it is not a wg-quick file; name the hub's, \
                    such as /etc/wireguard/wg0.conf";
        Remark { line: 0, text: text.to_owned() }
    }))
}

/// Whether it is a client's file: every peer has an Endpoint, and there is no ListenPort or a peer's
/// AllowedIPs contain the file's own address.
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
        (_, true) => "every peer has an Endpoint, and AllowedIPs contain this file's own Address",
        (false, false) => "every peer has an Endpoint, and there is no ListenPort",
        (true, false) => return None,
    };
    let remedy = "import the file of the hub that it dials; if this is the hub, remove Endpoint, \
                  which relay does not use";
    let text = format!("this looks like a client's file: {text}; {remedy}");
    Some(Remark { line: first.line, text })
}

fn foreign(line: usize, what: &str, remedy: &str) -> Remark {
    Remark { line, text: format!("is {what}, not a wg-quick file; {remedy}") }
}
