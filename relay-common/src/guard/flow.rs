use bytemuck::{Pod, Zeroable};

use super::Limit;

/// How long a flow counts as one that data came from, nanoseconds: longer than the 180 s after
/// which a session is over (REJECT_AFTER_TIME; WireGuard paper, section 6.1).
pub const CONFIRMED_FOR_NS: u64 = 300_000_000_000;

/// After how long a peer without an answer begins anew, nanoseconds (REKEY_TIMEOUT; section 6.1).
const REKEY_TIMEOUT_NS: u64 = 5_000_000_000;

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

/// What is known of an address and port that data came from after an initiation was let through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Flow {
    /// When data came last, nanoseconds of the boot clock.
    pub data_ns: u64,
    /// Its own bucket, as in [`Limit`].
    pub full_at: u64,
}

const _: () = assert!(size_of::<Flow>() == 16);

/// Initiations that were let through from an address and port, since data last came from there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Attempt {
    /// When the first came, nanoseconds of the boot clock.
    pub first_ns: u64,
    /// When the last came.
    pub last_ns: u64,
    /// How many.
    pub initiations: u64,
    /// When data came last; 0 is never.
    pub data_ns: u64,
}

const _: () = assert!(size_of::<Attempt>() == 32);

impl FlowKey {
    /// An address, upper and lower half in host order, and a port.
    #[inline(always)]
    pub const fn new(address: [u64; 2], port: u16) -> Self {
        Self { address, port: port as u64 }
    }

    /// Its address, as in [`Self::new`].
    #[inline(always)]
    pub const fn address(&self) -> [u64; 2] {
        self.address
    }

    /// Its port.
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

/// Whether an address and port counts as one that data came from.
#[inline(always)]
pub const fn is_confirmed(data_ns: u64, now: u64) -> bool {
    data_ns != 0 && now.saturating_sub(data_ns) <= CONFIRMED_FOR_NS
}

/// How many flows may be confirmed in a while, of as many as there is room for: no more than fit
/// into the table for as long as one counts, so that new ones push out none that does.
pub const fn confirmations(room: u32) -> Limit {
    let half = if room < 2 { 1 } else { (room / 2) as u64 };
    let interval_ns = CONFIRMED_FOR_NS / half;
    Limit { interval_ns, tolerance_ns: interval_ns * (half - 1) }
}

impl Attempt {
    /// With one initiation more.
    #[inline(always)]
    pub const fn again(self, now: u64) -> Self {
        if self.initiations == 0 || self.data_ns >= self.last_ns {
            return Self { first_ns: now, last_ns: now, initiations: 1, data_ns: 0 };
        }
        Self { last_ns: now, initiations: self.initiations + 1, ..self }
    }

    /// How long ago the last initiation came, nanoseconds, where no session followed it for as
    /// long as a peer takes to begin anew.
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
    fn only_data_confirms_and_only_for_a_while() {
        let now = 1000 * SECOND;
        assert!(!is_confirmed(0, now) && !is_confirmed(0, 1));
        assert!(is_confirmed(now, now) && is_confirmed(now, now + CONFIRMED_FOR_NS));
        assert!(!is_confirmed(now, now + CONFIRMED_FOR_NS + 1));
        assert!(is_confirmed(now, now - 5_000), "by another processor, a moment later");
    }

    #[test]
    fn a_peer_that_retries_never_empties_its_bucket_and_a_flood_does_at_once() {
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
    fn confirmations_never_outnumber_the_room() {
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
