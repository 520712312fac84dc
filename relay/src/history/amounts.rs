use relay_common::PeerCounters;
use rusqlite::Row;

/// The columns of [`Amounts`], in the order of [`Amounts::values`].
pub(super) const COLUMNS: [&str; Amounts::COUNT] = [
    "rx_packets",
    "rx_bytes",
    "tx_packets",
    "tx_bytes",
    "host_rx_packets",
    "host_rx_bytes",
    "host_tx_packets",
    "host_tx_bytes",
    "dropped",
    "flows",
];

/// What was counted of a subject: its totals, or by how much they grew. rx and tx are seen from the
/// relay; what a pair or a rule exchanged is rx.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Traffic, between peers and with the relay itself.
    pub traffic: PeerCounters,
    /// Dropped packets.
    pub dropped: u64,
    /// Flows begun.
    pub flows: u64,
}

impl Amounts {
    pub(super) const COUNT: usize = 10;

    /// Packets from the subject, to other peers and to the relay itself.
    pub const fn rx_packets(&self) -> u64 {
        self.traffic.rx_packets + self.traffic.host_rx_packets
    }

    /// Their bytes.
    pub const fn rx_bytes(&self) -> u64 {
        self.traffic.rx_bytes + self.traffic.host_rx_bytes
    }

    /// Packets to the subject, from other peers and from the relay itself.
    pub const fn tx_packets(&self) -> u64 {
        self.traffic.tx_packets + self.traffic.host_tx_packets
    }

    /// Their bytes.
    pub const fn tx_bytes(&self) -> u64 {
        self.traffic.tx_bytes + self.traffic.host_tx_bytes
    }

    /// Whether there is nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        *self = self.with(other, u64::saturating_add);
    }

    /// By how much these totals grew since `last`; `None` if one of them is smaller, so that they began
    /// anew.
    pub(super) fn since(&self, last: &Self) -> Option<Self> {
        let fewer = self.values().iter().zip(last.values()).any(|(now, last)| *now < last);
        (!fewer).then(|| self.with(last, u64::saturating_sub))
    }

    /// The same in this many parts, which are as equal as whole numbers can be.
    pub(super) fn part(&self, index: u64, parts: u64) -> Self {
        let upto = |value: u64, parts_before: u64| {
            let share = u128::from(value) * u128::from(parts_before) / u128::from(parts.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        Self::of(self.values().map(|value| upto(value, index + 1) - upto(value, index)))
    }

    pub(super) fn values(&self) -> [u64; Self::COUNT] {
        let t = &self.traffic;
        [
            t.rx_packets,
            t.rx_bytes,
            t.tx_packets,
            t.tx_bytes,
            t.host_rx_packets,
            t.host_rx_bytes,
            t.host_tx_packets,
            t.host_tx_bytes,
            self.dropped,
            self.flows,
        ]
    }

    /// As SQLite keeps them, which has no unsigned numbers.
    pub(super) fn signed(&self) -> [i64; Self::COUNT] {
        self.values().map(|value| i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// The columns of a row, beginning with `first`.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let mut values = [0; Self::COUNT];
        for (column, value) in values.iter_mut().enumerate() {
            *value = u64::try_from(row.get::<_, i64>(first + column)?).unwrap_or(0);
        }
        Ok(Self::of(values))
    }

    fn with(&self, other: &Self, operation: fn(u64, u64) -> u64) -> Self {
        let (own, others) = (self.values(), other.values());
        Self::of(std::array::from_fn(|column| operation(own[column], others[column])))
    }

    fn of(values: [u64; Self::COUNT]) -> Self {
        let [
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
            host_rx_packets,
            host_rx_bytes,
            host_tx_packets,
            host_tx_bytes,
            dropped,
            flows,
        ] = values;
        let traffic = PeerCounters {
            rx_packets,
            rx_bytes,
            tx_packets,
            tx_bytes,
            host_rx_packets,
            host_rx_bytes,
            host_tx_packets,
            host_tx_bytes,
        };
        Self { traffic, dropped, flows }
    }
}
