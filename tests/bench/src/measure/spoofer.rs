//! Sends frames from spoofed sources, and the programs that receive them.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunOptions, xdp::XdpMode},
};

use super::assembler::{
    ETHERNET, GET_PRANDOM_U32, Program, R0, R1, R2, R4, R5, R6, R7, REDIRECT, XDP_PASS, xdp,
};
use super::generator::send_live;

/// `XDP_DROP` of `enum xdp_action` (include/uapi/linux/bpf.h).
const XDP_DROP: i32 = 1;

/// 10.0.0.0, the network of spoofed sources.
const SPOOFED: i32 = 10 << 24;

/// The ports of [`Names::Peers`]: their number, a power of two, and the first.
pub(super) const PEERS_PORTS: u16 = 32;
pub(super) const FIRST_PEERS_PORT: u16 = 40_000;

/// The sources of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Always new addresses.
    EverNew,
    /// One address and port.
    One,
    /// The ports of genuine peers, at one address.
    Peers { address: Ipv4Addr },
}

/// Sends a frame repeatedly, each time from a spoofed source.
pub(super) struct Spoofer {
    ebpf: Ebpf,
    frame: Vec<u8>,
}

/// An XDP program that does next to nothing.
pub(super) struct Nothing(Ebpf);

impl Spoofer {
    /// For a frame with IPv4 (without options) and UDP, and an interface of the calling thread's
    /// namespace.
    pub(super) fn new(mut frame: Vec<u8>, interface: u32, names: Names) -> Result<Self> {
        let header = frame.get_mut(ETHERNET as usize..).context("an Ethernet frame")?;
        let (header, udp) = header.split_first_chunk_mut::<20>().context("an IPv4 header")?;
        header[10..16].fill(0);
        // No UDP checksum, as it covers the source (RFC 768).
        udp.get_mut(6..8).context("a UDP header")?.fill(0);
        let words = header.as_chunks().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
        let ebpf = Program::spoof(interface, names, words.sum()).xdp()?;
        Ok(Self { ebpf, frame })
    }

    /// Sends the frame `times` times, and returns the average time to process one, without the
    /// pauses between batches.
    pub(super) fn send(&mut self, times: u32) -> Result<Duration> {
        send_live(&mut self.ebpf, &self.frame, times)
    }
}

impl Nothing {
    /// Loads a program that passes every frame.
    pub(super) fn new() -> Result<Self> {
        let mut program = Program::default();
        program.set(R0, XDP_PASS);
        program.exit();
        Ok(Self(program.xdp()?))
    }

    /// Loads a program that drops frames from 10.0.0.0/8 and passes all others.
    pub(super) fn from_the_spoofed() -> Result<Self> {
        Ok(Self(Program::drop_spoofed().xdp()?))
    }

    /// Attaches it, in driver mode, to an interface of the calling thread's namespace.
    pub(super) fn attach(&mut self, interface: &str) -> Result<()> {
        let attached = xdp(&mut self.0)?.attach(interface, XdpMode::Driver);
        attached.map(drop).with_context(|| format!("attach to {interface}"))
    }

    /// Average time per run on a frame.
    pub(super) fn run(&mut self, frame: &[u8], repeat: u32) -> Result<Duration> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        Ok(xdp(&mut self.0)?.test_run(options).context("run a program of the bench")?.duration)
    }
}

impl Program {
    /// Writes a source into every frame and sends it out of an interface. `sum` is the sum of the
    /// IPv4 header's 16-bit words without source and checksum.
    fn spoof(interface: u32, names: Names, sum: u32) -> Self {
        let mut program = Self::default();
        program.copy(R6, R1);
        match names {
            Names::EverNew => {
                program.call(GET_PRANDOM_U32);
                program.number(0x57, R0, 0x00ff_ffff);
                program.number(0x47, R0, SPOOFED);
            }
            Names::One => program.set(R0, SPOOFED + 1),
            Names::Peers { address } => program.set(R0, u32::from(address).cast_signed()),
        }
        program.require(ETHERNET + 20);
        program.set(R5, sum.cast_signed());
        program.add_halves(R0);
        program.finish_checksum();
        program.big_endian(R0, 32);
        program.store(0x63, R2, ETHERNET + 12, R0);
        if let Names::Peers { .. } = names {
            program.call(GET_PRANDOM_U32);
            program.number(0x57, R0, (PEERS_PORTS - 1).into());
            program.number(0x07, R0, FIRST_PEERS_PORT.into());
            program.copy(R7, R0);
            program.require(ETHERNET + 22);
            program.big_endian(R7, 16);
            program.store(0x6b, R2, ETHERNET + 20, R7);
        }
        program.set(R1, interface.cast_signed());
        program.set(R2, 0);
        program.call(REDIRECT);
        program.exit();
        program
    }

    /// Drops frames from 10.0.0.0/8 and passes all others.
    fn drop_spoofed() -> Self {
        let mut program = Self::default();
        program.copy(R6, R1);
        program.require(ETHERNET + 20);
        // r4 = *(u8 *)(r2 + 26); if r4 != 10 goto +2
        program.push(0x71, R4, R2, ETHERNET + 12, 0);
        program.push(0x55, R4, R0, 2, SPOOFED >> 24);
        program.set(R0, XDP_DROP);
        program.exit();
        program.set(R0, XDP_PASS);
        program.exit();
        program
    }
}
