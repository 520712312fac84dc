//! Kernel memory of a policy. `cargo xtask bench` measures times.

use relay::datapath::Loaded;
use relay_bench::measure::{
    fleet::{Fleet, Shape},
    memory::held_bytes,
};

use crate::possible;

/// Limit for the maps of 10 000 peers by lists.
const MOST: u64 = 32 << 20;

/// The same with rules, for which the kernel keeps flows and fragments.
const MOST_WITH_RULES: u64 = 48 << 20;

/// Loads a policy and returns the kernel memory of its maps.
fn map_bytes(fleet: Fleet) -> u64 {
    let (compiled, slots) = fleet.compile(true).expect("the policy compiles");
    let mut loaded = Loaded::load(&compiled, 1, None, slots).expect("the kernel takes it");
    held_bytes(&mut loaded).expect("the kernel reports it")
}

#[test]
fn ten_thousand_peers_stay_within_their_budget_in_every_shape() {
    if !possible("memory::ten_thousand") {
        return;
    }
    for shape in Shape::ALL {
        let bytes = map_bytes(Fleet { peers: 10_000, shape });
        let most = if shape == Shape::Rules { MOST_WITH_RULES } else { MOST };
        assert!(bytes <= most, "{}: found {bytes} bytes, expected at most {most}", shape.name());
    }
}

#[test]
fn memory_grows_with_peers_and_not_with_pairs() {
    if !possible("memory::grows") {
        return;
    }
    let [few, many] = [1_000, 10_000].map(|peers| map_bytes(Fleet { peers, shape: Shape::Mesh }));
    // Array sizes are powers of two, and counters have room to double.
    assert!(many <= few * 20, "found {few} bytes for 1 000 peers and {many} for 10 000");
}
