//! Quotas, and what is used of them.

use std::{
    fmt,
    io::{self, Write},
};

use serde::Serialize;

use super::columns::columns;
use crate::units::bytes;

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// The quotas of all peers that have some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    schema_version: u32,
    interface: String,
    quotas: Vec<QuotaUse>,
}

/// One quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaUse {
    /// Name of the peer.
    pub peer: String,
    /// What counts.
    pub traffic: QuotaTraffic,
    /// Bytes in this period.
    pub used_bytes: u64,
    /// Most bytes of a period.
    pub limit_bytes: u64,
    /// `day`, `week` or `month`.
    pub period: &'static str,
    /// When the next period begins, as RFC 3339 writes it.
    pub resets_at: String,
}

/// What counts against a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaTraffic {
    /// What comes from the peer and what goes to it.
    Both,
    /// What comes from it.
    From,
    /// What goes to it.
    To,
}

impl Quotas {
    /// These quotas of an interface.
    pub fn new(interface: &str, quotas: Vec<QuotaUse>) -> Self {
        Self { schema_version: SCHEMA_VERSION, interface: interface.to_owned(), quotas }
    }
}

/// Renders a line for each quota, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_quotas_into(out: &mut impl Write, shown: &Quotas) -> io::Result<()> {
    if shown.quotas.is_empty() {
        return writeln!(out, "no peer of {} has a quota", shown.interface);
    }
    let head = ["peer", "traffic", "per", "resets at", "used", "of", "used %"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(shown.quotas.iter().map(|quota| {
        let QuotaUse { used_bytes, limit_bytes, .. } = *quota;
        let share = u128::from(used_bytes) * 100 / u128::from(limit_bytes.max(1));
        [
            quota.peer.clone(),
            quota.traffic.label().to_owned(),
            quota.period.to_owned(),
            quota.resets_at.clone(),
            bytes(used_bytes),
            bytes(limit_bytes),
            share.to_string(),
        ]
    }));
    columns(out, &rows, 4)
}

impl QuotaTraffic {
    /// Its word in every output.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::From => "from",
            Self::To => "to",
        }
    }

    /// What text calls such a quota.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Both => "quota",
            Self::From => "quota from it",
            Self::To => "quota to it",
        }
    }
}

impl fmt::Display for QuotaUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (bytes(self.used_bytes), bytes(self.limit_bytes));
        write!(f, "{used} of {limit} a {}, resets {}", self.period, self.resets_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_line() {
        let quota = |peer: &str, traffic, used_bytes, limit_bytes| QuotaUse {
            peer: peer.to_owned(),
            traffic,
            used_bytes,
            limit_bytes,
            period: "month",
            resets_at: "2026-12-01T00:00:00Z".to_owned(),
        };
        let all = vec![
            quota("ann", QuotaTraffic::Both, 123_456_789_012, 500_000_000_000),
            quota("guest", QuotaTraffic::To, 0, 1 << 30),
        ];
        let shown = Quotas::new("relay0", all);
        let text = |shown: &Quotas| {
            let mut text = Vec::new();
            render_quotas_into(&mut text, shown).expect("a Vec takes everything");
            String::from_utf8(text).expect("UTF-8")
        };
        let json = serde_json::to_string_pretty(&shown).expect("numbers and names");
        let nothing = text(&Quotas::new("relay0", Vec::new()));
        insta::assert_snapshot!(format!("{}{nothing}{json}", text(&shown)));
    }
}
