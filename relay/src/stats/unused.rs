//! What of the configuration nobody used.

use std::io::{self, Write};

use serde::Serialize;

use super::columns::columns;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Peers that are named one by one in the text.
const SHOWN: usize = 4;

/// Entries of lists and rules that let nothing pass since a time. Times are as RFC 3339 writes them,
/// in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnusedReport {
    schema_version: u32,
    interface: String,
    since: String,
    /// Since when uses of entries are known; `None` if learning is off.
    entries_since: Option<String>,
    /// None if learning is off.
    entries: Vec<UnusedEntry>,
    /// Since when uses of rules are known at most: when the host started.
    rules_since: String,
    rules: Vec<UnusedRule>,
}

/// An entry of a list that opens peers with which nothing was exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnusedEntry {
    /// Whose list it is in.
    pub peer: String,
    /// The entry.
    pub entry: String,
    /// Peers that it opens, and nothing was exchanged with.
    pub unused: Vec<String>,
    /// Peers that it opens, and something was exchanged with.
    pub used: Vec<String>,
    /// When something was last exchanged with the unused ones; `None` if nothing ever was while
    /// learning.
    pub last: Option<String>,
}

/// A rule that let nothing pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnusedRule {
    /// Its name.
    pub rule: String,
    /// When it last let something pass; `None` if it is not known to have.
    pub last: Option<String>,
}

impl UnusedReport {
    /// Of what is unused since a time. Entries come with since when their uses are known.
    pub fn new(
        interface: &str,
        since: String,
        entries: Option<(String, Vec<UnusedEntry>)>,
        rules_since: String,
        rules: Vec<UnusedRule>,
    ) -> Self {
        let (entries_since, entries) = entries.unzip();
        let entries = entries.unwrap_or_default();
        let interface = interface.to_owned();
        Self {
            schema_version: SCHEMA_VERSION,
            interface,
            since,
            entries_since,
            entries,
            rules_since,
            rules,
        }
    }

    /// What the report does not know. Times of one form compare as text.
    pub fn doubts(&self) -> Vec<String> {
        let Self { since, rules_since, .. } = self;
        let mut doubts = Vec::new();
        match &self.entries_since {
            None => doubts.push(
                "learning is off, so that uses of lists are not known; run `relay learn on`".to_owned(),
            ),
            Some(learnt) if learnt > since => doubts.push(format!(
                "learning began at {learnt}: entries are listed that were used between {since} and then"
            )),
            Some(_) => {}
        }
        if rules_since > since {
            doubts.push(format!(
                "the host started at {rules_since}: rules are listed that were used between {since} and \
                 then"
            ));
        }
        doubts
    }
}

/// Renders rules, then entries, a line each, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_unused_into(out: &mut impl Write, report: &UnusedReport) -> io::Result<()> {
    let UnusedReport { interface, since, rules, .. } = report;
    writeln!(out, "{interface}: not used since {since}")?;
    let never = |last: &Option<String>| last.clone().unwrap_or_else(|| "never".to_owned());
    match rules.is_empty() {
        true => writeln!(out, "\nevery rule was used, or there is none")?,
        false => {
            let mut rows = vec![["rule", "last used"].map(str::to_owned)];
            rows.extend(rules.iter().map(|one| [one.rule.clone(), never(&one.last)]));
            writeln!(out)?;
            columns(out, &rows, 2)?;
        }
    }
    let UnusedReport { entries, entries_since, .. } = report;
    if entries_since.is_none() {
        return Ok(());
    }
    if entries.is_empty() {
        return writeln!(out, "\nevery entry of allowed_ips that opens something was used");
    }
    let head = ["allowed_ips of", "entry", "not used with", "used with", "last used"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(entries.iter().map(|one| {
        [one.peer.clone(), one.entry.clone(), few(&one.unused), few(&one.used), never(&one.last)]
    }));
    writeln!(out)?;
    columns(out, &rows, 5)
}

/// A few names, and how many more.
fn few(names: &[String]) -> String {
    let (shown, more) = names.split_at(names.len().min(SHOWN));
    match (shown, more.len()) {
        ([], _) => "-".to_owned(),
        (shown, 0) => shown.join(", "),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(has_learnt: bool) -> UnusedReport {
        let time = |day: u8| format!("2030-12-{day:02}T18:00:00Z");
        let names = |count: usize| (1..=count).map(|number| format!("web-{number}")).collect();
        let entries = vec![
            UnusedEntry {
                peer: "ann".to_owned(),
                entry: "10.3.2.0/24".to_owned(),
                unused: names(6),
                used: vec!["db".to_owned()],
                last: Some(time(2)),
            },
            UnusedEntry {
                peer: "bob".to_owned(),
                entry: "fd00::3:2:7/128".to_owned(),
                unused: names(1),
                used: Vec::new(),
                last: None,
            },
        ];
        let rules = vec![
            UnusedRule { rule: "ops-ssh".to_owned(), last: Some(time(1)) },
            UnusedRule { rule: "old".to_owned(), last: None },
        ];
        let entries = has_learnt.then(|| (time(20), entries));
        UnusedReport::new("relay0", time(10), entries, time(1), rules)
    }

    #[test]
    fn rules_come_first_and_entries_with_whom_they_are_used() {
        let mut text = Vec::new();
        render_unused_into(&mut text, &report(true)).expect("a Vec takes everything");
        let json = serde_json::to_string_pretty(&report(true)).expect("names");
        insta::assert_snapshot!(format!("{}{json}", String::from_utf8(text).expect("UTF-8")));
    }

    #[test]
    fn it_says_what_it_does_not_know() {
        let late = "learning began at 2030-12-20T18:00:00Z: entries are listed that were used between \
                    2030-12-10T18:00:00Z and then";
        assert_eq!(report(true).doubts(), [late]);
        let off = "learning is off, so that uses of lists are not known; run `relay learn on`";
        assert_eq!(report(false).doubts(), [off]);
        let started = UnusedReport {
            rules_since: "2030-12-11T00:00:00Z".to_owned(),
            entries_since: Some("2030-12-09T00:00:00Z".to_owned()),
            ..report(true)
        };
        let started = started.doubts();
        assert!(started.len() == 1 && started[0].starts_with("the host started"), "{started:?}");
    }
}
