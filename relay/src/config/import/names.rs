//! Peer names, from the comments in which generators of hub files put them.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use serde::Deserialize;

use crate::{
    config::read::{DESCRIPTION_MAX, looks_secret},
    model::PeerName,
};

/// The meaning of a comment.
pub(super) enum Comment {
    /// A possible name of a peer.
    Name(Hint),
    /// A commented-out line.
    Entry,
    /// A separator.
    Mark,
    /// Ignored.
    Other,
}

/// How likely a comment is a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Other information about the peer.
    Aside,
    /// Plain text.
    Bare,
    /// Marked as a name.
    Said,
}

/// What a comment may call a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hint {
    /// The line of the comment.
    pub(super) line: usize,
    text: String,
    weight: Weight,
    /// Whether its form belongs inside the section.
    is_within: bool,
}

impl Hint {
    /// The name, or other information.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_within(&self) -> bool {
        self.is_within
    }

    /// The earlier of two, unless the later is more likely.
    pub(super) fn better(earlier: Option<Self>, later: Self) -> Option<Self> {
        match earlier {
            Some(earlier) if earlier.weight >= later.weight => Some(earlier),
            Some(_) | None => Some(later),
        }
    }

    /// The later of two, unless the earlier is more likely.
    pub(super) fn later(earlier: Option<Self>, later: Self) -> Option<Self> {
        match earlier {
            Some(earlier) if earlier.weight > later.weight => Some(earlier),
            Some(_) | None => Some(later),
        }
    }
}

/// Keys of wg-quick, in lower case.
const KEYS: [&str; 17] = [
    "privatekey",
    "address",
    "listenport",
    "fwmark",
    "mtu",
    "dns",
    "table",
    "preup",
    "postup",
    "predown",
    "postdown",
    "saveconfig",
    "publickey",
    "presharedkey",
    "allowedips",
    "endpoint",
    "persistentkeepalive",
];

#[derive(Deserialize)]
struct FriendlyJson {
    name: String,
}

/// Classifies a comment, given without its first `#`.
///
/// | written by | comment |
/// | --- | --- |
/// | angristan/wireguard-install | `### Client NAME` |
/// | wg-easy | `# Client: NAME (id)` |
/// | wireguard-ui | `# Name: NAME` |
/// | MindFlavor/prometheus_wireguard_exporter | `# friendly_name = NAME`, `# friendly_json = {"name": "NAME"}` |
/// | WGDashboard | `#Name# = NAME` |
/// | PiVPN | `### begin NAME ###` |
/// | Nyr/wireguard-install | `# BEGIN_PEER NAME` |
/// | complexorganizations/wireguard-manager | `# NAME start` |
/// | wg-portal | `# -WGP- Display name: NAME` |
/// | wg-meta | `#+Alias = NAME` |
/// | people | `# NAME` |
pub(super) fn comment(line: usize, comment: &str) -> Comment {
    let text = comment.trim_matches(|c: char| "#=-".contains(c) || c.is_whitespace());
    let of = |text: &str, weight, is_within| match text.trim() {
        "" => Comment::Mark,
        text => Comment::Name(Hint { line, text: text.to_owned(), weight, is_within }),
    };
    let assigned = comment.split_once('=').and_then(|(key, _)| key.split_whitespace().next_back());
    if assigned.is_some_and(|key| {
        let key = key.trim_start_matches('#');
        KEYS.iter().any(|known| key.eq_ignore_ascii_case(known))
    }) {
        return Comment::Entry;
    }
    if !text.contains(char::is_alphanumeric) {
        return Comment::Mark;
    }
    if looks_secret(text) {
        return Comment::Other;
    }
    if let Some((key, value)) = text.split_once(['=', ':']) {
        let key = key.trim_matches(|c: char| "#+".contains(c) || c.is_whitespace());
        return match key.to_ascii_lowercase().as_str() {
            "friendly_name" => of(value, Weight::Said, true),
            "friendly_json" => match serde_json::from_str::<FriendlyJson>(value.trim()) {
                Ok(json) => of(&json.name, Weight::Said, true),
                Err(_no_name) => of(text, Weight::Aside, true),
            },
            "name" | "peer" | "alias" | "user" | "device" | "host" | "hostname" | "owner"
            | "label" | "display name" | "wgp- display name" => of(value, Weight::Said, false),
            "comment" | "description" => of(value, Weight::Bare, false),
            "client" => {
                let name = match value.trim().strip_suffix(')').and_then(|it| it.rsplit_once(" ("))
                {
                    Some((name, _id)) => name,
                    None => value,
                };
                of(name, Weight::Said, false)
            }
            _ => of(text, Weight::Aside, false),
        };
    }
    if let Some((word, name)) = text.split_once(char::is_whitespace) {
        match word.to_ascii_lowercase().as_str() {
            "client" | "begin" | "begin_peer" => return of(name, Weight::Said, false),
            "end" | "end_peer" => return Comment::Mark,
            _ => {}
        }
    }
    match text.strip_suffix(" start") {
        Some(name) => of(name, Weight::Said, false),
        None => of(text, Weight::Bare, false),
    }
}

/// Gives valid, unique names.
#[derive(Default)]
pub(super) struct Names {
    given: HashSet<String>,
    /// The next suffix to try, by base name.
    next: HashMap<String, usize>,
}

impl Names {
    /// A name made of `hint`, and the text of the hint as description if it differs.
    pub(super) fn of(&mut self, hint: Option<&Hint>) -> (PeerName, Option<String>) {
        let said = hint.filter(|hint| hint.weight != Weight::Aside).map(|hint| mapped(&hint.text));
        let said = said.filter(|name| !name.is_empty());
        // Peers without a name are numbered from 1.
        let (base, first) = said.map_or(("peer".to_owned(), 1), |base| (base, 0));
        let next = self.next.entry(format!("{base} {first}")).or_insert(first);
        let name = loop {
            let name = match *next {
                0 => base.clone(),
                number => numbered(&base, number),
            };
            *next = (*next + 1).max(2 - first);
            if let Ok(parsed) = name.parse::<PeerName>()
                && self.given.insert(name)
            {
                break parsed;
            }
        };
        let other = hint.map(Hint::text).filter(|text| *text != name.as_str());
        (name, other.map(described))
    }
}

fn numbered(base: &str, number: usize) -> String {
    let tail = format!("-{number}");
    let most = PeerName::MAX_LEN - tail.len();
    format!("{}{tail}", &base[..base.len().min(most)])
}

/// The text cut to a valid description.
fn described(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(DESCRIPTION_MAX).collect()
}

/// In lower case, with a dash for invalid characters.
fn mapped(said: &str) -> String {
    let mut name = String::new();
    for c in said.chars().flat_map(char::to_lowercase) {
        let fits = c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c);
        match fits {
            true => name.push(c),
            false if !name.ends_with('-') => name.push('-'),
            false => {}
        }
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = &name[..name.len().min(PeerName::MAX_LEN)];
    let name = name.trim_end_matches(['-', '.', '_']);
    match name.parse::<IpAddr>() {
        Ok(_) => format!("peer-{name}"),
        Err(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_gets_a_number() {
        let Comment::Name(hint) = comment(1, " any") else { panic!("a name") };
        assert_eq!(Names::default().of(Some(&hint)).0.as_str(), "any-2");
    }

    #[test]
    fn no_number_is_tried_twice() {
        const COUNT: usize = 10_000;
        let Comment::Name(hint) = comment(1, " Phone") else { panic!("a name") };
        let mut names = Names::default();
        let given: Vec<_> =
            (0..COUNT).flat_map(|_| [names.of(Some(&hint)).0, names.of(None).0]).collect();
        let ends = given[2 * COUNT - 2..].iter().map(PeerName::as_str);
        assert_eq!(ends.collect::<Vec<_>>(), ["phone-10000", "peer-10000"]);
        let tried: Vec<_> = ["phone 0", "peer 1"].map(|base| names.next[base]).into();
        assert_eq!(tried, [COUNT + 1; 2]);
    }
}
