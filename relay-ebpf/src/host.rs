//! The relay's host: where its routing takes a packet, and what peers may reach on it.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH,
        BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup, bpf_sock,
        bpf_sock_tuple,
    },
    helpers::generated::{bpf_fib_lookup, bpf_sk_lookup_tcp, bpf_sk_lookup_udp, bpf_sk_release},
};
use relay_common::{
    Leaf,
    header::protocol,
    icmp::words,
    leaf::Owner,
    verdict::{HostPolicy, Routing, port_key},
};

use crate::{
    maps,
    packet::{Headers, Packet, Transport},
    settings,
};

/// ICMP types (RFC 792) that ask; everything else a host takes is an answer it checks itself.
const ICMP_ECHO_REQUEST: u8 = 8;
const ICMP_ECHO_REPLY: u8 = 0;
const ICMP_UNREACHABLE: u8 = 3;
const ICMP_TIME_EXCEEDED: u8 = 11;
const ICMP_PARAMETER_PROBLEM: u8 = 12;
/// ICMPv6 types (RFC 4443).
const ICMPV6_ECHO_REQUEST: u8 = 128;
const ICMPV6_ECHO_REPLY: u8 = 129;
const ICMPV6_LAST_ERROR: u8 = 4;

/// Address families of include/linux/socket.h.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NETNS: u64 = u64::MAX;
/// TCP_LISTEN and TCP_CLOSE of include/net/tcp_states.h; a connected UDP socket is ESTABLISHED.
const LISTEN: u32 = 10;
const CLOSE: u32 = 7;

/// Index of the loopback interface in every network namespace (LOOPBACK_IFINDEX, net/flow.h).
const LOOPBACK: u32 = 1;

/// What the host's routing does with the packet.
#[inline(always)]
pub fn routing(
    packet: &Packet<'_>,
    headers: &Headers,
    transport: &Transport,
    destination: &Leaf,
) -> Routing {
    // SAFETY: all zeros is a valid query.
    let mut query: bpf_fib_lookup = unsafe { core::mem::zeroed() };
    query.ifindex = packet.interface();
    query.l4_protocol = transport.protocol;
    // What rules for routing may look at.
    if matches!(transport.protocol, protocol::TCP | protocol::UDP) && !transport.is_later_fragment {
        query.sport = packet.transport_u16(transport, 0).unwrap_or(0).to_be();
        query.dport = packet.transport_u16(transport, 2).unwrap_or(0).to_be();
    }
    match headers {
        Headers::V4(header) => {
            query.family = AF_INET;
            query.__bindgen_anon_2.tos = header.tos();
            query.__bindgen_anon_3.ipv4_src = header.source().to_be();
            query.__bindgen_anon_4.ipv4_dst = header.destination().to_be();
        }
        Headers::V6(header) => {
            query.family = AF_INET6;
            query.__bindgen_anon_2.flowinfo = header.flow_info().to_be();
            query.__bindgen_anon_3.ipv6_src = words(header.source());
            query.__bindgen_anon_4.ipv6_dst = words(header.destination());
        }
    }
    let mut answer = look_up(packet, &mut query);
    // Of IPv6 one switch for the whole host decides what is forwarded (ip6_forward(),
    // net/ipv6/ip6_output.c, 6.12), and the helper asks that of the interface (bpf_ipv6_fib_lookup(),
    // net/core/filter.c). The loopback has what all interfaces were given.
    if answer == i64::from(BPF_FIB_LKUP_RET_FWD_DISABLED) && matches!(headers, Headers::V6(_)) {
        query.ifindex = LOOPBACK;
        answer = look_up(packet, &mut query);
    }
    const NOT_FORWARDED: i64 = BPF_FIB_LKUP_RET_NOT_FWDED as i64;
    const DISABLED: i64 = BPF_FIB_LKUP_RET_FWD_DISABLED as i64;
    const SUCCESS: i64 = BPF_FIB_LKUP_RET_SUCCESS as i64;
    const NO_NEIGHBOUR: i64 = BPF_FIB_LKUP_RET_NO_NEIGH as i64;
    const TOO_BIG: i64 = BPF_FIB_LKUP_RET_FRAG_NEEDED as i64;
    match answer {
        NOT_FORWARDED => Routing::Local,
        // Of the overlay the policy knows every address of the host.
        DISABLED if destination.owner() == Owner::Vacant => Routing::Away,
        DISABLED => Routing::Unforwarded,
        // Only with these has the kernel set the interface.
        SUCCESS | NO_NEIGHBOUR | TOO_BIG if query.ifindex == packet.interface() => Routing::Back,
        _ => Routing::Away,
    }
}

/// The helper's answer, one of `BPF_FIB_LKUP_RET_*` or an error number.
#[inline(always)]
fn look_up(packet: &Packet<'_>, query: &mut bpf_fib_lookup) -> i64 {
    let size = size_of::<bpf_fib_lookup>() as i32;
    // SAFETY: context and query are valid, and size is the query's.
    unsafe { bpf_fib_lookup(packet.context().as_ptr(), query, size, 0) }
}

/// Whether `host_access` lets this packet up: what it opens, and answers to what the host began.
#[inline(always)]
pub fn may_reach(packet: &Packet<'_>, headers: &Headers, transport: &Transport) -> bool {
    let policy = settings::host_policy();
    if policy == HostPolicy::All as u32 {
        return true;
    }
    if transport.is_later_fragment {
        return false;
    }
    match transport.protocol {
        protocol::ICMP if matches!(headers, Headers::V4(_)) => {
            match packet.transport_byte(transport, 0) {
                Some(ICMP_ECHO_REQUEST) => policy != HostPolicy::None as u32,
                Some(
                    ICMP_ECHO_REPLY
                    | ICMP_UNREACHABLE
                    | ICMP_TIME_EXCEEDED
                    | ICMP_PARAMETER_PROBLEM,
                ) => true,
                _ => false,
            }
        }
        protocol::ICMPV6 if matches!(headers, Headers::V6(_)) => {
            match packet.transport_byte(transport, 0) {
                Some(ICMPV6_ECHO_REQUEST) => policy != HostPolicy::None as u32,
                Some(ICMPV6_ECHO_REPLY | 1..=ICMPV6_LAST_ERROR) => true,
                _ => false,
            }
        }
        protocol::TCP | protocol::UDP => {
            port_is_open(packet, transport) || answers_the_host(packet, headers, transport)
        }
        _ => false,
    }
}

#[inline(always)]
fn port_is_open(packet: &Packet<'_>, transport: &Transport) -> bool {
    settings::host_policy() == HostPolicy::Ports as u32
        && packet
            .transport_u16(transport, 2)
            .is_some_and(|port| maps::host_port_is_open(port_key(transport.protocol, port)))
}

/// Whether a connection or connected socket of the host's expects this packet.
#[inline(always)]
fn answers_the_host(packet: &Packet<'_>, headers: &Headers, transport: &Transport) -> bool {
    let (Some(from), Some(to)) =
        (packet.transport_u16(transport, 0), packet.transport_u16(transport, 2))
    else {
        return false;
    };
    // SAFETY: all zeros is a valid tuple.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let size = match headers {
        Headers::V4(header) => {
            // SAFETY: the tuple is zeroed, so every field of the union is initialised.
            let v4 = unsafe { &mut tuple.__bindgen_anon_1.ipv4 };
            v4.saddr = header.source().to_be();
            v4.daddr = header.destination().to_be();
            v4.sport = from.to_be();
            v4.dport = to.to_be();
            size_of_val(v4)
        }
        Headers::V6(header) => {
            // SAFETY: the tuple is zeroed, so every field of the union is initialised.
            let v6 = unsafe { &mut tuple.__bindgen_anon_1.ipv6 };
            v6.saddr = words(header.source());
            v6.daddr = words(header.destination());
            v6.sport = from.to_be();
            v6.dport = to.to_be();
            size_of_val(v6)
        }
    };
    let ctx = packet.context().as_ptr();
    // VERIFIER: not bpf_skc_lookup_tcp, whose other type of pointer the state below could not be
    // read through (6.1 and 6.12: "same insn cannot be used with different pointers").
    // SAFETY: context and tuple are valid, and size is that of the family's part of the tuple.
    let socket: *mut bpf_sock = unsafe {
        match transport.protocol {
            protocol::TCP => bpf_sk_lookup_tcp(ctx, &mut tuple, size as u32, CURRENT_NETNS, 0),
            _ => bpf_sk_lookup_udp(ctx, &mut tuple, size as u32, CURRENT_NETNS, 0),
        }
    };
    if socket.is_null() {
        return false;
    }
    // SAFETY: not null, and referenced until it is released here.
    unsafe {
        let state = (*socket).state;
        bpf_sk_release(socket.cast());
        state != LISTEN && state != CLOSE
    }
}
