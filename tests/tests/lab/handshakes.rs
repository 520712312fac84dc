//! The kernel's WireGuard talks through the guard: every message of it passes.

use relay_tests::{
    guard::{
        bed::{Bed, NEEDS},
        tunnel::{self, Tunnel},
    },
    scenario,
    skip::Need,
};

#[test]
fn the_kernels_wireguard_talks_through_the_guard() {
    scenario(&[NEEDS, &[Need::WireGuard]].concat(), || {
        let bed = Bed::make("guard-kernel")?;
        let relay = Tunnel::kernel(&bed.relay, "relay0")?;
        let peer = Tunnel::kernel(&bed.other, "tunnel")?;
        tunnel::talk(&bed, &relay, &peer)
    });
}
