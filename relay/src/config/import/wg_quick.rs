//! The lines of a `wg-quick(8)` file.

use ipnet::IpNet;

use super::{
    Remark,
    names::{Hint, hint},
};
use crate::model::host_prefix;

/// A hub's file.
pub(super) struct Hub<'t> {
    pub(super) interface: Section<'t>,
    pub(super) peers: Vec<Section<'t>>,
    /// Peers that stand in comments.
    pub(super) commented_out: Vec<Remark>,
    /// Lines that are neither a section nor an entry.
    pub(super) unknown: Vec<Remark>,
}

/// `[Interface]` or one `[Peer]`.
#[derive(Default)]
pub(super) struct Section<'t> {
    /// Of its header; 0 when there is none.
    pub(super) line: usize,
    pub(super) entries: Vec<Entry<'t>>,
    /// What a comment calls it.
    pub(super) name: Option<String>,
}

/// `key = value`.
pub(super) struct Entry<'t> {
    pub(super) line: usize,
    pub(super) key: &'t str,
    pub(super) value: &'t str,
}

impl<'t> Section<'t> {
    fn entries_of(&self, key: &'static str) -> impl DoubleEndedIterator<Item = &Entry<'t>> {
        self.entries.iter().filter(move |entry| entry.key.eq_ignore_ascii_case(key))
    }

    /// The entry that counts of those that count once.
    pub(super) fn last(&self, key: &'static str) -> Option<&Entry<'t>> {
        self.entries_of(key).next_back()
    }

    /// The values of a list, which may stand on many lines.
    pub(super) fn items(&self, key: &'static str) -> impl Iterator<Item = (usize, &'t str)> {
        self.entries_of(key).flat_map(|entry| {
            let items = entry.value.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(|item| (entry.line, item))
        })
    }
}

/// Which section the lines belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Nowhere,
    Interface,
    Peer,
}

/// Takes the file apart. Keys and sections are known in any case, as `wg(8)` does.
pub(super) fn read(text: &str) -> Hub<'_> {
    let mut hub = Hub {
        interface: Section::default(),
        peers: Vec::new(),
        commented_out: Vec::new(),
        unknown: Vec::new(),
    };
    let mut at = At::Nowhere;
    // Of the comments that stand right above a section.
    let mut above: Option<Hint> = None;
    // Of those inside it.
    let mut inside: Option<Hint> = None;
    let mut is_apart = false;
    for (index, whole) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = index + 1;
        let (code, comment) = match whole.split_once('#') {
            Some((code, comment)) => (code.trim(), Some(comment)),
            None => (whole.trim(), None),
        };
        if comment.is_some_and(|comment| comment.to_ascii_lowercase().contains("[peer]")) {
            let text = "a peer that is commented out is not carried over".to_owned();
            hub.commented_out.push(Remark { line, text });
        }
        let said = comment.and_then(hint);
        if code.is_empty() {
            let is_blank = comment.is_none();
            is_apart |= is_blank;
            let has_entries = hub.peers.last().is_some_and(|peer| !peer.entries.is_empty());
            match said {
                _ if is_blank => above = None,
                Some(said) if at == At::Peer && !is_apart && (said.is_within() || !has_entries) => {
                    inside = Hint::better(inside, said);
                }
                Some(said) => above = Hint::later(above, said),
                None => {}
            }
            name(&mut hub, at, inside.as_ref());
            continue;
        }
        is_apart = false;
        match code.to_ascii_lowercase().as_str() {
            "[interface]" => {
                at = At::Interface;
                hub.interface.line = line;
                (above, inside) = (None, None);
                continue;
            }
            "[peer]" => {
                at = At::Peer;
                hub.peers.push(Section { line, ..Section::default() });
                inside = match (above.take(), said) {
                    (above, Some(said)) => Hint::later(above, said),
                    (above, None) => above,
                };
                name(&mut hub, at, inside.as_ref());
                continue;
            }
            _ => above = None,
        }
        let entry = code.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        match (entry, at) {
            (Some((key, value)), At::Interface) => {
                hub.interface.entries.push(Entry { line, key, value });
            }
            (Some((key, value)), At::Peer) => {
                if let Some(peer) = hub.peers.last_mut() {
                    peer.entries.push(Entry { line, key, value });
                }
            }
            (Some(_), At::Nowhere) | (None, _) => {
                // What is not understood may be a key, so it is not quoted.
                let text = "is neither [Interface], [Peer] nor a key with its value below them";
                hub.unknown.push(Remark { line, text: text.to_owned() });
            }
        }
    }
    hub
}

fn name(hub: &mut Hub<'_>, at: At, hint: Option<&Hint>) {
    if let (At::Peer, Some(peer), Some(hint)) = (at, hub.peers.last_mut(), hint) {
        peer.name = Some(hint.name().to_owned());
    }
}

/// An address or network as WireGuard takes it, host bits as they are.
pub(super) fn prefix(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(host_prefix))
}
