use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use chitchat::{Chitchat, ChitchatId};

use super::{
    claim,
    inbox::{POLICY, PUBLIC_KEY, TOLD},
    refusal::Refusal,
    site::Site,
    wire::{Kind, Message, Node},
};

/// Longest value, bytes: a claim. The hash of a policy and a public key are shorter.
const MAX_VALUE_LEN: usize = claim::MAX_TEXT_LEN;
/// Lives of one agent that are kept at once; one that restarts in a loop has more. The first ones anybody
/// may tell of, all of them the relay itself.
const LIVES_BY_OTHERS: usize = 8;
const LIVES: usize = 2 * LIVES_BY_OTHERS;
/// Nodes that are known at once. chitchat panics when a digest leaves less than 16 KiB of a datagram,
/// and one of them takes up to 66 bytes of it.
const NODES: usize = 700;
/// Keys of a relay beyond two for each configured peer: while its own configuration is newer.
const MORE_KEYS: usize = 1_024;

/// Whether a message is of this site, and about what gossip is about.
pub(super) fn check(message: &Message<'_>, site: &Site) -> Result<(), Refusal> {
    match message.kind {
        Kind::Syn(cluster) if cluster != site.cluster => return Err(Refusal::OtherSite),
        Kind::BadCluster => return Err(Refusal::OtherSite),
        Kind::Syn(_) | Kind::SynAck | Kind::Ack => {}
    }
    if message.digest.len() > site.relays.len() * LIVES {
        return Err(Refusal::TooManyLives);
    }
    for node in nodes(message) {
        let place = site.place(node.name).ok_or(Refusal::UnknownRelay)?;
        if site.relays[place].1 != node.address {
            return Err(Refusal::UnknownRelay);
        }
    }
    for changes in &message.changes {
        let entries = || changes.entries.iter();
        if entries().any(|(key, _)| !is_known(key))
            || entries().any(|(_, it)| it.len() > MAX_VALUE_LEN)
        {
            return Err(Refusal::Entry);
        }
    }
    Ok(())
}

fn is_known(key: &str) -> bool {
    [TOLD, POLICY, PUBLIC_KEY].contains(&key) || claim::parse_key(key).is_ok()
}

/// All nodes of a message.
fn nodes<'a>(message: &'a Message<'a>) -> impl Iterator<Item = &'a Node<'a>> {
    message.digest.iter().chain(message.changes.iter().map(|changes| &changes.node))
}

/// How much of the other relays is kept.
#[derive(Debug)]
pub(super) struct Limits {
    keys: AtomicUsize,
}

impl Limits {
    /// With this many configured peers.
    pub(super) fn new(peers: usize) -> Self {
        let limits = Self { keys: AtomicUsize::new(0) };
        limits.set_peers(peers);
        limits
    }

    pub(super) fn set_peers(&self, peers: usize) {
        self.keys.store(peers.saturating_mul(2).saturating_add(MORE_KEYS), Ordering::Relaxed);
    }

    /// Whether a message of the relay of place `sender` leaves what is known within its limits.
    pub(super) fn check(
        &self,
        message: &Message<'_>,
        known: &Chitchat,
        sender: usize,
        site: &Site,
    ) -> Result<(), Refusal> {
        let new: HashSet<&Node<'_>> =
            nodes(message).filter(|node| known.node_state(&id(node)).is_none()).collect();
        if known.node_states().len() + new.len() > NODES {
            return Err(Refusal::TooManyLives);
        }
        for node in &new {
            let by_itself = site.relays[sender].0.as_str() == node.name;
            let most = if by_itself { LIVES } else { LIVES_BY_OTHERS };
            let coming = new.iter().filter(|it| it.name == node.name).count();
            if lives(known, node.name).count() + coming > most {
                return Err(Refusal::TooManyLives);
            }
        }
        let most = self.keys.load(Ordering::Relaxed);
        for changes in &message.changes {
            let id = id(&changes.node);
            if id == *known.self_chitchat_id() {
                return Err(Refusal::Forged);
            }
            // A node that is not known yet begins with this message.
            let state = known.node_state(&id);
            // Exact for what is counted here.
            let kept = state.map_or(0, |it| it.key_values_including_deleted().size_hint().0);
            let is_new = |key: &str| state.is_none_or(|it| it.get_versioned(key).is_none());
            let new = || changes.entries.iter().filter(|(key, _)| is_new(key)).count();
            if kept + changes.entries.len() > most && kept + new() > most {
                return Err(Refusal::TooManyKeys);
            }
        }
        Ok(())
    }
}

fn id(node: &Node<'_>) -> ChitchatId {
    ChitchatId::new(node.name, node.generation, node.address)
}

/// The lives of a relay's agent that are known.
fn lives<'a>(known: &'a Chitchat, name: &'a str) -> impl Iterator<Item = &'a ChitchatId> {
    known.node_states().keys().filter(move |it| *it.node_id == *name)
}
