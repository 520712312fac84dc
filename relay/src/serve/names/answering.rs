use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use super::{forward, seats::Seats};
use crate::{
    engine,
    model::PublicKey,
    names::{Reply, Transport, Zone},
};

/// What all sockets answer from.
#[derive(Clone)]
pub(super) struct Answering {
    zone: Arc<RwLock<Option<Arc<Zone>>>>,
    /// For questions that wait for other resolvers.
    waiting: Seats,
    /// For connections.
    pub(super) connections: Seats,
}

/// What to do about a question.
pub(super) enum Next {
    Nothing,
    Answer(Vec<u8>),
    Forward(Forwarded),
}

/// A question for other resolvers.
pub(super) struct Forwarded {
    resolvers: Vec<IpAddr>,
    question: Vec<u8>,
    by: Transport,
    who: Option<PublicKey>,
    otherwise: Vec<u8>,
}

/// Of all peers, and of one.
const WAITING: (usize, usize) = (128, 32);
const CONNECTIONS: (usize, usize) = (64, 8);

impl Answering {
    pub(super) fn new() -> Self {
        let (all, each) = WAITING;
        let waiting = Seats::new(all, each);
        let (all, each) = CONNECTIONS;
        Self { zone: Arc::default(), waiting, connections: Seats::new(all, each) }
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
            Reply::Answer(bytes) => Next::Answer(bytes),
            Reply::Forward(otherwise) => Next::Forward(Forwarded {
                resolvers: zone.forward().to_vec(),
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
        let Some(_seat) = self.waiting.take(who) else { return otherwise };
        forward::ask(&resolvers, &question, by).await.unwrap_or(otherwise)
    }
}
