//! How much was relayed, for the picture.

use std::collections::HashMap;

/// Counters of a running relay, for the picture.
#[derive(Debug, Clone)]
pub struct Traffic {
    peers: Vec<u64>,
    most_of_a_peer: u64,
    /// `None` if pairs are not counted.
    pairs: Option<HashMap<(usize, usize), u64>>,
    most_of_a_pair: u64,
}

/// Bytes relayed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relayed {
    pub(super) bytes: u64,
    /// Length as a share of the longest: the square root, because the eye compares areas.
    pub(super) share: f64,
}

impl Traffic {
    /// Takes the bytes relayed from and to each peer, in the order of the configuration. If pairs are
    /// counted, also those between two peers both ways, keyed by places in ascending order.
    pub fn new(peers: Vec<u64>, pairs: Option<HashMap<(usize, usize), u64>>) -> Self {
        let most_of_a_peer = peers.iter().copied().max().unwrap_or(0);
        let most_of_a_pair =
            pairs.as_ref().and_then(|pairs| pairs.values().copied().max()).unwrap_or(0);
        Self { peers, most_of_a_peer, pairs, most_of_a_pair }
    }

    /// Whether pairs are counted.
    pub(super) const fn counts_pairs(&self) -> bool {
        self.pairs.is_some()
    }

    pub(super) fn of_peer(&self, at: usize) -> Option<Relayed> {
        self.peers.get(at).map(|&bytes| Relayed::of(bytes, self.most_of_a_peer))
    }

    /// Bytes of each pair that is counted, by places in ascending order.
    pub(super) fn of_pairs(&self) -> Option<impl Iterator<Item = ((usize, usize), u64)> + '_> {
        Some(self.pairs.as_ref()?.iter().map(|(&pair, &bytes)| (pair, bytes)))
    }

    pub(super) fn of_pair(&self, from: usize, to: usize) -> Option<Relayed> {
        let bytes = self.pairs.as_ref()?.get(&(from, to)).copied().unwrap_or(0);
        Some(Relayed::of(bytes, self.most_of_a_pair))
    }
}

impl Relayed {
    fn of(bytes: u64, most: u64) -> Self {
        let share = if most == 0 { 0.0 } else { (bytes as f64 / most as f64).sqrt() };
        Self { bytes, share }
    }
}
