//! Edits of one peer in a file's text. All other bytes stay, line ends and comments included.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::model::{PeerName, PublicKey};

/// The position of one peer in a text.
#[derive(Debug)]
pub(super) struct Entry {
    name: Range<usize>,
    public_key: Option<Range<usize>>,
    /// Start of the key `enabled`, and its value.
    enabled: Option<(usize, Range<usize>)>,
    /// From its header to its last value; `None` if it is inline.
    table: Option<Range<usize>>,
}

impl Entry {
    /// Finds the peer of this name.
    pub(super) fn find(text: &str, name: &PeerName) -> Option<Self> {
        let root = DeTable::parse(text).ok()?;
        let peers = root.get_ref().get("peer")?.get_ref().as_array()?;
        peers.iter().find_map(|element| Self::of(text, element, name))
    }

    fn of(text: &str, element: &Spanned<DeValue<'_>>, name: &PeerName) -> Option<Self> {
        let table = element.get_ref().as_table()?;
        let named = table.get("name")?;
        if named.get_ref().as_str() != Some(name.as_str()) {
            return None;
        }
        let header = element.span();
        let end = table.iter().map(|(_, value)| value.span().end).max().unwrap_or(header.end);
        Some(Self {
            name: named.span(),
            public_key: table.get("public_key").map(|key| key.span()),
            enabled: table
                .get_key_value("enabled")
                .map(|(key, value)| (key.span().start, value.span())),
            table: text[header.clone()].starts_with("[[").then_some(header.start..end),
        })
    }

    /// The text with the peer renamed.
    pub(super) fn rename(&self, text: &str, name: &PeerName) -> String {
        put(text, &self.name, &format!("\"{name}\""))
    }

    /// The text with another public key.
    pub(super) fn rekey(&self, text: &str, key: &PublicKey) -> Option<String> {
        Some(put(text, self.public_key.as_ref()?, &format!("\"{key}\"")))
    }

    /// The text with the peer disabled: `enabled = false` below its name. `None` if it is inline,
    /// where no line can be added.
    pub(super) fn disable(&self, text: &str) -> Option<String> {
        if let Some((_, value)) = &self.enabled {
            return Some(put(text, value, "false"));
        }
        self.table.as_ref()?;
        let (start, end) = (line_start(text, self.name.start), line_end(text, self.name.end));
        let name = &text[start..self.name.start];
        let indent = name.len() - name.trim_start().len();
        let width = name.find('=').map_or(0, |equals| equals.saturating_sub(indent + 1));
        let line = format!("{}{:width$} = false", &name[..indent], "enabled");
        let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let line = match text[..end].ends_with('\n') {
            true => format!("{line}{line_break}"),
            false => format!("{line_break}{line}"),
        };
        Some(put(text, &(end..end), &line))
    }

    /// The text with the peer enabled. Removes the line of `enabled` if nothing else is on it.
    pub(super) fn enable(&self, text: &str) -> String {
        let Some((key, value)) = &self.enabled else { return text.to_owned() };
        let (start, end) = (line_start(text, *key), line_end(text, value.end));
        let around = [&text[start..*key], &text[value.end..end]];
        if self.table.is_none() || around.iter().any(|part| !part.trim().is_empty()) {
            return put(text, value, "true");
        }
        if text[start..end].ends_with('\n') {
            return put(text, &(start..end), "");
        }
        let before = text[..start].trim_end_matches('\n').trim_end_matches('\r').len();
        put(text, &(before..end), "")
    }

    /// The text without the peer and the comments adjacent to it. Comments behind an empty line
    /// stay.
    pub(super) fn remove(&self, text: &str) -> Option<String> {
        let table = self.table.as_ref()?;
        let mut start = line_start(text, table.start);
        while let Some(line) =
            line_before(text, start).filter(|line| is_comment(&text[line.clone()]))
        {
            start = line.start;
        }
        let mut end = line_end(text, table.end);
        // Comments below belong to the peer, unless they are adjacent to what follows.
        let mut below = end;
        while below < text.len() && is_comment(&text[below..line_end(text, below)]) {
            below = line_end(text, below);
        }
        if text[below..line_end(text, below)].trim().is_empty() {
            end = below;
        }
        // One of the empty lines around it goes, too.
        let after = line_end(text, end);
        let before = line_before(text, start);
        let is_empty = |range: Range<usize>| text[range].trim().is_empty();
        if end < text.len() && is_empty(end..after) {
            end = after;
        } else if end == text.len() {
            let mut last = before;
            while let Some(line) = last.filter(|line| is_empty(line.clone())) {
                start = line.start;
                last = line_before(text, start);
            }
        }
        Some(put(text, &(start..end), ""))
    }
}

fn put(text: &str, at: &Range<usize>, what: &str) -> String {
    let mut changed = text.to_owned();
    changed.replace_range(at.clone(), what);
    changed
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The position behind the newline.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

fn line_before(text: &str, start: usize) -> Option<Range<usize>> {
    let end = start.checked_sub(1)?;
    Some(line_start(text, end)..start)
}
