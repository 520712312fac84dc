//! Programs for tc hooks.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData},
    programs::{SchedClassifier, TestRun as _, TestRunOptions},
};

use super::assembler::{COUNT, R0, R1, R2, REDIRECT};
pub use super::assembler::{Program, only};

/// Return codes of include/uapi/linux/pkt_cls.h.
const TC_ACT_OK: i32 = 0;
const TC_ACT_SHOT: i32 = 2;

/// Offset in `struct __sk_buff` (include/uapi/linux/bpf.h, 6.12).
const SKB_IFINDEX: i16 = 40;

/// `BPF_F_INGRESS`.
const INGRESS: i32 = 1;

impl Program {
    /// Sends every packet out of the interface that it arrived on.
    pub fn redirect() -> Self {
        let mut program = Self::default();
        program.load_word(R1, R1, SKB_IFINDEX);
        program.set(R2, 0);
        program.call(REDIRECT);
        program.exit();
        program
    }

    /// Redirects every packet to the ingress of another interface.
    pub fn hand_to(interface: u32) -> Self {
        let mut program = Self::default();
        program.set(R1, interface.cast_signed());
        program.set(R2, INGRESS);
        program.call(REDIRECT);
        program.exit();
        program
    }

    /// Passes every packet.
    pub fn pass() -> Self {
        let mut program = Self::default();
        program.set(R0, TC_ACT_OK);
        program.exit();
        program
    }

    /// Counts every packet and drops it.
    pub fn sink() -> Self {
        let mut program = Self::default();
        program.load_count(R1);
        program.set(R2, 1);
        program.add_atomic(R1, R2);
        program.set(R0, TC_ACT_SHOT);
        program.exit();
        program
    }
}

/// The number of packets that a [`Program::sink`] has counted.
pub fn count(ebpf: &Ebpf) -> Result<u64> {
    let map = ebpf.map(COUNT).context("a program that counts")?;
    Ok(Array::<&MapData, u64>::try_from(map)?.get(&0, 0)?)
}

/// Average time of a run on a packet.
pub fn time(program: &SchedClassifier, packet: &[u8], repeat: u32) -> Result<Duration> {
    let options = TestRunOptions { data_in: Some(packet), repeat, ..TestRunOptions::default() };
    Ok(program.test_run(options).context("run a program of the bench")?.duration)
}
