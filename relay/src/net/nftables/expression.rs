use crate::net::attribute::{Attribute, encode, find, number, text};

/// NFT_REG_VERDICT of linux/netfilter/nf_tables.h.
pub(in crate::net) const VERDICT: u32 = 0;

/// An expression of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) struct Expression {
    /// Name of its kind, such as `cmp`.
    pub(in crate::net) name: String,
    /// Its encoded attributes.
    pub(in crate::net) data: Vec<u8>,
}

/// The verdict of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) enum Verdict {
    Accept,
    Drop,
    Jump(String),
    Goto(String),
    Return,
    Next,
}

impl Expression {
    pub(in crate::net) fn new(name: &str, attributes: &[Attribute]) -> Self {
        Self { name: name.to_owned(), data: encode(attributes) }
    }
}

/// A register of 16 bytes is the first of four of 4 bytes: NFT_REG_1 is NFT_REG32_00.
pub(in crate::net) const fn register(number: u32) -> u32 {
    match number {
        1..=4 => 8 + (number - 1) * 4,
        other => other,
    }
}

/// The verdict in an attribute NFTA_DATA_VERDICT.
pub(in crate::net) fn verdict(attributes: &[u8]) -> Verdict {
    let chain = || text(find(attributes, 2));
    match number(find(attributes, 1)).map(u32::cast_signed) {
        Some(0) => Verdict::Drop,
        Some(-1 | -2) => Verdict::Next,
        Some(-3) => Verdict::Jump(chain()),
        Some(-4) => Verdict::Goto(chain()),
        Some(-5) => Verdict::Return,
        _ => Verdict::Accept,
    }
}
