//! The text of a fragment of `relay lend`.

use super::new_peer::{assignments, list};
use crate::{
    config::read::Named,
    model::{RuleName, Services},
};

/// Access that is lent: a rule with an end, in a fragment of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLoan {
    /// Who may begin.
    pub from: Named,
    /// With whom.
    pub to: Named,
    /// What may be begun; not empty.
    pub services: Vec<Services>,
    /// Whether either side may begin.
    pub both_ways: bool,
    /// When it ends, as RFC 3339 writes it.
    pub until: String,
    /// What it is for; one line.
    pub description: Option<String>,
}

impl NewLoan {
    /// A name that is not taken: `lent-FROM-TO`, cut, and with a number if need be.
    pub(super) fn name(&self, is_taken: impl Fn(&RuleName) -> bool) -> Option<RuleName> {
        const ROOM: usize = RuleName::MAX_LEN - RuleName::LENT.len();
        let [from, to] = [word(&self.from), word(&self.to)];
        let names = (1..=u16::MAX).map(|number| {
            let ending = if number == 1 { String::new() } else { format!("-{number}") };
            let room = ROOM - ending.len() - 1;
            let from = cut(&from, (room - to.len().min(room)).max(room / 2));
            let to = cut(&to, room - from.len());
            format!("{}{from}-{to}{ending}", RuleName::LENT)
        });
        names.filter_map(|name| name.parse().ok()).find(|name| !is_taken(name))
    }

    /// The fragment.
    pub(super) fn text(&self, name: &RuleName) -> String {
        let mut lines = vec![("name", format!("\"{name}\""))];
        if let Some(description) = &self.description {
            lines.push(("description", toml::Value::from(description.as_str()).to_string()));
        }
        lines.push(("from", list(&[&self.from])));
        lines.push(("to", list(&[&self.to])));
        lines.push(("ports", list(&self.services)));
        if self.both_ways {
            lines.push(("both_ways", "true".to_owned()));
        }
        lines.push(("until", self.until.clone()));
        let rule = assignments("[[rule]]", &lines);
        format!(
            "# Written by `relay lend`; relay removes this file after the rule has ended.\n\n{rule}"
        )
    }
}

/// A side as part of a name.
fn word(side: &Named) -> String {
    let text = match side {
        Named::Group(group) => group.to_string(),
        Named::Any | Named::Peer(_) | Named::Prefix(_) => side.to_string(),
    };
    text.replace(['/', ':'], "-")
}

/// The first bytes of a word of ASCII, without punctuation at its end.
fn cut(word: &str, room: usize) -> &str {
    word[..room.min(word.len())].trim_end_matches(['-', '.', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::parse_named;

    fn loan(from: &str, to: &str) -> NewLoan {
        let side = |text| parse_named(text).expect("a side");
        NewLoan {
            from: side(from),
            to: side(to),
            services: vec![Services::Echo],
            both_ways: false,
            until: "2030-12-31T18:00:00Z".to_owned(),
            description: None,
        }
    }

    #[test]
    fn a_name_has_both_sides_and_is_free() {
        let long = ["a".repeat(63), "b".repeat(63)];
        for (from, to, name) in [
            ("ann", "db", "lent-ann-db"),
            ("group:ops", "any", "lent-ops-any"),
            ("fd00::3:2:2", "10.3.2.0/28", "lent-fd00--3-2-2-10.3.2.0-28"),
            (&long[0], "db", "lent-aaaaaaaaaaaaaaaaaaaaaaaa-db"),
            ("ann", &long[1], "lent-ann-bbbbbbbbbbbbbbbbbbbbbbb"),
            (&long[0], &long[1], "lent-aaaaaaaaaaaaa-bbbbbbbbbbbbb"),
        ] {
            let free = loan(from, to).name(|_| false).expect("a name");
            assert_eq!(free.as_str(), name);
            assert!(free.is_lent());
        }
        let second = loan("ann", "db").name(|name| name.as_str() == "lent-ann-db");
        assert_eq!(second.expect("a name").as_str(), "lent-ann-db-2");
        let second = loan(&long[0], &long[1]).name(|name| !name.as_str().ends_with("-10"));
        assert_eq!(second.expect("a name").as_str(), "lent-aaaaaaaaaaa-bbbbbbbbbbbb-10");
    }
}
