//! The programs on this machine's kernel, run by `BPF_PROG_TEST_RUN`. A case states packet in,
//! verdict, packet out and the counters that move; no others may.

mod agreement;
mod differential;
mod disabled;
mod drops;
mod egress;
mod errors;
mod events;
mod frozen;
mod fuzzed;
mod guard;
mod host;
mod learnt;
mod limits;
mod memory;
mod mesh;
mod meters;
mod pairs;
mod pins;
mod probe;
mod processors;
mod quoted;
mod relayed;
mod routing;
mod rules;
mod slots;
mod special;
mod swapped;
mod transit;
mod trial;
mod verified;

use relay::model::Relay;
use relay_tests::{
    program_run::{ProgramRun, peer, relay},
    skip::{self, Need},
};

/// The programs with the policy of [`four`], if this machine can load them.
fn four_peers(test: &str) -> Option<ProgramRun> {
    possible(test).then(|| ProgramRun::new(four()))
}

/// Peers 1 and 2 list each other, and 1 also the network behind 2. 3 lists 1 and 2, which do not
/// list it. 1 lists 4, which lists nobody. Slots are these numbers.
fn four() -> Relay {
    let to_1 = ["10.3.2.3/32", "10.3.2.5/32", "fd00::3:2:3/128", "192.168.7.0/24"];
    let to_2 = ["10.3.2.2/32", "fd00::3:2:2/128"];
    let to_3 = ["10.3.2.2/32", "10.3.2.3/32", "fd00::3:2:2/128"];
    relay(vec![
        peer(1, &["10.3.2.2", "fd00::3:2:2"], &[], &to_1),
        peer(2, &["10.3.2.3", "fd00::3:2:3"], &["192.168.7.0/24"], &to_2),
        peer(3, &["10.3.2.4", "fd00::3:2:4"], &[], &to_3),
        peer(4, &["10.3.2.5", "fd00::3:2:5"], &[], &[]),
    ])
}

/// Whether this machine can load the programs; otherwise prints what it lacks.
fn possible(test: &str) -> bool {
    skip::possible(test, &[Need::Root, Need::Bpf])
}
