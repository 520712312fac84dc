use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use super::{forward, seats::Seats, tally::Tally};
use crate::{
    engine,
    model::{DNS_PORT, PublicKey},
    names::{Outcome, Reply, Transport, Zone},
};

/// What all sockets answer from.
#[derive(Clone)]
pub(in crate::serve) struct Answering {
    zone: Arc<RwLock<Option<Arc<Zone>>>>,
    /// For questions that wait for other resolvers.
    waiting: Seats,
    /// For connections.
    pub(super) connections: Seats,
    pub(super) questions: Arc<Tally>,
    patience: Duration,
}

/// What to do about a question.
pub(super) enum Next {
    Nothing,
    Answer(Vec<u8>),
    Forward(Forwarded),
}

/// A question for other resolvers.
pub(super) struct Forwarded {
    pub(super) resolvers: Vec<SocketAddr>,
    pub(super) question: Vec<u8>,
    pub(super) by: Transport,
    pub(super) who: Option<PublicKey>,
    /// The answer if they have none.
    pub(super) otherwise: Vec<u8>,
}

/// Of all peers, and of one.
pub(super) const WAITING: (usize, usize) = (128, 32);
const CONNECTIONS: (usize, usize) = (64, 8);

/// Stub resolvers wait for five seconds (resolv.conf(5)).
const PATIENCE: Duration = Duration::from_secs(2);

impl Answering {
    pub(in crate::serve) fn new() -> Self {
        Self::with(PATIENCE)
    }

    /// With so much time for the answer of one resolver.
    pub(super) fn with(patience: Duration) -> Self {
        let seats = |(all, each)| Seats::new(all, each);
        Self {
            zone: Arc::default(),
            waiting: seats(WAITING),
            connections: seats(CONNECTIONS),
            questions: Arc::default(),
            patience,
        }
    }

    /// Questions so far, by what became of them; nothing while there are no names.
    pub(in crate::serve) fn questions(&self) -> BTreeMap<&'static str, u64> {
        self.zone().map(|_| self.questions.read()).unwrap_or_default()
    }

    /// The names as they are now.
    pub(super) fn zone(&self) -> Option<Arc<Zone>> {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, zone: Option<Arc<Zone>>) {
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    /// The peer that asks from an address; `None` for the host itself and for strangers.
    pub(super) fn who(&self, source: IpAddr) -> Option<PublicKey> {
        let zone = self.zone()?;
        zone.key(zone.asker(source)?)
    }

    pub(super) fn next(&self, source: IpAddr, question: &[u8], by: Transport) -> Next {
        let Some(zone) = self.zone() else { return Next::Nothing };
        match zone.reply(source, question, by, engine::now()) {
            Reply::Silence => Next::Nothing,
            Reply::Answer(outcome, bytes) => {
                self.questions.count(outcome);
                Next::Answer(bytes)
            }
            Reply::Forward(otherwise) => Next::Forward(Forwarded {
                resolvers: zone.forward().iter().map(|to| SocketAddr::new(*to, DNS_PORT)).collect(),
                question: question.to_vec(),
                by,
                who: self.who(source),
                otherwise,
            }),
        }
    }

    /// The answer of another resolver, or that there is none.
    pub(super) async fn forward(&self, forwarded: Forwarded) -> Vec<u8> {
        let Forwarded { resolvers, question, by, who, otherwise } = forwarded;
        let (outcome, answer) = match self.waiting.take(who) {
            None => (Outcome::Busy, otherwise),
            Some(_seat) => match forward::ask(&resolvers, &question, by, self.patience).await {
                Some(answer) => (Outcome::Forwarded, answer),
                None => (Outcome::Unanswered, otherwise),
            },
        };
        self.questions.count(outcome);
        answer
    }
}
