use crate::mesh::ledger::home::Home;
use crate::{mesh::claim::Claim, model::PublicKey};

/// What has to be done, in the order given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Tell the programs where a peer is at home.
    Home {
        /// The peer.
        peer: PublicKey,
        /// [`Home::Here`] or [`Home::At`].
        home: Home,
    },
    /// Keep the claim that prevails where `relay takeover` and the next agent find it.
    Record {
        /// The peer.
        peer: PublicKey,
        /// The claim.
        claim: Claim,
    },
    /// Let WireGuard forget its session with a peer and its endpoint: it neither calls the peer nor
    /// takes an old session for one when the peer is taken over again.
    Release {
        /// The peer.
        peer: PublicKey,
    },
    /// Tell the other relays that a peer is at home here.
    Publish {
        /// The peer.
        peer: PublicKey,
        /// The claim.
        claim: Claim,
    },
    /// Tell the other relays that it no longer is.
    Withdraw {
        /// The peer.
        peer: PublicKey,
    },
}
