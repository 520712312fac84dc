use std::fmt;

/// Limits of a peer's traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// How fast what comes from it may be.
    pub rate_from: Option<Rate>,
    /// How fast what goes to it may be.
    pub rate_to: Option<Rate>,
    /// How much both directions may be together; the two below are `None` then.
    pub quota: Option<Quota>,
    /// How much what comes from it may be.
    pub quota_from: Option<Quota>,
    /// How much what goes to it may be.
    pub quota_to: Option<Quota>,
}

/// Bits a second of IP packets inside the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// Bytes of IP packets inside the tunnel in each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub bytes: u64,
    /// How long they have to last.
    pub period: Period,
}

/// A period of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first of a month.
    Month,
}

/// Units of rates, largest first, and the bits a second of each.
pub const RATE_UNITS: [(&str, u64); 5] = [
    ("Tbit/s", 1_000_000_000_000),
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("bit/s", 1),
];

/// Units of quotas, and the bytes of each: decimal ones, then binary ones, largest first.
pub const SIZE_UNITS: [(&str, u64); 9] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Limits {
    /// Whether anything is limited.
    pub fn exist(&self) -> bool {
        *self != Self::default()
    }

    /// Whether what comes from the peer is limited.
    pub const fn has_from(&self) -> bool {
        self.rate_from.is_some() || self.quota.is_some() || self.quota_from.is_some()
    }

    /// Whether what goes to it is limited.
    pub const fn has_to(&self) -> bool {
        self.rate_to.is_some() || self.quota.is_some() || self.quota_to.is_some()
    }
}

impl Rate {
    /// The lowest.
    pub const MIN: Self = Self(8_000);
    /// The highest.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// A rate between the lowest and the highest.
    pub fn new(bits_per_second: u64) -> Option<Self> {
        Some(Self(bits_per_second)).filter(|rate| (Self::MIN..=Self::MAX).contains(rate))
    }

    /// Bits a second.
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }
}

impl Quota {
    /// The least, bytes: the largest aggregate of packets.
    pub const LEAST: u64 = 1 << 16;
    /// The most, bytes.
    pub const MOST: u64 = 1_000_000_000_000_000_000;
}

impl Period {
    /// In the order of their lengths.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// As in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in(f, self.0, &RATE_UNITS)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in(f, self.bytes, &SIZE_UNITS)?;
        write!(f, "/{}", self.period.name())
    }
}

/// Writes a number in the first unit of which it is a multiple.
fn write_in(f: &mut fmt::Formatter<'_>, number: u64, units: &[(&str, u64)]) -> fmt::Result {
    let unit = units.iter().find(|(_, size)| number >= *size && number.is_multiple_of(*size));
    unit.map_or(Ok(()), |(unit, size)| write!(f, "{} {unit}", number / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_quotas_are_shown_as_one_writes_them() {
        for (bits, shown) in [
            (8_000, "8 kbit/s"),
            (10_000_000, "10 Mbit/s"),
            (1_500_000, "1500 kbit/s"),
            (8_001, "8001 bit/s"),
            (1_000_000_000_000, "1 Tbit/s"),
        ] {
            assert_eq!(Rate::new(bits).expect("a rate").to_string(), shown);
        }
        for (bytes, shown) in [
            (500_000_000_000, "500 GB/month"),
            (1 << 30, "1 GiB/month"),
            (1 << 16, "64 KiB/month"),
            (65_537, "65537 B/month"),
        ] {
            assert_eq!(Quota { bytes, period: Period::Month }.to_string(), shown);
        }
    }
}
