//! Rules that are suggested for what was learnt.

use std::io::{self, Write};

use serde::Serialize;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Rules, groups and tests for what was learnt, and what they leave out. Times are as RFC 3339
/// writes them, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggested {
    schema_version: u32,
    /// Name of the interface.
    pub interface: String,
    /// Since when was learnt.
    pub since: String,
    /// Until when; `None` if learning is on.
    pub until: Option<String>,
    /// New groups.
    pub groups: Vec<SuggestedGroup>,
    /// The rules.
    pub rules: Vec<SuggestedRule>,
    /// Tests of them.
    pub tests: Vec<SuggestedTest>,
    /// All three as TOML.
    pub fragment: String,
    /// What nobody used and is lost once lists open nothing between peers.
    pub lost: Vec<LostAccess>,
    /// Pairs with services that no rule has, because they are not known one by one.
    pub unknown: Vec<SuggestedPair>,
    /// What was used, and neither lists nor rules let pass now.
    pub closed: Vec<ClosedUse>,
    /// How many uses were left out as too few packets, or too old.
    pub left_out: usize,
    /// Packets that were not learnt.
    pub lost_packets: u64,
}

/// A new group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuggestedGroup {
    /// Its name.
    pub name: String,
    /// Its peers.
    pub members: Vec<String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuggestedRule {
    /// Its name.
    pub name: String,
    /// Who may begin, as in `from`.
    pub from: Vec<String>,
    /// With whom.
    pub to: Vec<String>,
    /// What may be begun, as in `ports`.
    pub ports: Vec<String>,
    /// Whether either side may begin.
    pub both_ways: bool,
    /// Packets of its uses, both directions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the latest one came.
    pub last: String,
}

/// A test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuggestedTest {
    /// Who begins.
    pub from: String,
    /// With whom.
    pub to: String,
    /// What must pass.
    pub allow: Vec<String>,
    /// What must not.
    pub deny: Vec<String>,
}

/// What lists let pass and the rules do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostAccess {
    /// Who may begin.
    pub from: String,
    /// With whom.
    pub to: String,
    /// Whether the other side may begin, too.
    pub both_ways: bool,
    /// The only family that it is about: `ipv4` or `ipv6`.
    pub family: Option<&'static str>,
    /// Whether some services of some of the pairs are kept, by rules.
    pub but_kept: bool,
}

/// Two peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuggestedPair {
    /// Who began.
    pub from: String,
    /// With whom.
    pub to: String,
}

/// What one peer began with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosedUse {
    /// Who began.
    pub from: String,
    /// With whom.
    pub to: String,
    /// What for; `None` for services that are not known one by one.
    pub service: Option<String>,
    /// Packets in both directions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the latest one came.
    pub last: String,
}

impl Suggested {
    /// Nothing, of what was learnt in this time.
    pub fn nothing(interface: &str, since: String, until: Option<String>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            interface: interface.to_owned(),
            since,
            until,
            groups: Vec::new(),
            rules: Vec::new(),
            tests: Vec::new(),
            fragment: String::new(),
            lost: Vec::new(),
            unknown: Vec::new(),
            closed: Vec::new(),
            left_out: 0,
            lost_packets: 0,
        }
    }
}

/// Renders a fragment: the rules as TOML, below comments on what they leave out.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_suggested_into(out: &mut impl Write, shown: &Suggested) -> io::Result<()> {
    let Suggested { interface, since, until, .. } = shown;
    let until = until.as_ref().map_or_else(String::new, |until| format!(" until {until}"));
    writeln!(
        out,
        "# By `relay suggest`: what peers of {interface} used, and lists alone let pass,"
    )?;
    writeln!(out, "# since {since}{until}.")?;
    writeln!(out, "# It counts once lists open nothing between peers.")?;
    let lost = shown.lost.iter().map(|lost| {
        let arrow = if lost.both_ways { '\u{2194}' } else { '\u{2192}' };
        let but = if lost.but_kept { " but what rules let pass" } else { "" };
        let family = match lost.family {
            Some("ipv4") => " over IPv4",
            Some(_) => " over IPv6",
            None => "",
        };
        format!("{} {arrow} {}: everything{but}{family}", lost.from, lost.to)
    });
    remark(out, "Lost then, because nobody used it:", lost)?;
    let closed = shown.closed.iter().map(|one| {
        let service = one.service.as_deref().unwrap_or("services that are not known one by one");
        format!("{} \u{2192} {}: {service}, last at {}", one.from, one.to, one.last)
    });
    remark(out, "Used, but neither lists nor rules let it pass now:", closed)?;
    let unknown = shown.unknown.iter().map(|pair| format!("{} \u{2192} {}", pair.from, pair.to));
    let title = "Not in the rules, because more services were used than are known one by one:";
    remark(out, title, unknown)?;
    let few = match shown.left_out {
        0 => None,
        1 => Some("1 use with too few packets, or too long ago".to_owned()),
        count => Some(format!("{count} uses with too few packets, or too long ago")),
    };
    let packets = match shown.lost_packets {
        0 => None,
        count => Some(format!("{count} packets that found no place while learning")),
    };
    remark(out, "Left out:", few.into_iter().chain(packets))?;
    if shown.rules.is_empty() {
        return writeln!(out, "#\n# No rule is needed.");
    }
    write!(out, "\n{}", shown.fragment)
}

fn remark(
    out: &mut impl Write,
    title: &str,
    lines: impl Iterator<Item = String>,
) -> io::Result<()> {
    for (number, line) in lines.enumerate() {
        if number == 0 {
            writeln!(out, "#\n# {title}")?;
        }
        writeln!(out, "#   {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Suggested {
        let pair = || SuggestedPair { from: "ann".to_owned(), to: "scanned".to_owned() };
        let since = "2030-12-24T18:00:00Z".to_owned();
        Suggested {
            rules: vec![SuggestedRule {
                name: "learnt-1".to_owned(),
                from: vec!["ann".to_owned()],
                to: vec!["web-1".to_owned()],
                ports: vec!["tcp/443".to_owned()],
                both_ways: false,
                packets: 1200,
                bytes: 1_500_000,
                last: "2030-12-31T18:00:00Z".to_owned(),
            }],
            fragment: "[[rule]]\nname = \"learnt-1\"\n".to_owned(),
            lost: vec![
                LostAccess {
                    from: "ann".to_owned(),
                    to: "web-1".to_owned(),
                    both_ways: true,
                    family: None,
                    but_kept: true,
                },
                LostAccess {
                    from: "any".to_owned(),
                    to: "db".to_owned(),
                    both_ways: false,
                    family: Some("ipv6"),
                    but_kept: false,
                },
            ],
            unknown: vec![pair()],
            closed: vec![ClosedUse {
                from: "bob".to_owned(),
                to: "db".to_owned(),
                service: None,
                packets: 2,
                bytes: 120,
                last: "2030-12-30T18:00:00Z".to_owned(),
            }],
            left_out: 2,
            lost_packets: 7,
            ..Suggested::nothing("relay0", since, Some("2030-12-31T18:05:00Z".to_owned()))
        }
    }

    #[test]
    fn what_is_left_out_stands_above_the_rules() {
        let mut text = Vec::new();
        render_suggested_into(&mut text, &shown()).expect("a Vec takes everything");
        let nothing = Suggested::nothing("relay0", "2030-12-24T18:00:00Z".to_owned(), None);
        render_suggested_into(&mut text, &nothing).expect("a Vec takes everything");
        let json = serde_json::to_string_pretty(&shown()).expect("numbers and names");
        insta::assert_snapshot!(format!("{}{json}", String::from_utf8(text).expect("UTF-8")));
    }
}
