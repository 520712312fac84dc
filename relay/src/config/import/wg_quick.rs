//! The lines of a `wg-quick(8)` file.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{
    names::{Comment, Hint, comment},
    remarks::Remarks,
};
use crate::model::host_prefix;

/// A hub file.
pub(super) struct Hub<'t> {
    pub(super) interface: Section<'t>,
    pub(super) peers: Vec<Section<'t>>,
    /// About ignored comments and invalid lines.
    pub(super) remarks: Remarks,
}

/// `[Interface]` or one `[Peer]`.
#[derive(Default)]
pub(super) struct Section<'t> {
    /// The line of its header; 0 if there is none.
    pub(super) line: usize,
    /// Whether all of it is commented out.
    pub(super) is_off: bool,
    pub(super) entries: Vec<Entry<'t>>,
    /// Its name in a comment.
    pub(super) hint: Option<Hint>,
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

    /// The entry of a key that may be set once: the last wins.
    pub(super) fn last(&self, key: &'static str) -> Option<&Entry<'t>> {
        self.entries_of(key).next_back()
    }

    /// Entries of keys that may be set once, and the later line that wins.
    pub(super) fn superseded(
        &self,
        keys: &'static [&'static str],
    ) -> impl Iterator<Item = (&Entry<'t>, usize)> {
        keys.iter().flat_map(|key| {
            let last = self.last(key).map_or(0, |last| last.line);
            self.entries_of(key).filter(move |entry| entry.line != last).map(move |it| (it, last))
        })
    }

    /// The values of a list, which may span several lines.
    pub(super) fn items(&self, key: &'static str) -> impl Iterator<Item = (usize, &'t str)> {
        self.entries_of(key).flat_map(|entry| {
            let items = entry.value.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(|item| (entry.line, item))
        })
    }
}

/// The current section.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Nowhere,
    Interface,
    /// By its index.
    Peer(usize),
}

/// Splits the file into sections and entries. Keys and headers match in any case, as in `wg(8)`.
pub(super) fn read(text: &str) -> Hub<'_> {
    let mut lines = Lines {
        hub: Hub { interface: Section::default(), peers: Vec::new(), remarks: Remarks::default() },
        at: At::Nowhere,
        above: None,
        is_apart: false,
        is_commented_out: false,
        comments: BTreeSet::new(),
    };
    for (index, whole) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (code, said) = match whole.split_once('#') {
            Some((code, said)) => (code.trim(), Some(said)),
            None => (whole.trim(), None),
        };
        let line = index + 1;
        match (code, said) {
            ("", None) => lines.blank(),
            ("", Some(said)) => lines.comment(line, said),
            (code, said) => lines.code(line, code, said),
        }
    }
    let Lines { mut hub, mut comments, .. } = lines;
    for hint in hub.peers.iter().filter_map(|peer| peer.hint.as_ref()) {
        comments.remove(&hint.line);
    }
    for line in comments {
        hub.remarks.alike(line, "a comment that names no peer is not converted");
    }
    hub
}

/// The parser's state.
struct Lines<'t> {
    hub: Hub<'t>,
    at: At,
    /// The name in the comments right above a section.
    above: Option<Hint>,
    /// Whether an empty line followed the section above.
    is_apart: bool,
    /// Whether the comments are a commented-out peer.
    is_commented_out: bool,
    /// Lines of comments that carry information.
    comments: BTreeSet<usize>,
}

impl<'t> Lines<'t> {
    fn blank(&mut self) {
        self.is_apart = true;
        self.is_commented_out = false;
        self.above = None;
    }

    fn comment(&mut self, line: usize, said: &'t str) {
        let lower = said.to_ascii_lowercase();
        if lower.contains("[peer]") {
            self.commented_out(line);
            return;
        }
        let is_off = self.is_commented_out;
        let peer = match self.at {
            _ if is_off => self.hub.peers.last_mut(),
            At::Peer(place) if !self.is_apart => self.hub.peers.get_mut(place),
            At::Peer(_) | At::Interface | At::Nowhere => None,
        };
        match comment(line, said) {
            Comment::Mark => {}
            Comment::Entry if is_off => {
                let entry = said.split_once('#').map_or(said, |(entry, _)| entry).split_once('=');
                let entry = entry.and_then(|(key, value)| {
                    let key = key.split_whitespace().next_back()?;
                    Some(Entry { line, key, value: value.trim() })
                });
                if let Some(peer) = peer {
                    peer.entries.extend(entry);
                }
            }
            Comment::Entry | Comment::Other => {
                self.comments.insert(line);
            }
            Comment::Name(hint) => {
                let end = peer.as_ref().and_then(|peer| Some(peer.hint.as_ref()?.text()));
                if end.is_some() && hint.text().strip_suffix(" end") == end {
                    return;
                }
                self.comments.insert(line);
                match peer {
                    Some(peer) if hint.is_within() || (peer.entries.is_empty() && !is_off) => {
                        peer.hint = Hint::better(peer.hint.take(), hint);
                    }
                    _ => self.above = Hint::later(self.above.take(), hint),
                }
            }
        }
    }

    fn commented_out(&mut self, line: usize) {
        let hint = self.above.take();
        self.hub.peers.push(Section { line, hint, is_off: true, ..Section::default() });
        self.is_commented_out = true;
    }

    fn code(&mut self, line: usize, code: &'t str, said: Option<&str>) {
        self.is_apart = false;
        self.is_commented_out = false;
        let hint = said.and_then(|said| match comment(line, said) {
            Comment::Name(hint) => {
                self.comments.insert(line);
                Some(hint)
            }
            Comment::Entry | Comment::Other => {
                self.comments.insert(line);
                None
            }
            Comment::Mark => None,
        });
        let above = self.above.take();
        match code.to_ascii_lowercase().as_str() {
            "[interface]" => {
                self.at = At::Interface;
                self.hub.interface.line = line;
                return;
            }
            "[peer]" => {
                self.at = At::Peer(self.hub.peers.len());
                let hint = match hint {
                    Some(hint) => Hint::later(above, hint),
                    None => above,
                };
                self.hub.peers.push(Section { line, hint, ..Section::default() });
                return;
            }
            _ => {}
        }
        let entry = code.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        let peer = match self.at {
            At::Peer(place) => self.hub.peers.get_mut(place),
            At::Interface | At::Nowhere => None,
        };
        match (entry, peer) {
            (Some((key, value)), Some(peer)) => {
                peer.entries.push(Entry { line, key, value });
                if let Some(hint) = hint {
                    peer.hint = Hint::better(peer.hint.take(), hint);
                }
            }
            (Some((key, value)), None) if self.at == At::Interface => {
                self.hub.interface.entries.push(Entry { line, key, value });
            }
            (Some(_), None) | (None, _) => {
                // Never quoted: it may be a key.
                let text = "is not [Interface], [Peer], or KEY = VALUE below one of them";
                self.hub.remarks.fault(line, text);
            }
        }
    }
}

/// An address or network as WireGuard accepts it, with its host bits.
pub(super) fn prefix(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(host_prefix))
}
