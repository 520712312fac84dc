//! nf_tables by netlink: transactions, and tables, chains, rules and elements of sets as the kernel has
//! them.
//!
//! A rule is the same value whether it was read or is to be created. Its expressions stay encoded, so
//! that expressions of any kind are read, and whoever judges a rule decodes those that it understands.

pub(super) mod build;
mod expression;
mod message;
mod request;
mod ruleset;
mod table;

pub(super) use super::attribute::{find, number, text};
pub(super) use expression::{Expression, VERDICT, Verdict, register, verdict};
pub(super) use request::transact;
pub(super) use ruleset::{Base, Chain, Element, Ruleset, Scope, chains, tables};
pub(super) use table::{delete_table, requests};

/// NFPROTO_INET, NFPROTO_IPV4 and NFPROTO_IPV6 of linux/netfilter.h.
pub(super) const INET: u8 = 1;
pub(super) const IPV4: u8 = 2;
pub(super) const IPV6: u8 = 10;
