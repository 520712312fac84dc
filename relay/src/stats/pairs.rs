//! Traffic by pair of peers.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use relay_common::PairCounters;
use serde::Serialize;

use super::columns::columns;
use crate::units::bytes;

/// Replaces the names.
const OTHERS: &str = "(others)";

/// Version of the JSON.
const SCHEMA_VERSION: u32 = 1;

/// Traffic of every pair, most bytes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pairs {
    schema_version: u32,
    interface: String,
    pairs: Vec<Pair>,
    /// Pairs that found no entry in the map.
    others: Traffic,
}

/// One direction between two peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    from: String,
    to: String,
    #[serde(flatten)]
    relayed: Traffic,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Traffic {
    packets: u64,
    bytes: u64,
}

impl Pairs {
    /// Counters with the names of sender and receiver. Pairs of equal names, as those of peers that
    /// are no longer known, are added up.
    pub fn new(
        interface: &str,
        pairs: impl IntoIterator<Item = (String, String, PairCounters)>,
        others: PairCounters,
    ) -> Self {
        let mut named: BTreeMap<(String, String), Traffic> = BTreeMap::new();
        for (from, to, counters) in pairs {
            let relayed = named.entry((from, to)).or_default();
            relayed.packets += counters.packets;
            relayed.bytes += counters.bytes;
        }
        let pairs = named.into_iter();
        let mut pairs: Vec<Pair> =
            pairs.map(|((from, to), relayed)| Pair { from, to, relayed }).collect();
        pairs.sort_by(|a, b| {
            b.relayed
                .bytes
                .cmp(&a.relayed.bytes)
                .then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to)))
        });
        let interface = interface.to_owned();
        Self { schema_version: SCHEMA_VERSION, interface, pairs, others: others.into() }
    }

    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    /// Sender, receiver and traffic; last the sum of pairs without an entry, if there are any.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str, PairCounters)> {
        let others = (self.others.packets > 0).then_some((OTHERS, OTHERS, self.others));
        let pairs = self.pairs.iter().map(|pair| (&*pair.from, &*pair.to, pair.relayed));
        pairs.chain(others).map(|(from, to, relayed)| (from, to, relayed.into()))
    }
}

impl From<Traffic> for PairCounters {
    fn from(Traffic { packets, bytes }: Traffic) -> Self {
        Self { packets, bytes }
    }
}

impl From<PairCounters> for Traffic {
    fn from(counters: PairCounters) -> Self {
        Self { packets: counters.packets, bytes: counters.bytes }
    }
}

/// Renders a line for each pair, in columns.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_pairs_into(out: &mut impl Write, shown: &Pairs) -> io::Result<()> {
    let head = ["from", "to", "packets", "bytes"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(shown.rows().map(|(from, to, relayed)| {
        [from.to_owned(), to.to_owned(), relayed.packets.to_string(), bytes(relayed.bytes)]
    }));
    columns(out, &rows, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Pairs {
        let pair = |from: &str, to: &str, packets, bytes| {
            (from.to_owned(), to.to_owned(), PairCounters { packets, bytes })
        };
        let pairs = [
            pair("node-b", "node-a", 3, 252),
            pair("node-a", "node-b", 1200, 1_500_000),
            pair("node-a", "node-c", 3, 252),
        ];
        Pairs::new("relay0", pairs, PairCounters { packets: 7, bytes: 700 })
    }

    #[test]
    fn columns_align_and_most_comes_first() {
        let mut text = Vec::new();
        render_pairs_into(&mut text, &shown()).expect("a Vec takes everything");
        insta::assert_snapshot!(String::from_utf8(text).expect("UTF-8"));
    }

    #[test]
    fn pairs_of_peers_that_are_no_longer_known_are_one_line() {
        let gone =
            |packets, bytes| ("?".to_owned(), "node-a".to_owned(), PairCounters { packets, bytes });
        let shown = Pairs::new("relay0", [gone(1, 84), gone(2, 168)], PairCounters::default());
        let rows: Vec<_> = shown.rows().collect();
        assert_eq!(rows, [("?", "node-a", PairCounters { packets: 3, bytes: 252 })]);
    }

    #[test]
    fn the_json_has_every_pair_and_the_rest() {
        let json = serde_json::to_string_pretty(&shown()).expect("numbers and names");
        insta::assert_snapshot!(json);
    }
}
