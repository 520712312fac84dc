//! The guard's program, run on single frames on this machine's kernel.

use std::net::SocketAddr;

use relay::{
    datapath::{GuardSettings, LoadedGuard},
    model::PublicKey,
};
use relay_common::guard::Outcome;

use super::Outer;

/// `XDP_DROP` and `XDP_PASS` of `enum xdp_action` (include/uapi/linux/bpf.h).
const DROP: u32 = 1;
const PASS: u32 = 2;

/// The guarded port.
pub const PORT: u16 = 51820;

/// A loaded guard.
pub struct GuardRun {
    loaded: LoadedGuard,
}

/// The key of the guarded relay.
pub const fn key() -> PublicKey {
    PublicKey::from_bytes([7; 32])
}

/// Settings for [`PORT`] and [`key`] that pass `burst` initiations of a source, then one per second.
pub const fn settings(burst: u32) -> GuardSettings {
    GuardSettings {
        port: PORT,
        public_key: key(),
        initiations_per_second: 1,
        burst,
        sources: 65_536,
        overlay: Vec::new(),
    }
}

impl GuardRun {
    /// Loads it.
    pub fn new(settings: &GuardSettings) -> Self {
        let loaded = LoadedGuard::load(settings, None)
            .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
        Self { loaded }
    }

    /// Runs it on a frame. Returns whether the frame passed, and its outcome if it was counted.
    pub fn run(&mut self, frame: &[u8]) -> (bool, Option<Outcome>) {
        let (passed, mut moved) = self.run_often(frame, 1);
        let outcome = moved.pop().map(|(outcome, count)| {
            assert_eq!(count, 1, "{}", outcome.label());
            outcome
        });
        assert_eq!(moved, [], "a frame moves one counter at most");
        (passed, outcome)
    }

    /// Runs it `times` times on a frame. Returns whether the last one passed, and the movements of
    /// counters.
    pub fn run_often(&mut self, frame: &[u8], times: u32) -> (bool, Vec<(Outcome, u64)>) {
        let before = self.loaded.counts().expect("counts");
        let (verdict, _) = self.loaded.run(frame, times).expect("the frame runs");
        let after = self.loaded.counts().expect("counts");
        let moved = Outcome::ALL.iter().filter_map(|&outcome| {
            let at = outcome.index() as usize;
            (after[at] != before[at]).then(|| (outcome, after[at] - before[at]))
        });
        assert!([DROP, PASS].contains(&verdict), "verdict {verdict}");
        (verdict == PASS, moved.collect())
    }

    /// The outcome of a message to the relay from an address and port.
    pub fn judge(&mut self, from: &str, message: &[u8]) -> Outcome {
        let source: SocketAddr = from.parse().expect("address and port");
        self.judge_frame(&to_relay(source, message).frame())
    }

    /// The outcome of a frame.
    pub fn judge_frame(&mut self, frame: &[u8]) -> Outcome {
        let (passed, outcome) = self.run(frame);
        let outcome = outcome.expect("the frame is counted");
        assert_eq!(passed, !outcome.drops(), "{}", outcome.label());
        outcome
    }

    pub fn loaded(&mut self) -> &mut LoadedGuard {
        &mut self.loaded
    }
}

/// A message to the relay.
pub fn to_relay(source: SocketAddr, message: &[u8]) -> Outer {
    let relay = if source.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" };
    Outer::new(source, SocketAddr::new(relay.parse().expect("an address"), PORT), message)
}
