//! Names of peers, from the comments in which the makers of hub files put them.

use std::collections::HashSet;

use serde::Deserialize;

use crate::{config::table::looks_secret, model::PeerName};

/// A name that a comment may give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hint {
    name: String,
    /// Whether the comment says that it is a name.
    is_said: bool,
    /// Whether it is of a form that stands inside the section.
    is_within: bool,
}

impl Hint {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn is_within(&self) -> bool {
        self.is_within
    }

    /// The earlier of two, unless the later one says more.
    pub(super) fn better(earlier: Option<Self>, later: Self) -> Option<Self> {
        match earlier {
            Some(earlier) if earlier.is_said || !later.is_said => Some(earlier),
            Some(_) | None => Some(later),
        }
    }

    /// The later of two, unless the earlier one says more.
    pub(super) fn later(earlier: Option<Self>, later: Self) -> Option<Self> {
        match earlier {
            Some(earlier) if earlier.is_said && !later.is_said => Some(earlier),
            Some(_) | None => Some(later),
        }
    }
}

#[derive(Deserialize)]
struct FriendlyJson {
    name: String,
}

/// What a comment, without its first `#`, says of a peer's name.
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
/// | people | `# NAME` |
pub(super) fn hint(comment: &str) -> Option<Hint> {
    let text = comment.trim_matches(|c: char| c == '#' || c.is_whitespace());
    if text.is_empty() || looks_secret(text) || text.contains('[') {
        return None;
    }
    let of = |name: &str, is_said, is_within| {
        let name = name.trim();
        (!name.is_empty()).then(|| Hint { name: name.to_owned(), is_said, is_within })
    };
    if let Some((key, value)) = text.split_once(['=', ':']) {
        let key = key.trim_matches(|c: char| c == '#' || c.is_whitespace()).to_ascii_lowercase();
        return match key.as_str() {
            "friendly_name" => of(value, true, true),
            "friendly_json" => {
                let json: FriendlyJson = serde_json::from_str(value.trim()).ok()?;
                of(&json.name, true, true)
            }
            "name" | "peer" => of(value, true, false),
            "client" => {
                let name = match value.trim().strip_suffix(')').and_then(|it| it.rsplit_once(" ("))
                {
                    Some((name, _id)) => name,
                    None => value,
                };
                of(name, true, false)
            }
            _ => None,
        };
    }
    if let Some((word, name)) = text.split_once(char::is_whitespace) {
        match word.to_ascii_lowercase().as_str() {
            "client" | "begin" | "begin_peer" => return of(name, true, false),
            "end" | "end_peer" => return None,
            _ => {}
        }
    }
    of(text, false, false)
}

/// Names as the project writes them, each given once.
#[derive(Default)]
pub(super) struct Names {
    given: HashSet<String>,
}

impl Names {
    /// The name made of `said`, and `said` itself when it is another.
    pub(super) fn of(&mut self, said: Option<&str>) -> (PeerName, Option<String>) {
        let said = said.filter(|said| !mapped(said).is_empty());
        let base = said.map_or_else(|| "peer".to_owned(), mapped);
        let numbered = |number: usize| {
            let tail = format!("-{number}");
            let most = PeerName::MAX_LEN - tail.len();
            format!("{}{tail}", &base[..base.len().min(most)])
        };
        let mut number = 1;
        let name = loop {
            // Those without a name are counted from the first.
            let name = if number == 1 && said.is_some() { base.clone() } else { numbered(number) };
            number += 1;
            if let Ok(parsed) = name.parse::<PeerName>()
                && self.given.insert(name)
            {
                break parsed;
            }
        };
        let other = said.filter(|said| *said != name.as_str()).map(str::to_owned);
        (name, other)
    }
}

/// Lower case, with a dash for what no name may hold.
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
    name.trim_end_matches(['-', '.', '_']).to_owned()
}
