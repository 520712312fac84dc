//! Expressions of rules, in the form in which the kernel sends them back.

use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute, Meta,
    MetaKey, Operator, Payload, Register, Verdict, VerdictAttribute,
};
use rtnetlink::packet_core::{DefaultNla, Nla as _};

/// NFTA_CT_DREG, NFTA_CT_KEY and keys of linux/netfilter/nf_tables.h.
const CT_DESTINATION_REGISTER: u16 = 1;
const CT_KEY: u16 = 2;
pub(super) const CT_STATE: u32 = 0;
pub(super) const CT_DIRECTION: u32 = 1;
pub(super) const CT_STATUS: u32 = 2;

/// NFT_PAYLOAD_NETWORK_HEADER and NFT_PAYLOAD_TRANSPORT_HEADER of linux/netfilter/nf_tables.h.
pub(super) const NETWORK_HEADER: u32 = 1;
pub(super) const TRANSPORT_HEADER: u32 = 2;
/// NFT_BITWISE_MASK_XOR of linux/netfilter/nf_tables.h.
const MASK_XOR: u32 = 0;

/// NFTA_COUNTER_PACKETS of linux/netfilter/nf_tables.h.
pub(super) const COUNTER_PACKETS: u16 = 2;

pub(super) fn field(header: u32, offset: u32, len: u32) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(header),
        Payload::Offset(offset),
        Payload::Len(len),
    ])
}

pub(super) fn track(key: u32) -> Expressions {
    let register = u32::from(Register::Reg1).to_be_bytes().to_vec();
    other(
        "ct",
        vec![
            DefaultNla::new(CT_DESTINATION_REGISTER, register),
            DefaultNla::new(CT_KEY, key.to_be_bytes().to_vec()),
        ],
    )
}

/// Matches if connection tracking has one of these bits.
pub(super) fn track_has(key: u32, mask: u32) -> [Expressions; 3] {
    [track(key), bits(mask, 0), compare(Operator::NotEqual, bytes(0))]
}

/// The register's bits in `mask`, with those of `flip` inverted.
pub(super) fn bits(mask: u32, flip: u32) -> Expressions {
    masked(4, bytes(mask), bytes(flip))
}

pub(super) fn masked(len: u32, mask: Vec<u8>, flip: Vec<u8>) -> Expressions {
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(len),
        Bitwise::Op(MASK_XOR),
        Bitwise::Mask(DataAttribute::Value(mask)),
        Bitwise::Xor(DataAttribute::Value(flip)),
    ])
}

pub(super) fn bytes(number: u32) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

pub(super) fn verdict(code: u32) -> Expressions {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(Verdict::Other(code))])),
    ])
}

pub(super) fn load(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(Register::Reg1)])
}

pub(super) fn compare(operator: Operator, value: Vec<u8>) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
}

pub(super) fn counter() -> Expressions {
    other("counter", Vec::new())
}

pub(super) fn other(expression_type: &str, attributes: Vec<DefaultNla>) -> Expressions {
    Expressions::Other { expression_type: expression_type.to_owned(), attributes }
}

pub(super) fn expression(element: ListAttribute<ExpressionAttribute>) -> Option<Expressions> {
    let ListAttribute::Element(attributes) = element else {
        return None;
    };
    attributes.into_iter().find_map(|attribute| match attribute {
        ExpressionAttribute::Data(expression) => Some(expression),
        _ => None,
    })
}

/// The packets of a counter; `None` if it is another expression.
pub(super) fn counted(expression: &Expressions) -> Option<u64> {
    let Expressions::Other { expression_type, attributes } = expression else {
        return None;
    };
    let packets = attributes.iter().find(|attribute| attribute.kind() == COUNTER_PACKETS);
    let value = packets.and_then(|attribute| {
        let mut value = [0; 8];
        (attribute.value_len() == value.len()).then(|| attribute.emit_value(&mut value))?;
        Some(u64::from_be_bytes(value))
    });
    (expression_type == "counter").then(|| value.unwrap_or(0))
}
