//! Generates packets between random pairs of peers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunAttrs, TestRunOptions},
};

use super::assembler::{
    ETHERNET, GET_PRANDOM_U32, Program, R0, R1, R2, R4, R5, R6, R7, XDP_PASS, xdp,
};
use super::fleet::{FIRST_HOST, V4_BASE};

/// Length of the packets, from their IPv4 header on.
const PACKET_LEN: u16 = 84;

/// Frames per batch, as in a NAPI poll.
const BATCH: u32 = 64;

/// Makes frames that the kernel receives on the loopback interface.
pub(super) struct Generator(Ebpf);

impl Generator {
    /// Loads the program for this number of peers.
    pub(super) fn new(peers: u32) -> Result<Self> {
        Ok(Self(Program::generator(peers).xdp()?))
    }

    /// Has the kernel receive frames on the loopback interface of the calling thread's namespace,
    /// and returns the average time to process one, without the pauses between batches.
    pub(super) fn send(&mut self, frames: u32) -> Result<Duration> {
        let mut template = [0; ETHERNET as usize + PACKET_LEN as usize];
        // EtherType of IPv4. The addresses are zeros, as that of the loopback interface.
        template[12] = 8;
        send_live(&mut self.0, &template, frames)
    }
}

/// Sends a frame `times` times as live frames; returns the average time.
pub(super) fn send_live(ebpf: &mut Ebpf, frame: &[u8], times: u32) -> Result<Duration> {
    let options = TestRunOptions {
        data_in: Some(frame),
        repeat: times,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::default()
    };
    Ok(xdp(ebpf)?.test_run(options).context("send live frames")?.duration)
}

impl Program {
    /// Writes an IPv4 header from a random peer to its partner, as in
    /// [`super::fleet::Shape::Pairs`], into every frame. The kernel reuses frames as they were
    /// left, so this writes the whole header.
    fn generator(peers: u32) -> Self {
        /// Sum of the header's constant 16-bit words: version and header length, packet length, TTL
        /// 64 and UDP, upper halves of the base.
        const SUM: i32 = 0x4500 + (PACKET_LEN as i32) + 0x4011 + 2 * (V4_BASE >> 16) as i32;
        let mut program = Self::default();
        program.copy(R6, R1);
        program.call(GET_PRANDOM_U32);
        // The high half of the product is a number below `peers`.
        program.number(0x67, R0, 32);
        program.number(0x77, R0, 32);
        program.number(0x27, R0, peers.cast_signed());
        program.number(0x77, R0, 32);
        program.copy(R7, R0);
        program.number(0xa7, R7, 1);
        program.number(0x07, R0, FIRST_HOST.cast_signed());
        program.number(0x07, R7, FIRST_HOST.cast_signed());

        program.require(ETHERNET + 20);

        // The checksum of what changes, folded.
        program.set(R5, SUM);
        program.add_halves(R0);
        program.add_halves(R7);
        program.finish_checksum();

        for (offset, word) in [(0, 0x4500_0000 | (PACKET_LEN as i32)), (4, 0)] {
            program.set(R4, word.to_be());
            program.store(0x63, R2, ETHERNET + offset, R4);
        }
        program.set(R4, i32::from(0x4011_i16.to_be()));
        program.store(0x6b, R2, ETHERNET + 8, R4);
        for (offset, host) in [(12, R0), (16, R7)] {
            program.number(0x07, host, V4_BASE.cast_signed());
            program.big_endian(host, 32);
            program.store(0x63, R2, ETHERNET + offset, host);
        }
        program.set(R0, XDP_PASS);
        program.exit();
        program
    }
}
