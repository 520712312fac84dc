//! What is lent.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;

use super::{columns::columns, ends::about};

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Access that is lent for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loan {
    /// Name of its rule.
    pub name: String,
    /// Who may begin.
    pub from: Vec<String>,
    /// With whom.
    pub to: Vec<String>,
    /// Whether either side may begin.
    pub both_ways: bool,
    /// What may be begun; if empty, everything.
    pub services: Vec<String>,
    /// When it ends, as RFC 3339 writes it, in UTC; `None` if somebody took the end out.
    pub until: Option<String>,
    /// The same in the host's time zone, for text.
    #[serde(skip)]
    pub local: Option<String>,
    /// Until then; not positive if it has ended.
    pub seconds_left: Option<i64>,
    /// What it is for.
    pub reason: Option<String>,
    /// The fragment that it is in.
    pub file: PathBuf,
}

/// All that is lent, the first to end first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loans {
    schema_version: u32,
    interface: String,
    loans: Vec<Loan>,
}

impl Loans {
    /// Of these, in any order.
    pub fn new(interface: &str, mut loans: Vec<Loan>) -> Self {
        loans.sort_by(|a, b| {
            let end = |loan: &Loan| loan.seconds_left.unwrap_or(i64::MAX);
            end(a).cmp(&end(b)).then_with(|| a.name.cmp(&b.name))
        });
        Self { schema_version: SCHEMA_VERSION, interface: interface.to_owned(), loans }
    }
}

/// Renders a line for each, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_loans_into(out: &mut impl Write, shown: &Loans) -> io::Result<()> {
    if shown.loans.is_empty() {
        return writeln!(out, "{}: nothing is lent", shown.interface);
    }
    let head = ["name", "from", "to", "what", "left", "until", "reason"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(shown.loans.iter().map(|loan| {
        let left = match loan.seconds_left {
            None => "no end".to_owned(),
            Some(left) if left > 0 => about(left),
            Some(past) => format!("ended {} ago", about(past)),
        };
        let what = match loan.services.as_slice() {
            [] => "everything".to_owned(),
            some => some.join(", "),
        };
        let both_ways = if loan.both_ways { ", both ways" } else { "" };
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            loan.name.clone(),
            loan.from.join(", "),
            loan.to.join(", "),
            format!("{what}{both_ways}"),
            left,
            or_none(&loan.local),
            or_none(&loan.reason),
        ]
    }));
    columns(out, &rows, rows[0].len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loan(name: &str, seconds_left: Option<i64>) -> Loan {
        Loan {
            name: name.to_owned(),
            from: vec!["ann".to_owned()],
            to: vec!["db".to_owned()],
            both_ways: false,
            services: vec!["tcp/5432".to_owned(), "icmp/echo".to_owned()],
            until: seconds_left.map(|_| "2030-12-31T18:00:00Z".to_owned()),
            local: seconds_left.map(|_| "2030-12-31 19:00:00 CET".to_owned()),
            seconds_left,
            reason: None,
            file: format!("/etc/relay/relay.d/{name}.toml").into(),
        }
    }

    #[test]
    fn what_ends_first_comes_first() {
        let audit = Loan {
            from: vec!["group:ops".to_owned()],
            services: Vec::new(),
            both_ways: true,
            reason: Some("audit".to_owned()),
            ..loan("lent-ops-db", Some(93_784))
        };
        let loans = vec![
            loan("lent-ann-db-2", None),
            audit,
            loan("lent-ann-db", Some(59)),
            loan("lent-ann-db-3", Some(-3_661)),
        ];
        let shown = Loans::new("relay0", loans);
        let mut text = Vec::new();
        render_loans_into(&mut text, &shown).expect("a Vec takes everything");
        render_loans_into(&mut text, &Loans::new("relay0", Vec::new())).expect("as before");
        let json = serde_json::to_string_pretty(&shown).expect("numbers and names");
        insta::assert_snapshot!(format!("{}{json}", String::from_utf8(text).expect("UTF-8")));
    }
}
