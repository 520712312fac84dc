use std::{
    fmt::{Display, Write as _},
    net::IpAddr,
};

use ipnet::IpNet;
use toml::de::DeTable;

use crate::model::{GroupName, PeerName, PublicKey};

/// A peer to write into a file. Empty lists are omitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPeer {
    /// A name that no peer has.
    pub name: PeerName,
    /// Its WireGuard public key.
    pub public_key: PublicKey,
    /// Addresses it owns.
    pub addresses: Vec<IpAddr>,
    /// Networks behind it.
    pub routes: Vec<IpNet>,
    /// Whom it may talk to; `None` inherits from `[defaults]`.
    pub allowed_ips: Option<Vec<IpNet>>,
    /// Groups that it is in.
    pub groups: Vec<GroupName>,
}

/// The text with `peer` at its end. `None` if the file lists its peers inline, so that no table can
/// follow.
pub(super) fn add(text: &str, peer: &NewPeer) -> Option<String> {
    if let Some(peers) = DeTable::parse(text).ok()?.get_ref().get("peer")
        && !text[peers.span()].starts_with("[[")
    {
        return None;
    }
    let mut added = table(peer);
    let crlf = text.contains("\r\n");
    if crlf {
        added = added.replace('\n', "\r\n");
    }
    let line_end = if crlf { "\r\n" } else { "\n" };
    let mut whole = text.to_owned();
    if !whole.is_empty() {
        if !whole.ends_with('\n') {
            whole.push_str(line_end);
        }
        if !whole.ends_with(&line_end.repeat(2)) {
            whole.push_str(line_end);
        }
    }
    Some(whole + &added)
}

/// The peer's table.
pub(super) fn table(peer: &NewPeer) -> String {
    let mut lines = vec![
        ("name", format!("\"{}\"", peer.name)),
        ("public_key", format!("\"{}\"", peer.public_key)),
        ("address", list(&peer.addresses)),
    ];
    if !peer.routes.is_empty() {
        lines.push(("routes", list(&peer.routes)));
    }
    if let Some(allowed_ips) = &peer.allowed_ips {
        lines.push(("allowed_ips", list(allowed_ips)));
    }
    if !peer.groups.is_empty() {
        lines.push(("groups", list(&peer.groups)));
    }
    assignments("[[peer]]", &lines)
}

/// A header and its keys, with the values aligned.
pub(in crate::config) fn assignments(header: &str, lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut text = format!("{header}\n");
    for (key, value) in lines {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{key:width$} = {value}");
    }
    text
}

/// A list of strings that need no escaping.
pub(in crate::config) fn list<T: Display>(items: &[T]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}
