use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::claim::{self, Claim};
use crate::model::PublicKey;

/// The value of a claim that is withdrawn; chitchat tells nobody of keys that are deleted.
pub(super) const WITHDRAWN: &str = "-";
/// The key that a relay sets when it has published all that it claimed when it began.
pub(super) const TOLD: &str = "told";
/// The key of the policy's hash.
pub(super) const POLICY: &str = "policy";
/// The key of the relay's public key towards peers.
pub(super) const PUBLIC_KEY: &str = "public_key";

/// News of the other relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The agent of a relay runs anew: [`Ledger::began`](super::Ledger::began).
    Began {
        /// Its place.
        relay: usize,
    },
    /// A relay published a claim: [`Ledger::heard`](super::Ledger::heard).
    Heard {
        /// Its place; that of this relay for a claim of an agent before this one.
        relay: usize,
        /// The peer.
        peer: PublicKey,
        /// The claim.
        claim: Claim,
    },
    /// A relay withdrew its claim: [`Ledger::withdrawn`](super::Ledger::withdrawn).
    Withdrawn {
        /// Its place.
        relay: usize,
        /// The peer.
        peer: PublicKey,
    },
    /// A relay has told all that it claimed when it began: [`Ledger::told`](super::Ledger::told).
    Told {
        /// Its place.
        relay: usize,
    },
    /// The others know a later life of this relay's agent, from when its clock was ahead, and go by
    /// that: the agent has to begin again.
    Outlived {
        /// That life.
        by: u64,
    },
}

/// News that wait to be taken: of each relay and peer the latest, so that what waits is bounded.
#[derive(Debug)]
pub(super) struct Inbox {
    own: (usize, u64),
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The life of each relay's agent that was heard last.
    lives: HashMap<usize, u64>,
    began: BTreeSet<usize>,
    claims: HashMap<(usize, PublicKey), Option<Claim>>,
    told: BTreeSet<usize>,
    outlived: Option<u64>,
    unreadable: u64,
}

impl Inbox {
    /// Of the relay of this place, whose agent's life is `generation`.
    pub(super) fn new(own: usize, generation: u64) -> Self {
        Self { own: (own, generation), state: Mutex::default(), bell: Notify::new() }
    }

    /// Something was set in the state of a relay's agent. What an agent before the latest one said is
    /// over, except of this relay: it may not know anymore what it claimed.
    pub(super) fn put(&self, place: usize, generation: u64, key: &str, value: &str) {
        if (place, generation) == self.own {
            return;
        }
        let mut state = self.state();
        if place == self.own.0 {
            if generation > self.own.1 {
                state.outlived = state.outlived.max(Some(generation));
            }
            state.put_claim(place, key, value);
            if value == WITHDRAWN {
                state.claims.retain(|(relay, _), claim| *relay != place || claim.is_some());
            }
        } else {
            let life = state.lives.get(&place).copied();
            if life.is_some_and(|life| generation < life) {
                return;
            }
            if life != Some(generation) {
                state.begin(place, generation);
            }
            state.put_news(place, key, value);
        }
        drop(state);
        self.bell.notify_one();
    }

    /// What is kept of the latest life of a relay's agent: if a later one is remembered that is not kept
    /// anymore, its clock was ahead then, and this one counts.
    pub(super) fn keep<'a>(
        &self,
        place: usize,
        generation: u64,
        news: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        let mut state = self.state();
        if place == self.own.0 || state.lives.get(&place).is_none_or(|life| *life <= generation) {
            return;
        }
        state.begin(place, generation);
        for (key, value) in news {
            state.put_news(place, key, value);
        }
        drop(state);
        self.bell.notify_one();
    }

    /// What happened since it was asked last, as soon as there is something. Can be cancelled.
    pub(super) async fn take(&self) -> Vec<Event> {
        loop {
            let events = self.state().take();
            if !events.is_empty() {
                return events;
            }
            self.bell.notified().await;
        }
    }

    /// Claims that could not be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.state().unreadable
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Another life of a relay's agent counts from now on.
    fn begin(&mut self, place: usize, generation: u64) {
        self.lives.insert(place, generation);
        self.began.insert(place);
        self.told.remove(&place);
        self.claims.retain(|(relay, _), _| *relay != place);
    }

    fn put_news(&mut self, place: usize, key: &str, value: &str) {
        if key == TOLD {
            self.told.insert(place);
        } else {
            self.put_claim(place, key, value);
        }
    }

    fn put_claim(&mut self, place: usize, key: &str, value: &str) {
        if key.len() != claim::KEY_LEN {
            return;
        }
        let claim = match value {
            WITHDRAWN => Ok(None),
            text => text.parse().map(Some),
        };
        match (claim::parse_key(key), claim) {
            (Ok(peer), Ok(claim)) => drop(self.claims.insert((place, peer), claim)),
            (Err(_), _) | (_, Err(_)) => self.unreadable += 1,
        }
    }

    fn take(&mut self) -> Vec<Event> {
        let began = std::mem::take(&mut self.began).into_iter().map(|relay| Event::Began { relay });
        let claims = std::mem::take(&mut self.claims).into_iter();
        let claims = claims.map(|((relay, peer), claim)| match claim {
            Some(claim) => Event::Heard { relay, peer, claim },
            None => Event::Withdrawn { relay, peer },
        });
        let told = std::mem::take(&mut self.told).into_iter().map(|relay| Event::Told { relay });
        let outlived = self.outlived.take().into_iter().map(|by| Event::Outlived { by });
        began.chain(claims).chain(told).chain(outlived).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PublicKey = PublicKey::from_bytes([1; 32]);

    fn put(inbox: &Inbox, relay: usize, generation: u64, value: &str) {
        inbox.put(relay, generation, &claim::key_text(&PEER), value);
    }

    fn taken(inbox: &Inbox) -> Vec<Event> {
        inbox.state().take()
    }

    #[test]
    fn of_each_relay_and_peer_the_latest_waits() {
        let inbox = Inbox::new(0, 1);
        put(&inbox, 1, 5, "1 0 -");
        put(&inbox, 1, 5, "2 0 -");
        put(&inbox, 2, 5, WITHDRAWN);
        inbox.put(1, 5, TOLD, "");
        let mut events = taken(&inbox);
        events[2..4].sort_by_key(|event| matches!(event, Event::Withdrawn { .. }));
        let claim = Claim::new(2, 0, None);
        let expected = [
            Event::Began { relay: 1 },
            Event::Began { relay: 2 },
            Event::Heard { relay: 1, peer: PEER, claim },
            Event::Withdrawn { relay: 2, peer: PEER },
            Event::Told { relay: 1 },
        ];
        assert_eq!(events, expected);
        assert_eq!(taken(&inbox), []);
    }

    #[test]
    fn what_an_earlier_life_said_is_over() {
        let inbox = Inbox::new(0, 1);
        put(&inbox, 1, 5, "1 0 -");
        put(&inbox, 1, 6, "2 0 -");
        put(&inbox, 1, 5, "3 0 -");
        let claim = Claim::new(2, 0, None);
        let expected = [Event::Began { relay: 1 }, Event::Heard { relay: 1, peer: PEER, claim }];
        assert_eq!(taken(&inbox), expected);
    }

    #[test]
    fn what_this_relay_said_in_an_earlier_life_is_heard_and_in_this_one_is_not() {
        let inbox = Inbox::new(0, 7);
        put(&inbox, 0, 7, "9 0 -");
        assert_eq!(taken(&inbox), []);
        put(&inbox, 0, 6, "2 0 -");
        put(&inbox, 0, 6, WITHDRAWN);
        assert_eq!(taken(&inbox), []);
        put(&inbox, 0, 6, "2 0 -");
        let claim = Claim::new(2, 0, None);
        assert_eq!(taken(&inbox), [Event::Heard { relay: 0, peer: PEER, claim }]);
    }

    #[test]
    fn a_later_life_of_this_relay_outlives_this_one() {
        let inbox = Inbox::new(0, 7);
        put(&inbox, 0, 9, "2 0 -");
        inbox.put(0, 8, POLICY, "hash");
        let claim = Claim::new(2, 0, None);
        let heard = Event::Heard { relay: 0, peer: PEER, claim };
        assert_eq!(taken(&inbox), [heard, Event::Outlived { by: 9 }]);
        assert_eq!(taken(&inbox), []);
    }

    #[test]
    fn when_a_later_life_is_forgotten_an_earlier_one_counts() {
        let inbox = Inbox::new(0, 1);
        let key = claim::key_text(&PEER);
        let news = || [(key.as_str(), "3 0 -"), (TOLD, "")].into_iter();
        inbox.keep(1, 5, news());
        assert_eq!(taken(&inbox), [], "what is kept of the only life has been put");
        put(&inbox, 1, 6, "2 0 -");
        drop(taken(&inbox));
        inbox.keep(1, 6, news());
        assert_eq!(taken(&inbox), []);
        inbox.keep(1, 5, news());
        let heard = Event::Heard { relay: 1, peer: PEER, claim: Claim::new(3, 0, None) };
        let expected = [Event::Began { relay: 1 }, heard, Event::Told { relay: 1 }];
        assert_eq!(taken(&inbox), expected);
        put(&inbox, 1, 5, "4 0 -");
        assert_eq!(taken(&inbox).len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let inbox = Inbox::new(0, 1);
        put(&inbox, 1, 1, "nonsense");
        inbox.put(1, 1, POLICY, "hash");
        assert_eq!(taken(&inbox), [Event::Began { relay: 1 }]);
        assert_eq!(inbox.unreadable(), 1);
    }
}
