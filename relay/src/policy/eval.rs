//! The formula by brute force: the oracle for the compiled policy.

use std::net::IpAddr;

use relay_common::{Reason, leaf::Special, verdict::Verdict};

use super::{sources::Sources, special::specials};
use crate::model::{Egress, Peer};

/// What an address is.
pub(super) enum Is<'a> {
    Owned(&'a Peer),
    Special(Special),
    Nobody,
}

impl Is<'_> {
    /// Whether it is an address of the host.
    pub(super) const fn is_host(&self) -> bool {
        matches!(self, Self::Special(Special::Host))
    }
}

/// The verdict on a well-formed packet that a peer sent, if `host_access` allows it and the host's
/// routing is as expected: packets to the host's addresses stay, packets to peers leave by the
/// interface, and the rest is forwarded.
///
/// # Errors
/// Why it is dropped.
pub fn eval(sources: &Sources<'_>, source: IpAddr, destination: IpAddr) -> Result<Verdict, Reason> {
    let from = match whose(sources, source) {
        Is::Owned(peer) if !peer.enabled => return Err(Reason::Disabled),
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
        Is::Owned(to) if !to.enabled => Err(Reason::Disabled),
        Is::Owned(to) if to.public_key == from.public_key => Err(Reason::Hairpin),
        Is::Owned(to) => match (lists(from, destination), lists(to, source)) {
            (true, true) => Ok(Verdict::Relay),
            (true, false) => Err(Reason::NotInDestinationList),
            (false, true) => Err(Reason::NotInSourceList),
            (false, false) => Err(Reason::NotInEitherList),
        },
    }
}

/// The host's addresses win; then the longest match. Of equal prefixes, a special one wins.
pub(super) fn whose<'a>(sources: &Sources<'a>, address: IpAddr) -> Is<'a> {
    if sources.host_addresses.contains(&address) {
        return Is::Special(Special::Host);
    }
    let special = specials(sources.relay)
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
