use std::collections::HashMap;

use ipnet::IpNet;

use super::{Relay, Spans};

/// The addresses that the `allowed_ips` of peers hold. Equal lists are one.
#[derive(Debug)]
pub struct Lists {
    of_peer: Vec<usize>,
    /// Each in IPv4 and IPv6.
    spans: Vec<[Spans; 2]>,
}

impl Lists {
    /// Of all peers of a relay, disabled ones included.
    pub fn of(relay: &Relay) -> Self {
        let mut known: HashMap<&[IpNet], usize> = HashMap::new();
        let mut spans = Vec::new();
        let of_peer = relay.peers.iter().map(|peer| {
            *known.entry(&peer.allowed_ips).or_insert_with_key(|list| {
                spans.push([true, false].map(|is_v4| Spans::of(*list, is_v4)));
                spans.len() - 1
            })
        });
        let of_peer = of_peer.collect();
        Self { of_peer, spans }
    }

    /// The number of a peer's list, by the peer's place in [`Relay::peers`].
    pub fn of_peer(&self, peer: usize) -> usize {
        self.of_peer[peer]
    }

    /// What a list holds in one family.
    pub fn spans(&self, list: usize, is_v4: bool) -> &Spans {
        &self.spans[list][usize::from(!is_v4)]
    }

    /// Numbers of all lists.
    pub fn numbers(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.spans.len()
    }
}
