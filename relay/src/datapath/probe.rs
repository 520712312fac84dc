//! Probes: asks a program in the kernel for its verdict on a packet. Nothing is counted or sent.

use std::net::IpAddr;

use aya::programs::SchedClassifier;
use relay_common::{
    Reason, checksum,
    header::protocol,
    probe::{PROBE, decode},
    verdict::Verdict,
};

use super::{
    DatapathError,
    test_run::{Packet, mark_after},
};
use crate::model::Direction;

/// The verdict of a program.
pub type Answer = Result<Verdict, Reason>;

/// Length of the shortest packet that `BPF_PROG_TEST_RUN` always takes, bytes: it reads the first 14
/// as an Ethernet header, and requires the header of its type behind it (bpf_prog_test_run_skb(),
/// net/bpf/test_run.c, 6.18).
pub const SHORTEST: usize = 54;

/// An echo request of 84 bytes with a TTL of 64, as `ping` sends it: the default packet of a probe.
///
/// Both addresses must be of one family; otherwise the packet is malformed.
pub fn echo(source: IpAddr, destination: IpAddr) -> Vec<u8> {
    const LEN: usize = 84;
    const TTL: u8 = 64;
    let mut packet = vec![0; LEN];
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet[..10].copy_from_slice(&[0x45, 0, 0, 84, 0, 0, 0, 0, TTL, protocol::ICMP]);
            packet[12..16].copy_from_slice(&source.octets());
            packet[16..20].copy_from_slice(&destination.octets());
            let words: Vec<u32> = packet[..20].chunks_exact(4).map(word).collect();
            let sealed = checksum::into_word(words[2], checksum::fold(checksum::sum(&words)));
            packet[8..12].copy_from_slice(&sealed.to_ne_bytes());
            packet[20] = 8;
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 44, protocol::ICMPV6, TTL]);
            packet[8..24].copy_from_slice(&source.octets());
            packet[24..40].copy_from_slice(&destination.octets());
            packet[40] = 128;
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
    packet
}

fn word(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(bytes);
    u32::from_ne_bytes(word)
}

/// Asks for the verdict on a packet from a peer behind the interface with this index, whose routing
/// may matter. The packet begins with its IP header and has at least [`SHORTEST`] bytes.
///
/// # Errors
/// The kernel does not take the packet, or the program does not know probes.
pub(super) fn run(
    program: &SchedClassifier,
    interface: u32,
    packet: &[u8],
) -> Result<Answer, DatapathError> {
    // The fast path of the program leaves an aggregate alone.
    let probe = Packet {
        bytes: packet,
        gso_size: 1,
        gso_segs: 2,
        interface,
        ingress_interface: 0,
        mark: PROBE,
    };
    let mark = mark_after(program, Direction::Ingress, &probe)?;
    decode(mark).ok_or(DatapathError::NoAnswer { mark, probe: PROBE })
}
