//! The relay's own ICMP errors, made out of the packets they answer.
//!
//! Their source is an address that the peer's own cryptokey routing accepts: the relay's, if the
//! peer lists it, else the one the peer sent to.

use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::TcContext};
use relay_common::{
    Leaf,
    header::protocol,
    icmp::{
        Answer, MAX_QUOTE, error_v4, error_v6, may_answer_icmp, may_answer_icmpv6, within_rate,
    },
    leaf::Owner,
    pair::Lists,
};

use crate::{
    maps,
    packet::{Headers, Packet, QuoteBuffer},
    policy, settings, tables,
};

/// Turns a refused packet into the error that tells its sender so. `false`: it is to be dropped,
/// with nothing sent. Not for an aggregate, whose checksum the kernel would finish inside the
/// quote; its retransmission comes alone and is answered.
#[inline(never)]
pub fn answer(ctx: TcContext, answer: Answer) -> bool {
    let packet = Packet::new(&ctx);
    if packet.is_aggregate() {
        return false;
    }
    let Ok(headers) = packet.headers() else { return false };
    let (source, _) = policy::leaves(&headers);
    let Owner::Peer(slot) = source.owner() else { return false };
    if !may_be_answered(&packet, &headers) || !is_due(slot) {
        return false;
    }
    let mut buffer: QuoteBuffer = [0; MAX_QUOTE as usize / 4];
    let Ok(quoted) = packet.quote(&mut buffer) else { return false };
    let mtu = settings::mtu();
    let replaced = match &headers {
        Headers::V4(refused) => {
            let own = settings::relay_v4();
            let lists_own = own != 0 && lists(&source, &policy::leaf_v4(own));
            let from = if lists_own { own } else { refused.destination() };
            packet.replace(&error_v4(answer, from, refused, mtu, quoted), &buffer, quoted)
        }
        Headers::V6(refused) => {
            let own = [settings::relay_v6_high(), settings::relay_v6_low()];
            let lists_own = own != [0, 0] && lists(&source, &policy::leaf_v6(own));
            let from = if lists_own { own } else { refused.destination() };
            packet.replace(&error_v6(answer, from, refused, mtu, quoted), &buffer, quoted)
        }
    };
    replaced.is_ok()
}

/// RFC 1122, section 3.2.2, and RFC 4443, section 2.4: no error about an error, nor, of IPv4, about
/// a fragment that is not the first.
#[inline(always)]
fn may_be_answered(packet: &Packet<'_>, headers: &Headers) -> bool {
    let Ok(transport) = packet.transport(headers) else { return false };
    if transport.is_later_fragment {
        return matches!(headers, Headers::V6(_));
    }
    match transport.protocol {
        protocol::ICMP => packet.transport_byte(&transport, 0).is_some_and(may_answer_icmp),
        protocol::ICMPV6 => packet.transport_byte(&transport, 0).is_some_and(may_answer_icmpv6),
        _ => true,
    }
}

/// Takes one error off the peer's rate. Two processors may both take the last one.
#[inline(always)]
fn is_due(slot: u32) -> bool {
    let Some(due) = maps::error_due(slot) else { return false };
    // SAFETY: a helper without arguments; and `due` points into a map value.
    unsafe {
        match within_rate(*due, bpf_ktime_get_ns()) {
            Some(next) => {
                *due = next;
                true
            }
            None => false,
        }
    }
}

#[inline(always)]
fn lists(source: &Leaf, own: &Leaf) -> bool {
    matches!(tables::pair(source, own).lists(source), Lists::Source | Lists::Both)
}
