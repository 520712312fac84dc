//! What one run of the relay's program takes while another processor runs it, too.

use std::{sync::Barrier, thread, time::Duration};

use anyhow::{Result, ensure};
use relay::datapath::{Direction, Loaded, Packet};
use relay_tests::{inner::Inner, processor::stay_on, program_run};

use super::fleet::{Fleet, Shape};

/// Peers far enough apart that their counters are in no neighbouring lines of a cache.
const PEERS: u32 = 64;
const ONE: u32 = 0;
const TWO: u32 = 16;
const THREE: u32 = 32;
const FOUR: u32 = 48;

/// Runs in one call: each decrements the TTL, which starts at 255.
const REPEAT: u32 = 250;

/// Calls one after the other, and rounds of those alone and on both processors at once.
const CALLS: u32 = 800;
const ROUNDS: usize = 25;

/// What the processors relay, as sender and receiver on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Its name in every output.
    pub name: &'static str,
    pairs: [[u32; 2]; 2],
}

/// All cases.
pub const CASES: [Case; 4] = [
    Case { name: "disjoint pairs", pairs: [[ONE, TWO], [THREE, FOUR]] },
    Case { name: "to one peer", pairs: [[ONE, THREE], [TWO, THREE]] },
    Case { name: "from one peer", pairs: [[THREE, ONE], [THREE, TWO]] },
    Case { name: "between two peers", pairs: [[ONE, TWO], [TWO, ONE]] },
];

/// Nanoseconds of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// On one processor, while the other does nothing.
    pub alone_ns: f64,
    /// On each of two at once: that of the slower one.
    pub together_ns: f64,
}

/// Runs the ingress program on packets of 84 bytes that it relays. Every run is found in the counters.
pub fn measure(case: Case) -> Result<Cost> {
    let processors = thread::available_parallelism()?.get();
    ensure!(processors >= 2, "found one processor, expected two");
    let (compiled, slots) = Fleet { peers: PEERS, shape: Shape::Mesh }.compile(true)?;
    let mut loaded = Loaded::load(&compiled, 1, None, slots)?;
    let inners = case.pairs.map(|[from, to]| {
        Inner::udp(Fleet::v4(from).into(), Fleet::v4(to).into(), 56).with_ttl(255)
    });
    let run = |on: usize| -> Result<Duration> {
        let packet =
            Packet { bytes: inners[on].bytes(), ingress_interface: 1, ..Packet::default() };
        let mut all = Duration::ZERO;
        for _ in 0..CALLS {
            let (verdict, each) = loaded.time(Direction::Ingress, &packet, REPEAT)?;
            ensure!(verdict == program_run::REDIRECT, "the packet is not relayed: {verdict}");
            all += each;
        }
        Ok(all / CALLS)
    };
    let mut least = [Duration::MAX; 2];
    for _round in 0..ROUNDS {
        least[0] = least[0].min(thread::scope(|scope| {
            scope.spawn(|| stay_on(0).and_then(|()| run(0))).join().expect("no panic")
        })?);
        let barrier = Barrier::new(2);
        let (run, barrier) = (&run, &barrier);
        let both = thread::scope(|scope| {
            let threads = [0, 1].map(|on| {
                scope.spawn(move || {
                    let moved = stay_on(on);
                    barrier.wait();
                    moved.and_then(|()| run(on))
                })
            });
            threads.map(|thread| thread.join().expect("no panic"))
        });
        let [one, other] = both;
        least[1] = least[1].min(one?.max(other?));
    }
    let runs = u64::from(REPEAT * CALLS) * u64::try_from(ROUNDS)?;
    for peer in 0..PEERS {
        // The first pair also runs alone.
        let of = |end: usize| {
            let pairs = case.pairs.iter().zip([2 * runs, runs]);
            pairs.filter(|(pair, _)| pair[end] == peer).map(|(_, runs)| runs).sum::<u64>()
        };
        let traffic = loaded.traffic(peer + 1)?;
        let (found, expected) = ([traffic.rx_packets, traffic.tx_packets], [of(0), of(1)]);
        ensure!(found == expected, "peer {peer}: found {found:?} packets, expected {expected:?}");
    }
    let ns = |time: Duration| time.as_secs_f64() * 1e9;
    Ok(Cost { alone_ns: ns(least[0]), together_ns: ns(least[1]) })
}
