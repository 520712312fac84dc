//! What `from`, `to` and `except` of rules, members of groups and ends of tests name, before names are
//! looked up.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{fault::Fault, prefix, shown::shown, value};
use crate::model::{GroupName, PeerName};

/// An entry of a side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Named {
    /// `any`.
    Any,
    /// A peer.
    Peer(PeerName),
    /// `group:NAME`.
    Group(GroupName),
    /// A network or an address.
    Prefix(IpNet),
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Member {
    Peer(PeerName),
    Group(GroupName),
}

/// An end of a test.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum NamedEnd {
    Peer(PeerName),
    Address(IpAddr),
}

/// What stands before the name of a group.
const GROUP: &str = "group:";

/// `any`, a peer, `group:NAME`, a network or an address.
///
/// # Errors
/// It is none of these.
pub fn named(text: &str) -> Result<Named, Fault> {
    let example =
        "write a peer's name, \"group:NAME\", a network such as \"10.3.2.0/28\", or \"any\"";
    parse(text, example)
}

/// A peer, or `group:NAME`.
pub(super) fn member(text: &str) -> Result<Member, Fault> {
    match parse(text, "write a peer's name or \"group:NAME\"")? {
        Named::Peer(peer) => Ok(Member::Peer(peer)),
        Named::Group(group) => Ok(Member::Group(group)),
        Named::Any => {
            let remedy = "write \"any\" in from or to of a rule, without a group";
            Err(Fault::new("\"any\" cannot be in a group", remedy))
        }
        Named::Prefix(_) => {
            let problem = format!("{} is an address, not a peer", shown(text));
            Err(Fault::new(problem, "write the peer's name, or the address in the rule itself"))
        }
    }
}

/// A peer, or an address.
pub(super) fn end(text: &str) -> Result<NamedEnd, Fault> {
    let example = "write one peer's name or one address";
    if text == "any" || text.starts_with(GROUP) {
        let problem = format!("{} is not one peer", shown(text));
        return Err(Fault::new(problem, example));
    }
    match is_prefix(text) {
        true => Ok(NamedEnd::Address(prefix::address(text).map_err(
            |fault| match text.contains('/') {
                true => Fault::new(fault.problem, example),
                false => fault,
            },
        )?)),
        false => Ok(NamedEnd::Peer(peer(text, example)?)),
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Peer(name) => name.fmt(f),
            Self::Group(name) => write!(f, "{GROUP}{name}"),
            Self::Prefix(net) => f.write_str(&prefix::short(net)),
        }
    }
}

fn parse(text: &str, example: &str) -> Result<Named, Fault> {
    if text == "any" {
        Ok(Named::Any)
    } else if let Some(group) = text.strip_prefix(GROUP) {
        value::group_name(group).map(Named::Group)
    } else if is_prefix(text) {
        prefix::network(text).map(Named::Prefix)
    } else {
        peer(text, example).map(Named::Peer)
    }
}

fn peer(text: &str, example: &str) -> Result<PeerName, Fault> {
    value::peer_name(text).map_err(|fault| Fault::new(fault.problem, example))
}

/// Whether it can only be meant as a network or an address, valid or not.
fn is_prefix(text: &str) -> bool {
    text.contains(['/', ':']) || text.parse::<IpAddr>().is_ok()
}
