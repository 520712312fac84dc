use bytemuck::{Pod, Zeroable};

use crate::bucket::Bucket;

/// How long a flow stays confirmed after its last data, nanoseconds: longer than the 180 s after
/// which a session ends (REJECT_AFTER_TIME; WireGuard paper, section 6.1).
pub const CONFIRMED_FOR_NS: u64 = 300_000_000_000;

/// Time after which a peer without an answer retries, nanoseconds (REKEY_TIMEOUT; section 6.1).
const REKEY_TIMEOUT_NS: u64 = 5_000_000_000;

/// The bucket that each confirmed flow has. A peer retries every 5 s.
pub const OWN: Bucket = Bucket { interval_ns: 2_000_000_000, tolerance_ns: 8_000_000_000 };

/// Address and port of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FlowKey {
    address: [u64; 2],
    port: u64,
}

const _: () = assert!(size_of::<FlowKey>() == 24);

/// A confirmed flow: data came from its address and port after an initiation passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Flow {
    /// Time of its last data, nanoseconds of the boot clock.
    pub data_ns: u64,
    /// State of its bucket [`OWN`].
    pub full_at: u64,
}

const _: () = assert!(size_of::<Flow>() == 16);

/// Initiations that passed from an address and port since data last came from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Attempt {
    /// Time of the first, nanoseconds of the boot clock.
    pub first_ns: u64,
    /// Time of the last.
    pub last_ns: u64,
    /// Number of initiations.
    pub initiations: u64,
    /// Time of the last data; 0 is never.
    pub data_ns: u64,
}

const _: () = assert!(size_of::<Attempt>() == 32);

impl FlowKey {
    /// Key of an address (upper and lower half, host order) and a port.
    #[inline(always)]
    pub const fn new(address: [u64; 2], port: u16) -> Self {
        Self { address, port: port as u64 }
    }

    /// Address, as in [`Self::new`].
    #[inline(always)]
    pub const fn address(&self) -> [u64; 2] {
        self.address
    }

    /// Port.
    #[inline(always)]
    pub const fn port(&self) -> u64 {
        self.port
    }

    /// An IPv4 address in host order as an IPv4-mapped one (RFC 4291, section 2.5.5.2).
    #[inline(always)]
    pub const fn mapped(address: u32) -> [u64; 2] {
        [0, 0xffff_0000_0000 | address as u64]
    }
}

/// Whether a flow with data at `data_ns` is confirmed.
#[inline(always)]
pub const fn is_confirmed(data_ns: u64, now: u64) -> bool {
    data_ns != 0 && now.saturating_sub(data_ns) <= CONFIRMED_FOR_NS
}

/// Limit of new confirmed flows, for a table of this capacity: within [`CONFIRMED_FOR_NS`] at most as
/// many as fit, so that new ones evict no flow that is still confirmed.
pub const fn confirmations(capacity: u32) -> Bucket {
    let half = if capacity < 2 { 1 } else { (capacity / 2) as u64 };
    let interval_ns = CONFIRMED_FOR_NS / half;
    Bucket { interval_ns, tolerance_ns: interval_ns * (half - 1) }
}

impl Attempt {
    /// Adds an initiation.
    #[inline(always)]
    pub const fn again(self, now: u64) -> Self {
        if self.initiations == 0 || self.data_ns >= self.last_ns {
            return Self { first_ns: now, last_ns: now, initiations: 1, data_ns: 0 };
        }
        Self { last_ns: now, initiations: self.initiations + 1, ..self }
    }

    /// Age of the last initiation in nanoseconds, if no session has followed although the peer has
    /// retried or had the time to.
    pub const fn unanswered(&self, now: u64) -> Option<u64> {
        let age = now.saturating_sub(self.last_ns);
        if self.data_ns >= self.last_ns || self.initiations < 2 && age < REKEY_TIMEOUT_NS {
            return None;
        }
        Some(age)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::sync::atomic::AtomicU64;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn only_data_confirms_a_flow_and_only_for_a_while() {
        let now = 1000 * SECOND;
        assert!(!is_confirmed(0, now) && !is_confirmed(0, 1));
        assert!(is_confirmed(now, now) && is_confirmed(now, now + CONFIRMED_FOR_NS));
        assert!(!is_confirmed(now, now + CONFIRMED_FOR_NS + 1));
        assert!(is_confirmed(now, now - 5_000), "written by another processor, slightly later");
    }

    #[test]
    fn a_retrying_peer_never_empties_its_bucket_and_a_flood_empties_it_at_once() {
        let bucket = AtomicU64::new(0);
        for second in 1..250 {
            let took = OWN.take(&bucket, second * SECOND);
            assert_eq!(took, second < 10 || second % 2 == 1, "second {second}");
        }
        let bucket = AtomicU64::new(0);
        assert!((1..250).step_by(5).all(|second| OWN.take(&bucket, second * SECOND)));
        let bucket = AtomicU64::new(0);
        assert_eq!((0..).take_while(|_| OWN.take(&bucket, SECOND)).count(), 5);
    }

    #[test]
    fn confirmations_never_exceed_the_capacity() {
        for room in [1, 2, 1024, 65_536, 1 << 20] {
            let limit = confirmations(room);
            let bucket = AtomicU64::new(0);
            let steps = (0..=300).map(|second| CONFIRMED_FOR_NS + second * SECOND);
            let confirmed: usize =
                steps.map(|now| (0..).take_while(|_| limit.take(&bucket, now)).count()).sum();
            assert!(confirmed <= (room as usize).max(2), "{confirmed} of {room}");
            assert!(confirmed + 2 >= room as usize, "{confirmed} of {room}");
        }
    }

    #[test]
    fn an_attempt_is_unanswered_once_its_peer_tries_again_or_does_not() {
        let first = Attempt::default().again(100 * SECOND);
        assert_eq!(first.unanswered(101 * SECOND), None, "the answer is on its way");
        assert_eq!(first.unanswered(106 * SECOND), Some(6 * SECOND));
        let second = first.again(105 * SECOND);
        assert_eq!(second.unanswered(106 * SECOND), Some(SECOND));
        assert_eq!((second.first_ns, second.initiations), (100 * SECOND, 2));
        let answered = Attempt { data_ns: 105 * SECOND, ..second };
        assert_eq!(answered.unanswered(500 * SECOND), None);
        let later = answered.again(600 * SECOND);
        assert_eq!((later.first_ns, later.initiations), (600 * SECOND, 1));
    }
}
