//! Who is at home where, as one relay knows it: what happens goes in, what has to be done comes out.
//!
//! Every relay keeps the claims that stand, one of each relay for each peer, and the one that prevails
//! ([`Claim::prevails`]) says where the peer is at home. Relays that heard the same agree.

mod action;
mod home;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use self::record::{Names, Record, Standing};
pub use self::{
    action::Action,
    home::{Home, Sight},
};
use super::claim::Claim;
use crate::model::{PublicKey, RelayName};

/// How many peers are at home where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// By the relay's place in the list of the site, this one among them.
    pub at: Vec<usize>,
    /// Peers of which nobody has said.
    pub unknown: usize,
}

/// What one relay knows of the homes of all peers.
#[derive(Debug)]
pub struct Ledger {
    relays: Vec<RelayName>,
    own: usize,
    /// How often each relay's agent has begun anew since this one started.
    lives: Vec<u32>,
    peers: HashMap<PublicKey, Record>,
    strangers: u64,
}

impl Ledger {
    /// Of the relay of place `own` in the list of the site's relays, without peers.
    pub fn new(relays: Vec<RelayName>, own: usize) -> Self {
        let lives = vec![0; relays.len()];
        Self { relays, own, lives, peers: HashMap::new(), strangers: 0 }
    }

    /// Sets which peers are configured. Forgets the others; of new ones nothing is known, so that the
    /// claims that gossip has of them have to be [heard](Self::heard) again.
    pub fn set_peers(&mut self, peers: &HashSet<PublicKey>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.peers.retain(|peer, record| {
            let stays = peers.contains(peer);
            if !stays && record.own.is_some() {
                actions.push(Action::Withdraw { peer: *peer });
            }
            stays
        });
        for peer in peers {
            self.peers.entry(*peer).or_default();
        }
        actions
    }

    /// What the kernel had of a configured peer when the agent started: its home, and the claim that
    /// prevailed. Neither is a move.
    pub fn begin(&mut self, peer: PublicKey, home: Home, recorded: Option<Claim>) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(record) = self.peers.get_mut(&peer) else { return actions };
        record.highest = recorded.map_or(0, |claim| claim.version);
        match (home, recorded) {
            (Home::Here, Some(claim)) => {
                record.home = Home::Here;
                record.own = Some(claim);
                actions.push(Action::Publish { peer, claim });
            }
            (Home::Here, None) => record.arrive(peer, 0, None, &mut actions),
            (Home::At(place), _) if place != self.own && place < self.relays.len() => {
                record.home = home;
                record.others.extend(recorded.map(|claim| Standing { place, life: 0, claim }));
            }
            (Home::At(_) | Home::Unknown, _) => {}
        }
        actions
    }

    /// A packet of a peer that was not at home here came by WireGuard.
    pub fn moved(&mut self, peer: PublicKey) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(record) = self.peers.get_mut(&peer)
            && record.home != Home::Here
        {
            record.arrive(peer, 0, None, &mut actions);
        }
        actions
    }

    /// What the kernel has of its peers, once a second. It has to be read when all earlier actions are
    /// carried out, and WireGuard's part before the homes: `relay takeover` writes the home of a peer
    /// first, and then its endpoint. Nothing is allocated while nothing changes.
    pub fn look(&mut self, sights: impl IntoIterator<Item = Sight>) -> Vec<Action> {
        let mut actions = Vec::new();
        for sight in sights {
            if let Some(record) = self.peers.get_mut(&sight.peer) {
                record.look(&sight, &mut actions);
            }
        }
        actions
    }

    /// A relay has published a claim. One of this relay itself is of an agent that ran before.
    pub fn heard(&mut self, place: usize, peer: PublicKey, claim: Claim) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(record) = self.peers.get_mut(&peer) else {
            self.strangers += 1;
            return actions;
        };
        let names = Names { relays: &self.relays, own: self.own };
        if place == self.own {
            record.remember(peer, claim, names, &mut actions);
        } else if let Some(life) = self.lives.get(place) {
            let heard = Standing { place, life: *life, claim };
            record.change(peer, names, |record| record.hear(heard), &mut actions);
        }
        actions
    }

    /// A relay has withdrawn its claim. The peer stays where it is until another claim prevails.
    pub fn withdrawn(&mut self, place: usize, peer: PublicKey) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(record) = self.peers.get_mut(&peer) {
            let names = Names { relays: &self.relays, own: self.own };
            let withdraw = |record: &mut Record| record.others.retain(|it| it.place != place);
            record.change(peer, names, withdraw, &mut actions);
        }
        actions
    }

    /// The agent of a relay runs anew. Its claims stand until it has [told](Self::told) all.
    pub fn began(&mut self, place: usize) {
        if let Some(life) = self.lives.get_mut(place) {
            *life += 1;
        }
    }

    /// A relay has told all its claims since it began: what it did not repeat is withdrawn.
    pub fn told(&mut self, place: usize) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(life) = self.lives.get(place) else { return actions };
        let names = Names { relays: &self.relays, own: self.own };
        for (peer, record) in &mut self.peers {
            let stands = |it: &Standing| it.place != place || it.life == *life;
            if !record.others.iter().all(stands) {
                record.change(*peer, names, |record| record.others.retain(stands), &mut actions);
            }
        }
        actions
    }

    /// Where a peer is at home.
    pub fn home(&self, peer: &PublicKey) -> Home {
        self.peers.get(peer).map_or(Home::Unknown, |record| record.home)
    }

    /// The claim that prevails, and the place of the relay whose it is.
    pub fn prevailing(&self, peer: &PublicKey) -> Option<(usize, Claim)> {
        let record = self.peers.get(peer)?;
        let names = Names { relays: &self.relays, own: self.own };
        let own = record.own.map(|claim| (self.own, claim));
        own.or_else(|| names.best(&record.others).map(|best| (best.place, best.claim)))
    }

    /// How many peers are at home where.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { at: vec![0; self.relays.len()], unknown: 0 };
        for record in self.peers.values() {
            match record.home {
                Home::Unknown => tally.unknown += 1,
                Home::Here => tally.at[self.own] += 1,
                Home::At(place) => tally.at[place] += 1,
            }
        }
        tally
    }

    /// Claims of peers that are not configured here.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }
}
