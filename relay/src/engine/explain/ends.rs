//! The two ends that a question is about.

use std::net::IpAddr;

use crate::{
    engine::{Classified, Kind},
    model::{Peer, Relay, Service},
};

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// One end: a peer's name or an address.
    pub a: &'a str,
    /// The other end.
    pub b: &'a str,
    /// What the first end begins with the other; without it, each end sends an echo request.
    pub service: Option<Service>,
    /// Whether to show the packets that the program is probed with.
    pub show_packets: bool,
}

/// What to add to an error about a name that is none of these: the nearest of them.
pub(in crate::engine) fn did_you_mean<'n>(
    name: &str,
    known: impl Iterator<Item = &'n str>,
) -> String {
    let nearest = known.max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

/// The question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ExplainError {
    /// The ends have addresses of different families.
    #[error("{a} and {b} have no address family in common")]
    FamiliesDiffer {
        /// One end.
        a: String,
        /// The other end.
        b: String,
    },
    /// No peer owns either end.
    #[error("no peer owns {a} or {b}, and relay decides about packets of peers only; name a peer")]
    PeerMissing {
        /// One end.
        a: String,
        /// The other end.
        b: String,
    },
    /// An end that is neither a peer nor an address.
    #[error("{end}: neither a peer name nor an IP address{hint}")]
    EndUnknown {
        /// As it was written.
        end: String,
        /// The nearest name.
        hint: String,
    },
}

impl ExplainError {
    pub(in crate::engine) fn unknown_end(relay: &Relay, end: &str) -> Self {
        let hint = did_you_mean(end, relay.peers.iter().map(|peer| peer.name.as_str()));
        Self::EndUnknown { end: end.to_owned(), hint }
    }
}

impl Classified for ExplainError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// An end as it was named.
pub(super) enum End<'a> {
    Peer(&'a Peer),
    Address(IpAddr),
}

impl Ends<'_> {
    pub(super) fn asked(&self) -> Service {
        self.service.unwrap_or(Service::Echo)
    }

    pub(super) fn resolve<'r>(&self, relay: &'r Relay) -> Result<[End<'r>; 2], ExplainError> {
        let end = |text: &str| {
            if let Some((_, peer)) = relay.named(text) {
                return Ok(End::Peer(peer));
            }
            let address = text.parse().map(End::Address);
            address.map_err(|_not_one| ExplainError::unknown_end(relay, text))
        };
        Ok([end(self.a)?, end(self.b)?])
    }

    /// Pairs of addresses, each of one family.
    pub(super) fn pairs(
        &self,
        [a, b]: &[End<'_>; 2],
    ) -> Result<Vec<(IpAddr, IpAddr)>, ExplainError> {
        let pairs: Vec<_> = match (a, b) {
            (End::Address(a), End::Address(b)) => vec![(*a, *b)],
            (End::Address(a), End::Peer(b)) => {
                b.addresses.iter().map(|address| (*a, *address)).collect()
            }
            (End::Peer(a), End::Address(b)) => {
                a.addresses.iter().map(|address| (*address, *b)).collect()
            }
            (End::Peer(a), End::Peer(b)) => {
                [true, false].into_iter().flat_map(|is_v4| beside(a, b, is_v4)).collect()
            }
        };
        let pairs: Vec<_> = pairs.into_iter().filter(|(a, b)| a.is_ipv4() == b.is_ipv4()).collect();
        match pairs.is_empty() {
            true => {
                Err(ExplainError::FamiliesDiffer { a: self.a.to_owned(), b: self.b.to_owned() })
            }
            false => Ok(pairs),
        }
    }
}

/// Pairs of addresses of one family that contain each address once at least. Each list is asked for
/// one address of a packet, so all pairs pass if these do.
fn beside(a: &Peer, b: &Peer, is_v4: bool) -> Vec<(IpAddr, IpAddr)> {
    let of = |peer: &Peer| -> Vec<IpAddr> {
        peer.addresses.iter().copied().filter(|address| address.is_ipv4() == is_v4).collect()
    };
    let (a, b) = (of(a), of(b));
    let (Some(last_a), Some(last_b)) = (a.last(), b.last()) else { return Vec::new() };
    let at = |place: usize| (*a.get(place).unwrap_or(last_a), *b.get(place).unwrap_or(last_b));
    (0..a.len().max(b.len())).map(at).collect()
}
