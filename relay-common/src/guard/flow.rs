use bytemuck::{Pod, Zeroable};

use super::Limit;

/// How long a flow counts as one that data came from, nanoseconds: longer than the 180 s after
/// which a session is over (REJECT_AFTER_TIME; WireGuard paper, section 6.1).
pub const CONFIRMED_FOR_NS: u64 = 300_000_000_000;

/// A confirmed flow's own bucket. A peer tries every 5 s.
pub const OWN: Limit = Limit { interval_ns: 2_000_000_000, tolerance_ns: 8_000_000_000 };

/// An address and port that messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey {
    address: [u64; 2],
    port: u64,
}

const _: () = assert!(size_of::<FlowKey>() == 24);

/// What is known of an address and port that a handshake initiation was let through from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Flow {
    /// When data came last, nanoseconds of the boot clock; 0 is never.
    data_ns: u64,
    /// Its own bucket, as in [`Limit`].
    full_at: u64,
}

const _: () = assert!(size_of::<Flow>() == 16);

impl FlowKey {
    /// An address, upper and lower half in host order, and a port.
    #[inline(always)]
    pub const fn new(address: [u64; 2], port: u16) -> Self {
        Self { address, port: port as u64 }
    }

    /// An IPv4 address in host order as an IPv4-mapped one (RFC 4291, section 2.5.5.2).
    #[inline(always)]
    pub const fn mapped(address: u32) -> [u64; 2] {
        [0, 0xffff_0000_0000 | address as u64]
    }
}

impl Flow {
    /// One that no data came from yet.
    pub const PENDING: Self = Self { data_ns: 0, full_at: 0 };

    /// The flow after data came.
    #[inline(always)]
    pub const fn confirmed(self, now: u64) -> Self {
        Self { data_ns: now, ..self }
    }

    /// The flow after an initiation that it has a token for; `None` when it has none, or no data
    /// came lately.
    #[inline(always)]
    pub const fn take(self, now: u64) -> Option<Self> {
        if self.data_ns == 0 || now.saturating_sub(self.data_ns) > CONFIRMED_FOR_NS {
            return None;
        }
        match OWN.take(self.full_at, now) {
            Some(full_at) => Some(Self { full_at, ..self }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn only_data_confirms_and_only_for_a_while() {
        let now = 1000 * SECOND;
        assert_eq!(Flow::PENDING.take(now), None);
        let flow = Flow::PENDING.confirmed(now);
        assert!(flow.take(now).is_some());
        assert!(flow.take(now + CONFIRMED_FOR_NS).is_some());
        assert_eq!(flow.take(now + CONFIRMED_FOR_NS + 1), None);
    }

    #[test]
    fn a_peer_that_retries_never_empties_its_bucket_and_a_flood_does_at_once() {
        let mut flow = Flow::PENDING.confirmed(SECOND);
        for second in 1..250 {
            let took = flow.take(second * SECOND);
            assert_eq!(took.is_some(), second < 10 || second % 2 == 1, "second {second}");
            flow = took.unwrap_or(flow);
        }
        let mut flow = Flow::PENDING.confirmed(SECOND);
        for second in (1..250).step_by(5) {
            flow = flow.take(second * SECOND).expect("every five seconds");
        }
        let mut given = 0;
        let mut flow = Flow::PENDING.confirmed(SECOND);
        while let Some(then) = flow.take(SECOND) {
            flow = then;
            given += 1;
        }
        assert_eq!(given, 5);
    }
}
