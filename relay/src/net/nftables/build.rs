//! Expressions of rules, with attributes in the order in which the kernel sends them back. Numbers are
//! those of linux/netfilter/nf_tables.h.

use super::expression::{Expression, VERDICT};
use crate::net::attribute::{Attribute, attribute, find, nested};

/// NFT_META_*.
pub(in crate::net) const META_MARK: u32 = 3;
pub(in crate::net) const META_INPUT_NAME: u32 = 6;
pub(in crate::net) const META_OUTPUT_NAME: u32 = 7;
pub(in crate::net) const META_FAMILY: u32 = 15;
pub(in crate::net) const META_PROTOCOL: u32 = 16;

/// NFT_CT_*.
pub(in crate::net) const CT_STATE: u32 = 0;
pub(in crate::net) const CT_DIRECTION: u32 = 1;
pub(in crate::net) const CT_STATUS: u32 = 2;

/// NFT_CMP_EQ and NFT_CMP_NEQ.
pub(in crate::net) const EQUAL: u32 = 0;
pub(in crate::net) const NOT_EQUAL: u32 = 1;

/// NF_ACCEPT and NF_DROP of linux/netfilter.h.
pub(in crate::net) const ACCEPT: u32 = 1;
pub(in crate::net) const DROP: u32 = 0;

/// NF_INET_FORWARD of linux/netfilter.h.
pub(in crate::net) const FORWARD: u32 = 2;

/// NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED (linux/netfilter/nf_conntrack_common.h).
pub(in crate::net) const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;

/// Offset of the source address in a header of IPv4; the destination follows it.
pub(in crate::net) const SOURCE_V4: u32 = 12;

/// NFT_PAYLOAD_NETWORK_HEADER and NFT_PAYLOAD_TRANSPORT_HEADER.
pub(in crate::net) const NETWORK_HEADER: u32 = 1;
pub(in crate::net) const TRANSPORT_HEADER: u32 = 2;

/// NFTA_COUNTER_PACKETS.
pub(in crate::net) const COUNTER_PACKETS: u16 = 2;

/// NFT_REG_1, the only register in use.
const REGISTER: u32 = 1;

pub(in crate::net) fn load(key: u32) -> Expression {
    Expression::new("meta", &[number(2, key), number(1, REGISTER)])
}

pub(in crate::net) fn store(key: u32) -> Expression {
    Expression::new("meta", &[number(2, key), number(3, REGISTER)])
}

pub(in crate::net) fn field(header: u32, offset: u32, len: u32) -> Expression {
    let place = [number(2, header), number(3, offset), number(4, len)];
    Expression::new("payload", &[&[number(1, REGISTER)], &place[..]].concat())
}

pub(in crate::net) fn track(key: u32) -> Expression {
    Expression::new("ct", &[number(1, REGISTER), number(2, key)])
}

/// Matches if connection tracking has one of these bits.
pub(in crate::net) fn track_has(key: u32, mask: u32) -> [Expression; 3] {
    [track(key), bits(mask, 0), compare(NOT_EQUAL, &bytes(0))]
}

/// The register's bits in `mask`, with those of `flip` inverted.
pub(in crate::net) fn bits(mask: u32, flip: u32) -> Expression {
    masked(4, &bytes(mask), &bytes(flip))
}

pub(in crate::net) fn masked(len: u32, mask: &[u8], flip: &[u8]) -> Expression {
    const MASK_XOR: u32 = 0;
    let registers = [number(1, REGISTER), number(2, REGISTER), number(3, len), number(6, MASK_XOR)];
    Expression::new("bitwise", &[&registers[..], &[value(4, mask), value(5, flip)]].concat())
}

pub(in crate::net) fn bytes(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

pub(in crate::net) fn compare(operator: u32, with: &[u8]) -> Expression {
    Expression::new("cmp", &[number(1, REGISTER), number(2, operator), value(3, with)])
}

pub(in crate::net) fn verdict(code: u32) -> Expression {
    let verdict = nested(2, &[nested(2, &[number(1, code)])]);
    Expression::new("immediate", &[number(1, VERDICT), verdict])
}

pub(in crate::net) fn counter() -> Expression {
    Expression::new("counter", &[])
}

/// The packets of a counter; `None` if it is another expression.
pub(in crate::net) fn counted(expression: &Expression) -> Option<u64> {
    let packets = find(&expression.data, COUNTER_PACKETS).try_into();
    (expression.name == "counter").then(|| packets.map_or(0, u64::from_be_bytes))
}

fn number(kind: u16, number: u32) -> Attribute {
    attribute(kind, number.to_be_bytes())
}

/// An attribute with a value in NFTA_DATA_VALUE.
fn value(kind: u16, bytes: &[u8]) -> Attribute {
    nested(kind, &[attribute(1, bytes)])
}
