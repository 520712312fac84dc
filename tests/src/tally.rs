use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub},
};

use anyhow::{Context as _, Result};

use crate::Namespace;

/// Packets and the bytes of these packets, from the first of the inner IP header to the last of
/// the payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets, as they are on the wire: segments, not aggregates of them.
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

/// Reads a named nftables counter; `table` has its family in front, as `ip router`.
///
/// # Errors
/// `nft` failed or there is no such counter.
pub(crate) fn read_nft(namespace: &Namespace, table: &str, counter: &str) -> Result<Tally> {
    let (family, table) = table.split_once(' ').context("a table is named with its family")?;
    let text = namespace.run("nft", &["-j", "list", "counter", family, table, counter])?;
    let listing: serde_json::Value = serde_json::from_str(&text).context("nft -j list counter")?;
    let objects = listing["nftables"].as_array().context("nft gave no list")?;
    objects
        .iter()
        .map(|object| &object["counter"])
        .find(|found| found["name"] == counter)
        .and_then(|found| {
            Some(Tally { packets: found["packets"].as_u64()?, bytes: found["bytes"].as_u64()? })
        })
        .with_context(|| format!("no counter {counter} in {text}"))
}
