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
use crate::model::{Direction, Service, Transport};

/// The verdict of a program.
pub type Answer = Result<Verdict, Reason>;

/// Length of the shortest packet that `BPF_PROG_TEST_RUN` always takes, bytes: it reads the first 14
/// as an Ethernet header, and requires the header of its type behind it (bpf_prog_test_run_skb(),
/// net/bpf/test_run.c, 6.18).
pub const SHORTEST: usize = 54;

/// Length of an echo request as `ping` sends it, bytes.
const ECHO_LEN: usize = 84;

/// Source port of a probe: the first of those that IANA leaves to clients.
const SOURCE_PORT: u16 = 49_152;

/// The packet that begins a flow for a service, with a TTL of 64: for TCP a SYN, for UDP a datagram,
/// for ICMP an echo request of 84 bytes or another message, for other protocols a packet of zeros.
/// Only the header of IPv4 has a checksum.
///
/// Both addresses must be of one family; otherwise the packet is malformed.
pub fn opening(service: Service, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    /// Flag of TCP.
    const SYN: u8 = 2;
    /// Timestamp (RFC 792), and node information query (RFC 4620).
    const OTHER_ICMP: (u8, u8) = (13, 139);
    let is_v4 = source.is_ipv4();
    let header = if is_v4 { 20 } else { 40 };
    let len = if service == Service::Echo { ECHO_LEN } else { header + 40 };
    let mut payload = vec![0; len - header];
    let number = match service {
        Service::Port(transport, port) => {
            payload[..2].copy_from_slice(&SOURCE_PORT.to_be_bytes());
            payload[2..4].copy_from_slice(&port.to_be_bytes());
            let len = u8::try_from(payload.len()).unwrap_or(u8::MAX);
            match transport {
                // All of it is header: options of type 0, end of the list.
                Transport::Tcp => payload[12..14].copy_from_slice(&[(len / 4) << 4, SYN]),
                Transport::Udp => payload[5] = len,
            }
            match transport {
                Transport::Tcp => protocol::TCP,
                Transport::Udp => protocol::UDP,
            }
        }
        Service::Echo => {
            payload[0] = if is_v4 { 8 } else { 128 };
            if is_v4 { protocol::ICMP } else { protocol::ICMPV6 }
        }
        Service::Icmp => {
            payload[0] = if is_v4 { OTHER_ICMP.0 } else { OTHER_ICMP.1 };
            if is_v4 { protocol::ICMP } else { protocol::ICMPV6 }
        }
        Service::Protocol(number) => number,
    };
    let mut packet = network_header(source, destination, number, payload.len());
    packet.extend(payload);
    packet
}

/// A header of IPv4 or IPv6 for a payload of that length.
fn network_header(source: IpAddr, destination: IpAddr, number: u8, payload: usize) -> Vec<u8> {
    const TTL: u8 = 64;
    let len = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0; 20];
            let [high, low] = len(20 + payload);
            header[..10].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0, 0, TTL, number]);
            header[12..16].copy_from_slice(&source.octets());
            header[16..20].copy_from_slice(&destination.octets());
            let words: Vec<u32> = header.chunks_exact(4).map(word).collect();
            let sealed = checksum::into_word(words[2], checksum::fold(checksum::sum(&words)));
            header[8..12].copy_from_slice(&sealed.to_ne_bytes());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0; 40];
            let [high, low] = len(payload);
            header[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, number, TTL]);
            header[8..24].copy_from_slice(&source.octets());
            header[24..40].copy_from_slice(&destination.octets());
            header
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => vec![0; 20],
        (IpAddr::V6(_), IpAddr::V4(_)) => vec![0; 40],
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_what_a_client_would_send_first() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (v4, v6) = (["10.3.2.2", "10.3.2.3"].map(address), ["fd00::2", "fd00::3"].map(address));
        for [source, destination] in [v4, v6] {
            let header = if source.is_ipv4() { 20 } else { 40 };
            let number = if source.is_ipv4() { 9 } else { 6 };
            for (service, expected, begins) in [
                (Service::Port(Transport::Tcp, 22), protocol::TCP, [0xc0, 0, 0, 22]),
                (Service::Port(Transport::Udp, 53), protocol::UDP, [0xc0, 0, 0, 53]),
                (Service::Protocol(132), 132, [0, 0, 0, 0]),
            ] {
                let packet = opening(service, source, destination);
                assert!(packet.len() >= SHORTEST && packet[number] == expected, "{service}");
                assert_eq!(packet[header..header + 4], begins, "{service}");
            }
            let syn = opening(Service::Port(Transport::Tcp, 22), source, destination);
            assert_eq!(syn[header + 12..header + 14], [0xa0, 2], "the header fills the packet");
            let udp = opening(Service::Port(Transport::Udp, 53), source, destination);
            assert_eq!(usize::from(udp[header + 5]), udp.len() - header);
            assert_eq!(opening(Service::Echo, source, destination).len(), ECHO_LEN);
        }
    }
}
