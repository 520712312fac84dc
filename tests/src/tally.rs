use std::{
    collections::BTreeMap,
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::Namespace;

/// A number of packets and their bytes, inner IP header included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets on the wire: segments, not aggregates.
    pub packets: u64,
    /// Bytes of inner IP packets.
    pub bytes: u64,
}

impl Tally {
    /// `packets` of `bytes_each`.
    pub const fn of(packets: u64, bytes_each: u64) -> Self {
        Self { packets, bytes: packets * bytes_each }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { packets: self.packets - other.packets, bytes: self.bytes - other.bytes }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} bytes", self.packets, self.bytes)
    }
}

/// The counters of a table's rules, by comment. Named counters would need another kernel module.
pub(crate) fn read_nft(
    namespace: &Namespace,
    family: &str,
    table: &str,
) -> Result<BTreeMap<String, Tally>> {
    let text = namespace.run("nft", &["-j", "list", "table", family, table])?;
    let listing: Value = serde_json::from_str(&text).context("nft -j list table")?;
    let objects = listing["nftables"].as_array().context("nft gave no list")?;
    let mut tallies = BTreeMap::<String, Tally>::new();
    for rule in objects.iter().map(|object| &object["rule"]) {
        let Some(comment) = rule["comment"].as_str() else { continue };
        let expressions = rule["expr"].as_array().context("a rule without expressions")?;
        let tally = expressions.iter().map(|expression| &expression["counter"]).find_map(|found| {
            Some(Tally { packets: found["packets"].as_u64()?, bytes: found["bytes"].as_u64()? })
        });
        *tallies.entry(comment.to_owned()).or_default() +=
            tally.with_context(|| format!("the rule {comment} counts nothing"))?;
    }
    Ok(tallies)
}
