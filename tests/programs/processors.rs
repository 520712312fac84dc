//! Programs that run on several processors.

use std::thread;

use aya::maps::{Array, Map, MapData};
use relay_common::counters::spread_index;
use relay_tests::{
    inner::Inner,
    processor::stay_on,
    program_run::{REDIRECT, address},
};

use crate::{four_peers, frozen::maps};

/// Bits of the slots of a few peers.
const SLOT_BITS: u32 = 8;

/// Words of a slot's counters; the first is of packets from the peer.
const WORDS: usize = 8;

#[test]
fn each_processor_counts_apart_and_what_is_read_is_the_sum() {
    let Some(mut programs) = four_peers("processors::sum") else { return };
    let inner = Inner::udp(address("10.3.2.2"), address("10.3.2.3"), 56);
    let processors = thread::available_parallelism().expect("their number").get();
    let ((), moved) = programs.moved(|programs| {
        for processor in 0..processors {
            let run = || {
                stay_on(processor).expect("an affinity");
                (0..=processor).for_each(|_| assert_eq!(programs.ingress(&inner).0, REDIRECT));
            };
            thread::scope(|scope| scope.spawn(run).join()).expect("no panic");
        }
    });
    let all: usize = (1..=processors).sum();
    let expected = [
        format!("1 rx_packets +{all}"),
        format!("1 rx_bytes +{}", all * 84),
        format!("2 tx_packets +{all}"),
        format!("2 tx_bytes +{}", all * 84),
    ];
    assert_eq!(moved, expected);
    if processors == 1 {
        return;
    }
    let map = MapData::from_id(maps(&mut programs)["SPREAD"]).expect("a map");
    let map = Map::from_map_data(map).expect("a kind that aya knows");
    let spread = Array::<MapData, [u64; WORDS]>::try_from(map).expect("an array");
    let last_group = (spread.len() >> SLOT_BITS) - 1;
    for processor in 0..processors {
        let number = u32::try_from(processor).expect("few processors");
        let place = spread_index(1, number, last_group, SLOT_BITS);
        let packets = spread.get(&place, 0).expect("a slot")[0];
        assert_eq!(packets, processor as u64 + 1, "of processor {processor}");
    }
}
