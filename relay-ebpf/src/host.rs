//! The relay's host: where its routing sends a packet, and whether its sockets expect it.

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
    header::Headers,
    host_access::{self, Access, HostPolicy},
    icmp::words,
    leaf::Owner,
    payload::Payload,
    transport::{Ports, Transport},
    verdict::Routing,
};

use crate::{maps, packet::Packet, settings};

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
    payload: &Payload,
    destination: &Leaf,
) -> Routing {
    // SAFETY: all zeros is a valid query.
    let mut query: bpf_fib_lookup = unsafe { core::mem::zeroed() };
    query.ifindex = packet.interface();
    query.l4_protocol = transport.protocol;
    // Routing rules may match ports.
    if let Some(ports) = payload.ports() {
        query.sport = ports.source.to_be();
        query.dport = ports.destination.to_be();
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
    // For IPv6 one switch of the whole host turns forwarding on (ip6_forward(),
    // net/ipv6/ip6_output.c, 6.12), but the helper reads that of the interface (bpf_ipv6_fib_lookup(),
    // net/core/filter.c). The loopback interface has the value that was set for all.
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
        // In the overlay the policy knows every address of the host.
        DISABLED if destination.owner() == Owner::Vacant => Routing::Away,
        DISABLED => Routing::Unforwarded,
        // The kernel sets the interface only with these answers.
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

/// Whether `host_access` allows the packet: what it opens, and answers to what the host began.
#[inline(always)]
pub fn may_reach(packet: &Packet<'_>, headers: &Headers, payload: &Payload) -> bool {
    let policy = settings::host_policy();
    if policy == HostPolicy::All as u32 {
        return true;
    }
    match host_access::decide(policy, payload, maps::host_port_is_open) {
        Access::Open => true,
        Access::IfExpected(ports) => is_expected(packet, headers, payload, ports),
        Access::Closed => false,
    }
}

/// Whether a connection or a connected socket of the host expects this packet.
#[inline(always)]
fn is_expected(packet: &Packet<'_>, headers: &Headers, payload: &Payload, ports: Ports) -> bool {
    // SAFETY: all zeros is a valid tuple.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let size = match headers {
        Headers::V4(header) => {
            // SAFETY: the tuple is zeroed, so every field of the union is initialised.
            let v4 = unsafe { &mut tuple.__bindgen_anon_1.ipv4 };
            v4.saddr = header.source().to_be();
            v4.daddr = header.destination().to_be();
            v4.sport = ports.source.to_be();
            v4.dport = ports.destination.to_be();
            size_of_val(v4)
        }
        Headers::V6(header) => {
            // SAFETY: the tuple is zeroed, so every field of the union is initialised.
            let v6 = unsafe { &mut tuple.__bindgen_anon_1.ipv6 };
            v6.saddr = words(header.source());
            v6.daddr = words(header.destination());
            v6.sport = ports.source.to_be();
            v6.dport = ports.destination.to_be();
            size_of_val(v6)
        }
    };
    let ctx = packet.context().as_ptr();
    // VERIFIER: not bpf_skc_lookup_tcp, whose pointer has another type; reading the state below
    // through both is rejected (6.1 and 6.12: "same insn cannot be used with different pointers").
    // SAFETY: context and tuple are valid, and size is that of the family's part of the tuple.
    let socket: *mut bpf_sock = unsafe {
        match payload {
            Payload::Tcp(_) => bpf_sk_lookup_tcp(ctx, &mut tuple, size as u32, CURRENT_NETNS, 0),
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
