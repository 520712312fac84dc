//! What becomes of a packet, from what its two addresses are.

use crate::{Leaf, Pair, Reason, leaf::Owner, pair::Lists};

/// What the policy says of a packet that is not simply between two peers that list each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// From one peer to another.
    Relay,
    /// From a peer to the relay itself, if `host_access` allows what it is.
    ToHost,
    /// From a peer to beyond the overlay, by the host's routing.
    ToStack,
}

/// The verdict on a source and destination leaf and the pair they point to. What leaves the host's
/// stack or may be the host's is judged further by [`settle`].
///
/// The fast path asks [`Pair::is_mutual`] and compares slots, which is this function's
/// [`Verdict::Relay`]; everything else comes here.
///
/// # Errors
/// Why the packet is refused.
#[inline(always)]
pub fn decide(
    source: &Leaf,
    destination: &Leaf,
    pair: Pair,
    egress_stack: bool,
) -> Result<Verdict, Reason> {
    let from = match source.owner() {
        Owner::Peer(slot) => slot,
        Owner::Nobody | Owner::Vacant | Owner::Host => return Err(Reason::SourceUnknown),
        Owner::Never(reason) => return Err(reason),
    };
    match destination.owner() {
        Owner::Host => Ok(Verdict::ToHost),
        Owner::Never(reason) => Err(reason),
        Owner::Vacant => Err(Reason::DestinationUnknown),
        Owner::Peer(to) if to == from => Err(Reason::Hairpin),
        Owner::Peer(_) => match pair.lists(source) {
            Lists::Both => Ok(Verdict::Relay),
            Lists::Source => Err(Reason::NotInDestinationList),
            Lists::Destination => Err(Reason::NotInSourceList),
            Lists::Neither => Err(Reason::NotInEitherList),
        },
        Owner::Nobody => match pair.lists(source) {
            Lists::Source | Lists::Both if egress_stack => Ok(Verdict::ToStack),
            Lists::Source | Lists::Both | Lists::Destination | Lists::Neither => {
                Err(Reason::DestinationUnknown)
            }
        },
    }
}

/// What the host's routing does with a packet at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Keeps it: the destination is an address of the host, or there is no way to it.
    Local,
    /// Keeps it because nothing that comes in here is forwarded. Whether the destination is an
    /// address of the host is not known; if it is none, the stack drops the packet.
    Unforwarded,
    /// Sends it out of the interface it came from.
    Back,
    /// Sends it anywhere else, or drops it.
    Away,
}

/// Whether a judgement rests on the host's routing too: whatever goes up the stack, and what the
/// policy knows nobody for, which may be an address of the host.
#[inline(always)]
pub const fn needs_routing(judged: Result<Verdict, Reason>, fast_path: bool) -> bool {
    match judged {
        Ok(Verdict::Relay) => !fast_path,
        Ok(Verdict::ToHost | Verdict::ToStack) | Err(Reason::DestinationUnknown) => true,
        Err(_) => false,
    }
}

/// The verdict, now that the routing is known. What goes to the host is what the host would keep,
/// what goes to another peer by the stack leaves by the interface, and anything else is refused.
///
/// `may_reach` says whether `host_access` lets this packet up.
///
/// # Errors
/// Why the packet is refused.
#[inline(always)]
pub fn settle(
    judged: Result<Verdict, Reason>,
    routing: Routing,
    may_reach: impl FnOnce() -> bool,
) -> Result<Verdict, Reason> {
    // Without forwarding an address that is not the policy's keeps its reason wherever it can.
    let otherwise = match (judged, routing) {
        (Ok(Verdict::Relay), Routing::Back) | (Ok(Verdict::ToStack), Routing::Away) => {
            return judged;
        }
        (Ok(Verdict::Relay), Routing::Local | Routing::Unforwarded | Routing::Away) => {
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

/// What is known of a packet that is forwarded to a peer, beside its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbound {
    /// It answers what this peer asked of a port of the host that is published from elsewhere, as
    /// the fence has found out by connection tracking.
    pub answers_a_peer: bool,
    /// [`crate::names::EGRESS_STACK`].
    pub egress_stack: bool,
}

/// Whether a packet may be forwarded to a peer: an answer of a published port, or beyond-the-overlay
/// traffic if the peer's list holds the source. `pair` is the one of (source, destination).
///
/// # Errors
/// Why the packet is refused.
#[inline(always)]
pub fn decide_inbound(
    source: &Leaf,
    destination: &Leaf,
    pair: Pair,
    inbound: Inbound,
) -> Result<(), Reason> {
    match (source.owner(), destination.owner(), pair.lists(source)) {
        (Owner::Host | Owner::Nobody, Owner::Peer(_), _) if inbound.answers_a_peer => Ok(()),
        (Owner::Nobody, Owner::Peer(_), Lists::Destination | Lists::Both)
            if inbound.egress_stack =>
        {
            Ok(())
        }
        _ => Err(Reason::ForwardedIn),
    }
}

/// What peers may reach on the relay itself; the numbers are part of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum HostPolicy {
    /// Nothing.
    None = 0,
    /// Echo requests.
    Ping = 1,
    /// Echo requests and listed ports.
    Ports = 2,
    /// Everything.
    All = 3,
}

/// Key of a port in the map of open ports: protocol number above the port, host order.
#[inline(always)]
pub const fn port_key(protocol: u8, port: u16) -> u32 {
    (protocol as u32) << 16 | port as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        leaf::Special,
        pair::{DESTINATION_LISTS, SOURCE_LISTS},
    };

    fn peer(slot: u32) -> Leaf {
        Leaf::new(slot, 0, 0, Pair::tag(0))
    }

    fn pair(bits: u32) -> Pair {
        Pair::new(Pair::tag(0), bits)
    }

    #[test]
    fn relayed_only_when_both_lists_hold_each_other() {
        let verdict = |bits| decide(&peer(1), &peer(2), pair(bits), true);
        assert_eq!(verdict(SOURCE_LISTS | DESTINATION_LISTS), Ok(Verdict::Relay));
        assert_eq!(verdict(SOURCE_LISTS), Err(Reason::NotInDestinationList));
        assert_eq!(verdict(DESTINATION_LISTS), Err(Reason::NotInSourceList));
        assert_eq!(decide(&peer(1), &peer(2), Pair::EMPTY, true), Err(Reason::NotInEitherList));
    }

    #[test]
    fn a_peer_never_reaches_itself_through_the_relay() {
        assert_eq!(decide(&peer(1), &peer(1), pair(3), true), Err(Reason::Hairpin));
    }

    #[test]
    fn special_addresses_come_before_lists() {
        let host = Leaf::special(Special::Host);
        assert_eq!(decide(&peer(1), &host, pair(3), false), Ok(Verdict::ToHost));
        assert_eq!(decide(&host, &peer(1), pair(3), false), Err(Reason::SourceUnknown));
        for (special, reason) in [
            (Special::Multicast, Reason::Multicast),
            (Special::Broadcast, Reason::Broadcast),
            (Special::LinkLocal, Reason::LinkLocal),
            (Special::Reserved, Reason::ReservedAddress),
        ] {
            let leaf = Leaf::special(special);
            assert_eq!(decide(&peer(1), &leaf, pair(3), true), Err(reason));
            assert_eq!(decide(&leaf, &peer(1), pair(3), true), Err(reason));
        }
    }

    #[test]
    fn an_address_of_the_overlay_that_no_peer_has_is_nobodys_whatever_lists_hold() {
        let vacant = Leaf::special(Special::Vacant);
        assert_eq!(decide(&peer(1), &vacant, pair(3), true), Err(Reason::DestinationUnknown));
        assert_eq!(decide(&vacant, &peer(1), pair(3), true), Err(Reason::SourceUnknown));
        for answers_a_peer in [false, true] {
            let inbound = Inbound { answers_a_peer, egress_stack: true };
            let decided = decide_inbound(&vacant, &peer(1), pair(3), inbound);
            assert_eq!(decided, Err(Reason::ForwardedIn));
        }
    }

    const ROUTINGS: [Routing; 4] =
        [Routing::Local, Routing::Unforwarded, Routing::Back, Routing::Away];

    #[test]
    fn what_goes_to_the_host_is_what_the_host_keeps_and_host_access_opens() {
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
    fn what_goes_to_a_peer_by_the_stack_leaves_by_the_interface_or_not_at_all() {
        let relay = Ok(Verdict::Relay);
        let settled = ROUTINGS.map(|routing| settle(relay, routing, || true));
        let lost = Err(Reason::NotRouted);
        assert_eq!(settled, [lost, lost, relay, lost]);
        assert!(needs_routing(relay, false) && !needs_routing(relay, true));
    }

    #[test]
    fn other_refusals_stand_whatever_the_routing() {
        for &reason in Reason::ALL.iter().filter(|&&r| r != Reason::DestinationUnknown) {
            assert!(!needs_routing(Err(reason), false), "{reason:?}");
            for routing in ROUTINGS {
                assert_eq!(settle(Err(reason), routing, || true), Err(reason));
            }
        }
    }

    #[test]
    fn beyond_the_overlay_only_with_egress_and_a_list_that_holds_it() {
        let outside = Leaf::new(0, 9, 9, Pair::tag(5));
        assert_eq!(decide(&peer(1), &outside, pair(1), true), Ok(Verdict::ToStack));
        assert_eq!(decide(&peer(1), &outside, pair(1), false), Err(Reason::DestinationUnknown));
        assert_eq!(decide(&peer(1), &outside, pair(2), true), Err(Reason::DestinationUnknown));
        let back = Pair::new(Pair::tag(5), DESTINATION_LISTS);
        let inbound = |egress_stack| Inbound { answers_a_peer: false, egress_stack };
        let into = |from: &Leaf, pair, stack| decide_inbound(from, &peer(1), pair, inbound(stack));
        assert_eq!(into(&outside, back, true), Ok(()));
        assert_eq!(into(&outside, back, false), Err(Reason::ForwardedIn));
        assert_eq!(into(&peer(2), pair(3), true), Err(Reason::ForwardedIn));
    }

    #[test]
    fn an_answer_of_a_published_port_comes_from_no_peer_and_goes_to_one() {
        let answer = Inbound { answers_a_peer: true, egress_stack: false };
        let host = Leaf::special(Special::Host);
        let into = |from: &Leaf, to: &Leaf| decide_inbound(from, to, Pair::EMPTY, answer);
        assert_eq!(into(&host, &peer(1)), Ok(()));
        assert_eq!(into(&Leaf::NOBODY, &peer(1)), Ok(()));
        assert_eq!(into(&peer(2), &peer(1)), Err(Reason::ForwardedIn));
        assert_eq!(into(&Leaf::special(Special::Reserved), &peer(1)), Err(Reason::ForwardedIn));
        assert_eq!(into(&host, &Leaf::NOBODY), Err(Reason::ForwardedIn));
    }
}
