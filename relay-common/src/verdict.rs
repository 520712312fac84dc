//! The verdict on a packet, from its two addresses and the host's routing.

use crate::{Cell, Leaf, Reason, cell::Lists, leaf::Owner};

/// Where a packet from a peer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// To another peer.
    Relay,
    /// To another peer, if a rule allows it: [`crate::flow::judge`] decides.
    ByRule,
    /// To the relay itself, if `host_access` allows it.
    ToHost,
    /// Beyond the overlay, by the host's routing.
    ToStack,
}

/// The verdict of the policy on a source and destination leaf and their cell. [`settle`] completes it
/// where the host's routing matters.
///
/// The fast path tests [`crate::cell::is_mutual`] and compares slots, which is this function's
/// [`Verdict::Relay`].
///
/// # Errors
/// Why the packet is dropped.
#[inline(always)]
pub fn decide(
    source: &Leaf,
    destination: &Leaf,
    cell: Cell,
    egress_stack: bool,
) -> Result<Verdict, Reason> {
    let from = match source.owner() {
        Owner::Peer(slot) => slot,
        Owner::Disabled => return Err(Reason::Disabled),
        Owner::Nobody | Owner::Vacant | Owner::Host => return Err(Reason::SourceUnknown),
        Owner::Never(reason) => return Err(reason),
    };
    match destination.owner() {
        Owner::Host => Ok(Verdict::ToHost),
        Owner::Never(reason) => Err(reason),
        Owner::Vacant => Err(Reason::DestinationUnknown),
        Owner::Disabled => Err(Reason::Disabled),
        Owner::Peer(to) if to == from => Err(Reason::Hairpin),
        Owner::Peer(_) => match cell.lists(source) {
            Lists::Both => Ok(Verdict::Relay),
            Lists::Ruled => Ok(Verdict::ByRule),
            Lists::Source => Err(Reason::NotInDestinationList),
            Lists::Destination => Err(Reason::NotInSourceList),
            Lists::Neither => Err(Reason::NotInEitherList),
        },
        Owner::Nobody => match cell.lists(source) {
            Lists::Source | Lists::Both if egress_stack => Ok(Verdict::ToStack),
            Lists::Source | Lists::Both | Lists::Ruled | Lists::Destination | Lists::Neither => {
                Err(Reason::DestinationUnknown)
            }
        },
    }
}

/// What the host's routing currently does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Delivers it to the host: the destination is an address of the host, or unreachable.
    Local,
    /// Does not forward it, because forwarding is off. The destination may be an address of the host;
    /// if not, the stack drops the packet.
    Unforwarded,
    /// Sends it out of the interface that it came from.
    Back,
    /// Sends it out of another interface, or drops it.
    Away,
}

/// Whether the host's routing matters: for everything that goes up the stack, and for destinations
/// that nobody owns, which may be addresses of the host.
#[inline(always)]
pub const fn needs_routing(judged: Result<Verdict, Reason>, fast_path: bool) -> bool {
    match judged {
        Ok(Verdict::Relay | Verdict::ByRule) => !fast_path,
        Ok(Verdict::ToHost | Verdict::ToStack) | Err(Reason::DestinationUnknown) => true,
        Err(_) => false,
    }
}

/// Completes a verdict by the host's routing. To the host goes what the host would deliver to itself;
/// to another peer, by the stack, what would leave by the interface. Everything else is dropped.
///
/// `may_reach` tells whether `host_access` allows the packet.
///
/// # Errors
/// Why the packet is dropped.
#[inline(always)]
pub fn settle(
    judged: Result<Verdict, Reason>,
    routing: Routing,
    may_reach: impl FnOnce() -> bool,
) -> Result<Verdict, Reason> {
    // With forwarding off it is unknown whether the address is the host's: the policy's reason stays.
    let otherwise = match (judged, routing) {
        (Ok(Verdict::Relay | Verdict::ByRule), Routing::Back)
        | (Ok(Verdict::ToStack), Routing::Away) => {
            return judged;
        }
        (
            Ok(Verdict::Relay | Verdict::ByRule),
            Routing::Local | Routing::Unforwarded | Routing::Away,
        ) => {
            return Err(Reason::NotRouted);
        }
        (Ok(Verdict::ToHost | Verdict::ToStack), Routing::Back | Routing::Away)
        | (Err(Reason::DestinationUnknown), Routing::Back | Routing::Away) => {
            return Err(Reason::DestinationUnknown);
        }
        (Ok(Verdict::ToHost), Routing::Local | Routing::Unforwarded)
        | (Ok(Verdict::ToStack) | Err(Reason::DestinationUnknown), Routing::Local) => {
            Reason::HostAccess
        }
        (Ok(Verdict::ToStack) | Err(Reason::DestinationUnknown), Routing::Unforwarded) => {
            Reason::DestinationUnknown
        }
        (Err(reason), _) => return Err(reason),
    };
    if may_reach() { Ok(Verdict::ToHost) } else { Err(otherwise) }
}

/// What matters about a packet forwarded to a peer, beside its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbound {
    /// The packet belongs to a connection of this peer to a published port of the host, as the fence
    /// found by connection tracking.
    pub answers_a_peer: bool,
    /// [`crate::names::EGRESS_STACK`].
    pub egress_stack: bool,
}

/// Whether a packet may be forwarded to a peer: an answer from a published port, or traffic from
/// beyond the overlay if the peer's list contains the source. `cell` is that of (source,
/// destination).
///
/// # Errors
/// Why the packet is dropped.
#[inline(always)]
pub fn decide_inbound(
    source: &Leaf,
    destination: &Leaf,
    cell: Cell,
    inbound: Inbound,
) -> Result<(), Reason> {
    match (source.owner(), destination.owner(), cell.lists(source)) {
        (Owner::Host | Owner::Nobody, Owner::Peer(_), _) if inbound.answers_a_peer => Ok(()),
        (Owner::Nobody, Owner::Peer(_), Lists::Destination | Lists::Both)
            if inbound.egress_stack =>
        {
            Ok(())
        }
        _ => Err(Reason::ForwardedIn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cell::{DESTINATION_LISTS, SOURCE_LISTS},
        leaf::Special,
    };

    fn peer(slot: u32) -> Leaf {
        Leaf::new(slot, 0, 0, Cell::tag(0))
    }

    fn cell(bits: u32) -> Cell {
        Cell::new(Cell::tag(0), bits)
    }

    #[test]
    fn relayed_only_if_both_lists_contain_each_other() {
        let verdict = |bits| decide(&peer(1), &peer(2), cell(bits), true);
        assert_eq!(verdict(SOURCE_LISTS | DESTINATION_LISTS), Ok(Verdict::Relay));
        assert_eq!(verdict(SOURCE_LISTS), Err(Reason::NotInDestinationList));
        assert_eq!(verdict(DESTINATION_LISTS), Err(Reason::NotInSourceList));
        assert_eq!(decide(&peer(1), &peer(2), Cell::EMPTY, true), Err(Reason::NotInEitherList));
    }

    #[test]
    fn a_peer_never_reaches_itself_through_the_relay() {
        assert_eq!(decide(&peer(1), &peer(1), cell(3), true), Err(Reason::Hairpin));
    }

    #[test]
    fn a_disabled_peer_neither_sends_nor_receives_whatever_the_lists_contain() {
        let (off, host) = (Leaf::disabled(2), Leaf::special(Special::Host));
        for (source, destination) in [(peer(1), off), (off, peer(1)), (off, off), (off, host)] {
            for bits in 0..8 {
                let decided = decide(&source, &destination, cell(bits), true);
                assert_eq!(decided, Err(Reason::Disabled));
            }
        }
        assert_eq!(decide(&Leaf::NOBODY, &off, cell(3), true), Err(Reason::SourceUnknown));
        assert_eq!(off.counted_slot(), 2);
    }

    #[test]
    fn special_addresses_come_before_lists() {
        let host = Leaf::special(Special::Host);
        assert_eq!(decide(&peer(1), &host, cell(3), false), Ok(Verdict::ToHost));
        assert_eq!(decide(&host, &peer(1), cell(3), false), Err(Reason::SourceUnknown));
        for (special, reason) in [
            (Special::Multicast, Reason::Multicast),
            (Special::Broadcast, Reason::Broadcast),
            (Special::LinkLocal, Reason::LinkLocal),
            (Special::Reserved, Reason::ReservedAddress),
        ] {
            let leaf = Leaf::special(special);
            assert_eq!(decide(&peer(1), &leaf, cell(3), true), Err(reason));
            assert_eq!(decide(&leaf, &peer(1), cell(3), true), Err(reason));
        }
    }

    #[test]
    fn an_address_of_the_overlay_without_a_peer_is_unknown_whatever_the_lists_contain() {
        let vacant = Leaf::special(Special::Vacant);
        assert_eq!(decide(&peer(1), &vacant, cell(3), true), Err(Reason::DestinationUnknown));
        assert_eq!(decide(&vacant, &peer(1), cell(3), true), Err(Reason::SourceUnknown));
        for answers_a_peer in [false, true] {
            let inbound = Inbound { answers_a_peer, egress_stack: true };
            let decided = decide_inbound(&vacant, &peer(1), cell(3), inbound);
            assert_eq!(decided, Err(Reason::ForwardedIn));
        }
    }

    const ROUTINGS: [Routing; 4] =
        [Routing::Local, Routing::Unforwarded, Routing::Back, Routing::Away];

    #[test]
    fn to_the_host_goes_what_routing_delivers_and_host_access_allows() {
        for judged in [Ok(Verdict::ToHost), Ok(Verdict::ToStack), Err(Reason::DestinationUnknown)] {
            let settled = |may| ROUTINGS.map(|routing| settle(judged, routing, || may));
            let unknown = Err(Reason::DestinationUnknown);
            let [open, shut] = match judged {
                Ok(Verdict::ToHost) => [unknown, Err(Reason::HostAccess)],
                Ok(Verdict::ToStack) => [judged, unknown],
                _ => [unknown, unknown],
            };
            let host = Ok(Verdict::ToHost);
            assert_eq!(settled(true), [host, host, unknown, open], "{judged:?}");
            let kept = Err(Reason::HostAccess);
            assert_eq!(settled(false), [kept, shut, unknown, open], "{judged:?}");
        }
    }

    #[test]
    fn what_goes_to_a_peer_by_the_stack_must_leave_by_the_interface() {
        let relay = Ok(Verdict::Relay);
        let settled = ROUTINGS.map(|routing| settle(relay, routing, || true));
        let lost = Err(Reason::NotRouted);
        assert_eq!(settled, [lost, lost, relay, lost]);
        assert!(needs_routing(relay, false) && !needs_routing(relay, true));
    }

    #[test]
    fn other_reasons_stand_whatever_the_routing() {
        for &reason in Reason::ALL.iter().filter(|&&r| r != Reason::DestinationUnknown) {
            assert!(!needs_routing(Err(reason), false), "{reason:?}");
            for routing in ROUTINGS {
                assert_eq!(settle(Err(reason), routing, || true), Err(reason));
            }
        }
    }

    #[test]
    fn beyond_the_overlay_only_with_egress_and_a_list_that_contains_it() {
        let outside = Leaf::new(0, 9, 9, Cell::tag(5));
        assert_eq!(decide(&peer(1), &outside, cell(1), true), Ok(Verdict::ToStack));
        assert_eq!(decide(&peer(1), &outside, cell(1), false), Err(Reason::DestinationUnknown));
        assert_eq!(decide(&peer(1), &outside, cell(2), true), Err(Reason::DestinationUnknown));
        let back = Cell::new(Cell::tag(5), DESTINATION_LISTS);
        let inbound = |egress_stack| Inbound { answers_a_peer: false, egress_stack };
        let into = |from: &Leaf, cell, stack| decide_inbound(from, &peer(1), cell, inbound(stack));
        assert_eq!(into(&outside, back, true), Ok(()));
        assert_eq!(into(&outside, back, false), Err(Reason::ForwardedIn));
        assert_eq!(into(&peer(2), cell(3), true), Err(Reason::ForwardedIn));
    }

    #[test]
    fn an_answer_from_a_published_port_comes_from_no_peer_and_goes_to_one() {
        let answer = Inbound { answers_a_peer: true, egress_stack: false };
        let host = Leaf::special(Special::Host);
        let into = |from: &Leaf, to: &Leaf| decide_inbound(from, to, Cell::EMPTY, answer);
        assert_eq!(into(&host, &peer(1)), Ok(()));
        assert_eq!(into(&Leaf::NOBODY, &peer(1)), Ok(()));
        assert_eq!(into(&peer(2), &peer(1)), Err(Reason::ForwardedIn));
        assert_eq!(into(&Leaf::special(Special::Reserved), &peer(1)), Err(Reason::ForwardedIn));
        assert_eq!(into(&host, &Leaf::NOBODY), Err(Reason::ForwardedIn));
    }
}
