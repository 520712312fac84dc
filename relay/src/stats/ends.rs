//! When rules end.

use std::io::{self, Write};

use serde::Serialize;

use super::text::line;
use crate::units::span;

/// A rule with an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleEnd {
    /// Its name.
    pub rule: String,
    /// When it ends, as RFC 3339 writes it, in UTC.
    pub until: String,
    /// The same in the host's time zone, for text.
    #[serde(skip)]
    pub local: String,
    /// Until then; negative if it has ended.
    pub seconds_left: i64,
}

/// The rules with an end, the first to end first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RuleEnds(Vec<RuleEnd>);

impl RuleEnds {
    /// Of these rules, in any order.
    pub fn new(mut ends: Vec<RuleEnd>) -> Self {
        ends.sort_by_key(|end| end.seconds_left);
        Self(ends)
    }
}

/// Renders at most two lines: the next to end, and the last that has ended.
pub(super) fn rule_ends(out: &mut impl Write, RuleEnds(ends): &RuleEnds) -> io::Result<()> {
    let (ended, ahead) = ends.split_at(ends.partition_point(|end| end.seconds_left <= 0));
    if let Some((next, later)) = ahead.split_first() {
        let more = match later.len() {
            0 => String::new(),
            more => format!(", then {more} more"),
        };
        let left = about(next.seconds_left);
        line(
            out,
            "rule that ends next",
            &format!("{} in {left} ({}){more}", next.rule, next.local),
        )?;
    }
    if let Some((last, earlier)) = ended.split_last() {
        let more = match earlier.len() {
            0 => String::new(),
            more => format!(", and {more} more before"),
        };
        let ago = about(last.seconds_left);
        line(
            out,
            "rules that have ended",
            &format!("{} {ago} ago ({}){more}", last.rule, last.local),
        )?;
    }
    Ok(())
}

/// A span in its two largest units.
pub(super) fn about(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    let unit = match seconds {
        86_400.. => 3600,
        3600.. => 60,
        _ => 1,
    };
    span(seconds / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ends: &[(&str, i64)]) -> String {
        let end = |&(rule, seconds_left): &(&str, i64)| RuleEnd {
            rule: rule.to_owned(),
            until: String::new(),
            local: format!("then {seconds_left}"),
            seconds_left,
        };
        let mut text = Vec::new();
        rule_ends(&mut text, &RuleEnds::new(ends.iter().map(end).collect()))
            .expect("memory is never full");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn the_next_and_the_last_are_named_and_the_others_counted() {
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&[("a", 1)]), "  rule that ends next: a in 1 second (then 1)\n");
        assert_eq!(
            shown(&[("a", 200_000), ("b", 93_784), ("c", 0), ("d", -3_661), ("e", 400_000)]),
            "  rule that ends next: b in 1 day, 2 hours (then 93784), then 2 more\n  \
             rules that have ended: c 0 seconds ago (then 0), and 1 more before\n"
        );
    }
}
