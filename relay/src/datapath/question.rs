//! Asks a program in the kernel what it would do with a packet. Nothing is counted and nothing sent.

use std::net::IpAddr;

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use relay_common::{
    Reason, checksum,
    header::protocol,
    question::{QUESTION, decode},
    verdict::Verdict,
};

use super::{DatapathError, Direction, generation::Packet};

/// What a program answers.
pub type Answer = Result<Verdict, Reason>;

/// Shortest packet that is surely taken: `BPF_PROG_TEST_RUN` looks at the first 14 bytes as an
/// Ethernet header, and wants behind it what its type says (bpf_prog_test_run_skb(),
/// net/bpf/test_run.c, 6.18).
pub const SHORTEST: usize = 54;

/// An echo request of 84 bytes with 64 hops to go, as `ping` sends it: what is asked about when
/// nothing else is.
///
/// Both addresses are of one family; of two, the packet is one that is refused.
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

/// Asks about a packet from a peer behind the interface with this index, whose routing the answer may
/// rest on; from its IP header on, of [`SHORTEST`] bytes or more.
///
/// # Errors
/// The kernel does not take the packet, or the program does not know questions.
pub(super) fn ask(
    program: &SchedClassifier,
    interface: u32,
    packet: &[u8],
) -> Result<Answer, DatapathError> {
    const NAME: &str = Direction::Ingress.program();
    let question = Packet::question(packet, interface);
    let context = question.context();
    let mut told = context;
    program
        .test_run(TestRunOptions {
            data_in: Some(packet),
            ctx_in: Some(&context),
            ctx_out: Some(&mut told),
            ..TestRunOptions::default()
        })
        .map_err(DatapathError::program(NAME, "ask"))?;
    let mark = Packet::mark_of(&told);
    decode(mark).ok_or(DatapathError::NoAnswer { mark, question: QUESTION })
}
