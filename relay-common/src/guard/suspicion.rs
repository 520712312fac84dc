use bytemuck::{Pod, Zeroable};

use super::{FlowKey, flow::is_confirmed, limit::is_share};
use crate::bucket::Bucket;

/// Invalid MAC1s from an address and port beyond which not every MAC1 is checked. Checking ten
/// thousand a second takes a hundredth of a processor.
pub const WRONG: Bucket = Bucket { interval_ns: 100_000, tolerance_ns: 999_900_000 };

/// Beyond the limit, one message in this many is checked.
const CHECKED_SHARE: u32 = 24;

/// Invalid MAC1s of the addresses and ports that share a place in a table of fixed size. An attacker
/// can neither fill the table nor evict anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Suspicion {
    /// State of the bucket [`WRONG`].
    pub wrong_full_at: u64,
    /// Time of the last data from a confirmed flow, nanoseconds of the boot clock; 0 is never.
    pub data_ns: u64,
}

const _: () = assert!(size_of::<Suspicion>() == 16);

impl Suspicion {
    /// Places of the table.
    pub const PLACES: u32 = 1 << 16;

    /// Place of an address and port. Without the seed nobody can choose it.
    #[inline(always)]
    pub const fn place(flow: &FlowKey, seed: u64) -> u32 {
        let [high, low] = flow.address();
        let mixed = (high ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29 ^ low).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 32 ^ flow.port()).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 48) as u32
    }

    /// Whether the MAC1 of a handshake message is checked: always, until too many were invalid; then
    /// for confirmed flows, and for others at random, so that none is shut out.
    #[inline(always)]
    pub fn checks(&self, now: u64, random: impl FnOnce() -> u32) -> bool {
        WRONG.has(self.wrong_full_at, now)
            || is_confirmed(self.data_ns, now)
            || is_share(random(), CHECKED_SHARE)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
    };

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The share of genuine initiations, sent at random times, that are checked while their address
    /// and port sends this many forged ones a second.
    fn checked(wrong_a_second: u64, data_ns: u64) -> f64 {
        let bucket = AtomicU64::new(0);
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut roll = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 32) as u32
        };
        let (mut tried, mut checked) = (0u32, 0u32);
        let at = |bucket: &AtomicU64| Suspicion { wrong_full_at: bucket.load(Relaxed), data_ns };
        let (mut now, gap) = (100 * SECOND, SECOND / wrong_a_second);
        // The first seconds empty the bucket.
        for number in 0..wrong_a_second * 6 {
            let wait = (u64::from(roll()) * 2 * gap) >> 32;
            if at(&bucket).checks(now, &mut roll) {
                WRONG.take(&bucket, now);
            }
            if number >= wrong_a_second * 2 && number.is_multiple_of(50) {
                tried += 1;
                let moment = now + ((u64::from(roll()) * wait) >> 32);
                checked += u32::from(at(&bucket).checks(moment, &mut roll));
            }
            now += wait;
        }
        f64::from(checked) / f64::from(tried)
    }

    /// The figures of the module's documentation: what spoofing its address and port costs a peer.
    #[test]
    fn a_genuine_peer_is_checked_whatever_is_sent_from_its_address() {
        let everything = checked(1_000, 0);
        assert!(everything >= 1.0, "{everything} of those at 1 000 a second");
        for (wrong, at_least, at_most) in [(35_000, 0.14, 0.23), (200_000, 0.05, 0.09)] {
            let share = checked(wrong, 0);
            assert!((at_least..at_most).contains(&share), "{share} of those at {wrong} a second");
            let share = checked(wrong, 105 * SECOND);
            assert!(share >= 1.0, "{share} of those of a confirmed flow at {wrong} a second");
        }
    }

    #[test]
    fn places_spread_over_the_table_and_depend_on_every_part_and_the_seed() {
        let place = |address, port, seed| Suspicion::place(&FlowKey::new(address, port), seed);
        let ports: BTreeSet<u32> = (0..10_000).map(|port| place([0, 1], port, 7)).collect();
        let hosts: BTreeSet<u32> =
            (0..10_000).map(|host| place(FlowKey::mapped(host), 51820, 7)).collect();
        let networks: BTreeSet<u32> = (0..10_000).map(|net| place([net, 1], 51820, 7)).collect();
        let seeds: BTreeSet<u32> = (0..10_000).map(|seed| place([0, 1], 51820, seed)).collect();
        for places in [ports, hosts, networks, seeds] {
            // Of 10 000 thrown at 65 536, 9 270 places are hit on average.
            assert!(places.len() > 9_000, "{}", places.len());
            assert!(places.iter().all(|place| *place < Suspicion::PLACES));
        }
    }
}
