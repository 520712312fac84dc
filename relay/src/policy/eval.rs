//! The formula, by brute force: the oracle for everything compiled.

use std::net::IpAddr;

use relay_common::{Reason, leaf::Special, verdict::Verdict};

use super::{Sources, space::specials};
use crate::model::{Egress, Peer};

/// What an address is.
pub(super) enum Is<'a> {
    Owned(&'a Peer),
    Special(Special),
    Nobody,
}

impl Is<'_> {
    /// Whether it is the host's own.
    pub(super) const fn is_host(&self) -> bool {
        matches!(self, Self::Special(Special::Host))
    }
}

/// What becomes of a well-formed packet from one address to another, sent by a peer, where
/// `host_access` lets it up and the host's routing is as it should be: it keeps what goes to the
/// host's addresses, forwards the rest, and sends peers' packets to the interface.
///
/// # Errors
/// Why it is refused.
pub fn eval(sources: &Sources<'_>, source: IpAddr, destination: IpAddr) -> Result<Verdict, Reason> {
    let from = match whose(sources, source) {
        Is::Owned(peer) => peer,
        Is::Special(Special::Host | Special::Vacant) | Is::Nobody => {
            return Err(Reason::SourceUnknown);
        }
        Is::Special(special) => return Err(never(special)),
    };
    let lists = |peer: &Peer, address| peer.may_reach().iter().any(|net| net.contains(&address));
    match whose(sources, destination) {
        Is::Special(Special::Host) => Ok(Verdict::ToHost),
        Is::Special(special) => Err(never(special)),
        Is::Nobody if sources.relay.egress == Egress::Stack && lists(from, destination) => {
            Ok(Verdict::ToStack)
        }
        Is::Nobody => Err(Reason::DestinationUnknown),
        Is::Owned(to) if to.public_key == from.public_key => Err(Reason::Hairpin),
        Is::Owned(to) => match (lists(from, destination), lists(to, source)) {
            (true, true) => Ok(Verdict::Relay),
            (true, false) => Err(Reason::NotInDestinationList),
            (false, true) => Err(Reason::NotInSourceList),
            (false, false) => Err(Reason::NotInEitherList),
        },
    }
}

/// Whether an address that the host does not have is somebody's: a peer's, the overlay's, or of a
/// network that is nobody's ever.
pub(super) fn is_claimed(sources: &Sources<'_>, address: IpAddr) -> bool {
    !matches!(whose(sources, address), Is::Nobody)
}

/// The host's addresses before all others, then the longest match over everything that is owned; of
/// equal prefixes a special one wins.
pub(super) fn whose<'a>(sources: &Sources<'a>, address: IpAddr) -> Is<'a> {
    if sources.host_addresses.contains(&address) {
        return Is::Special(Special::Host);
    }
    let special = specials(sources)
        .into_iter()
        .filter(|(net, _)| net.contains(&address))
        .max_by_key(|(net, _)| net.prefix_len());
    let owned = sources
        .peers()
        .flat_map(|(_, peer)| peer.owned().map(move |net| (net, peer)))
        .filter(|(net, _)| net.contains(&address))
        .max_by_key(|(net, _)| net.prefix_len());
    match (special, owned) {
        (Some((net, special)), Some((own, _))) if net.prefix_len() >= own.prefix_len() => {
            Is::Special(special)
        }
        (_, Some((_, peer))) => Is::Owned(peer),
        (Some((_, special)), None) => Is::Special(special),
        (None, None) if is_overlay(sources, address) => Is::Special(Special::Vacant),
        (None, None) => Is::Nobody,
    }
}

fn is_overlay(sources: &Sources<'_>, address: IpAddr) -> bool {
    sources.relay.addresses.iter().any(|overlay| overlay.contains(&address))
}

fn never(special: Special) -> Reason {
    match special {
        Special::Host => Reason::HostAccess,
        Special::Multicast => Reason::Multicast,
        Special::Broadcast => Reason::Broadcast,
        Special::LinkLocal => Reason::LinkLocal,
        Special::Reserved => Reason::ReservedAddress,
        Special::Vacant => Reason::DestinationUnknown,
    }
}
