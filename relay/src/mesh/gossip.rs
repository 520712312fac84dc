use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState,
    ProtocolVersion, spawn_chitchat, transport::Transport,
};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

use super::{
    claim::{self, Claim},
    error::GossipError,
    gate::{Desk, Gate},
    inbox::{Event, Inbox, POLICY, PUBLIC_KEY, TOLD, WITHDRAWN},
    meter::Traffic,
    refusal::Refusal,
    site::Site,
};
use crate::model::{PublicKey, RelayName};

/// How often an exchange begins with up to three of the other relays, without news.
const INTERVAL: Duration = Duration::from_millis(250);
/// Time between two exchanges because of news: more than one takes between hosts of a region.
const PUSH_INTERVAL: Duration = Duration::from_millis(25);
/// Claims that one exchange certainly carries; a datagram has room for 800.
const CLAIMS_PER_PUSH: usize = 500;
/// An agent is not alive when it was silent for this many times of what is usual: two seconds or so.
const SILENCE: f64 = 20.0;
/// How long a withdrawn claim is kept: who was away for longer gets everything anew.
const WITHDRAWN_GRACE: Duration = Duration::from_secs(600);
/// How long the state of an agent is kept that is not heard anymore; the ledger keeps its claims.
const DEAD_GRACE: Duration = Duration::from_secs(120);

/// The gossip of one relay's agent. It ends when this is dropped.
pub struct Gossip {
    handle: Arc<ChitchatHandle>,
    desk: Arc<Desk>,
    inbox: Arc<Inbox>,
    news: Arc<News>,
    pusher: JoinHandle<()>,
    /// When the status was asked for last, and what had been received and sent by then.
    measured: Mutex<(Instant, Vec<(u64, u64)>)>,
}

/// What the agent begins with.
#[derive(Debug)]
pub struct Beginning {
    /// Tells the lives of an agent apart: more than that of every earlier one, such as Unix
    /// milliseconds. If others know a later one, [`Event::Outlived`] says so.
    pub generation: u64,
    /// The hash of the policy in force.
    pub policy: String,
    /// The peers that are at home here.
    pub claims: Vec<(PublicKey, Claim)>,
    /// How many peers are configured.
    pub peers: usize,
}

/// What gossip knows of the relays of the site.
#[derive(Debug, Clone)]
pub struct Status {
    /// The relays, by their place.
    pub relays: Vec<RelayStatus>,
    /// What was ignored, by its reason.
    pub refused: Vec<(Refusal, u64)>,
}

/// What gossip knows of one relay.
#[derive(Debug, Clone)]
pub struct RelayStatus {
    /// Its name.
    pub name: RelayName,
    /// Whether its agent is heard of, directly or through others; true of this one.
    pub alive: bool,
    /// Since when nothing came from it directly.
    pub age: Option<Duration>,
    /// Time from a question to the answer.
    pub delay: Option<Duration>,
    /// The hash of its policy.
    pub policy: Option<String>,
    /// Its public key towards peers, in base64.
    pub public_key: Option<String>,
    /// Peers that it claims.
    pub claims: usize,
    /// What came from it since this agent began.
    pub received: Traffic,
    /// What was sent to it.
    pub sent: Traffic,
    /// Bytes a second from it since the status was asked for last.
    pub receive_rate: f64,
    /// Bytes a second to it.
    pub send_rate: f64,
}

/// Claims that the others may not have yet.
#[derive(Default)]
struct News {
    claims: AtomicUsize,
    bell: Notify,
}

impl Gossip {
    /// Begins to gossip on this relay's address. Needs a runtime of tokio.
    ///
    /// # Errors
    /// No sockets.
    pub async fn start(site: Site, beginning: Beginning) -> Result<Self, GossipError> {
        let desk = Arc::new(Desk::new(site, beginning.peers));
        let gate = Gate::open(Arc::clone(&desk)).await?;
        Self::start_at(desk, beginning, &gate).await
    }

    /// Begins to gossip over another transport, without the checks and counts of the socket.
    ///
    /// # Errors
    /// The transport does not open.
    pub async fn start_over(
        site: Site,
        beginning: Beginning,
        transport: &dyn Transport,
    ) -> Result<Self, GossipError> {
        let desk = Arc::new(Desk::new(site, beginning.peers));
        Self::start_at(desk, beginning, transport).await
    }

    async fn start_at(
        desk: Arc<Desk>,
        beginning: Beginning,
        transport: &dyn Transport,
    ) -> Result<Self, GossipError> {
        let Beginning { generation, policy, claims, peers: _ } = beginning;
        let inbox = Arc::new(Inbox::new(desk.site.own, generation));
        let mut entries = vec![(POLICY.to_owned(), policy)];
        entries.extend(claims.iter().map(|(peer, it)| (claim::key_text(peer), it.to_string())));
        entries.push((TOLD.to_owned(), String::new()));
        let config = config(&desk.site, generation);
        let handle = spawn_chitchat(config, entries, transport).await;
        let handle = Arc::new(handle.map_err(|error| GossipError::Ended(format!("{error:#}")))?);
        let (put, site) = (Arc::clone(&inbox), desk.site.clone());
        handle
            .with_chitchat(|chitchat| {
                let (put, site) = (Arc::clone(&put), site.clone());
                let listener = chitchat.subscribe_event("", move |event| {
                    if let Some(place) = site.place(&event.node.node_id) {
                        put.put(place, event.node.generation_id, event.key, event.value);
                    }
                });
                listener.forever();
            })
            .await;
        // The only place where it is set.
        let _ = desk.known.set(handle.chitchat());
        let news = Arc::new(News::default());
        let pusher = tokio::spawn(push(Arc::clone(&handle), Arc::clone(&desk), Arc::clone(&news)));
        let nothing = vec![(0, 0); desk.site.relays.len()];
        let measured = Mutex::new((Instant::now(), nothing));
        Ok(Self { handle, desk, inbox, news, pusher, measured })
    }

    /// Waits for news of the other relays. Can be cancelled.
    pub async fn events(&self) -> Vec<Event> {
        self.inbox.take().await
    }

    /// Waits until gossip has ended by itself, which it should not. Can be cancelled.
    pub async fn ended(&self) -> GossipError {
        match self.handle.termination_watcher().await {
            Ok(()) => GossipError::Ended("it was told to".to_owned()),
            Err(error) => GossipError::Ended(format!("{error:#}")),
        }
    }

    /// Publishes claims, or withdraws those of peers without one, and tells the others at once.
    pub async fn publish(&self, claims: &[(PublicKey, Option<Claim>)]) {
        let changed = self
            .handle
            .with_chitchat(|chitchat| {
                let state = chitchat.self_node_state();
                let before = state.max_version();
                for (peer, claim) in claims {
                    let key = claim::key_text(peer);
                    match claim {
                        Some(claim) => state.set(key, claim),
                        None if state.contains_key(&key) => state.set_with_ttl(key, WITHDRAWN),
                        None => {}
                    }
                }
                state.max_version() - before
            })
            .await;
        self.news.tell(usize::try_from(changed).unwrap_or(usize::MAX));
    }

    /// Publishes the hash of the policy in force.
    pub async fn set_policy(&self, hash: &str) {
        self.set(POLICY, hash).await;
    }

    /// Publishes the relay's public key towards peers.
    pub async fn set_public_key(&self, key: &PublicKey) {
        self.set(PUBLIC_KEY, &key.to_string()).await;
    }

    async fn set(&self, key: &str, value: &str) {
        self.handle.with_chitchat(|chitchat| chitchat.self_node_state().set(key, value)).await;
        self.news.tell(1);
    }

    /// Sets how many peers are configured, which limits what is kept of the other relays.
    pub fn set_peers(&self, peers: usize) {
        self.desk.limits.set_peers(peers);
    }

    /// All claims that the other relays have published, for a ledger that has got new peers.
    pub async fn standing(&self) -> Vec<Event> {
        let chitchat = self.handle.chitchat();
        let chitchat = chitchat.lock().await;
        let mut events = Vec::new();
        for relay in 0..self.desk.site.relays.len() {
            let Some(state) = self.state(&chitchat, relay) else { continue };
            if relay == self.desk.site.own {
                continue;
            }
            let heard = |(peer, claim)| Event::Heard { relay, peer, claim };
            events.extend(
                claims(state)
                    .filter_map(|(key, text)| {
                        Some((claim::parse_key(key).ok()?, text.parse().ok()?))
                    })
                    .map(heard),
            );
        }
        events
    }

    /// What is known of the relays. Has to be asked for now and then: that an agent's clock was set back
    /// is noticed here, when its later life is not kept anymore.
    pub async fn status(&self) -> Status {
        let chitchat = self.handle.chitchat();
        let chitchat = chitchat.lock().await;
        let live: HashSet<&ChitchatId> = chitchat.live_nodes().collect();
        let meter = self.desk.meter();
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = measured.0.elapsed().as_secs_f64().max(f64::EPSILON);
        measured.0 = Instant::now();
        let relays = self.desk.site.relays.iter().zip(meter.links()).enumerate();
        let relays = relays.map(|(place, ((name, _), link))| {
            let state = self.state(&chitchat, place);
            if let Some(state) = state {
                let life = state.chitchat_id().generation_id;
                self.inbox.keep(place, life, state.key_values());
            }
            let (received, sent) = (link.received, link.sent);
            let before = std::mem::replace(&mut measured.1[place], (received.bytes, sent.bytes));
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
            RelayStatus {
                name: name.clone(),
                alive: state.is_some_and(|it| live.contains(it.chitchat_id())),
                age: link.last_heard.map(|heard| heard.elapsed()),
                delay: link.delay,
                policy: state.and_then(|it| it.get(POLICY)).map(str::to_owned),
                public_key: state.and_then(|it| it.get(PUBLIC_KEY)).map(str::to_owned),
                claims: state.map_or(0, |it| claims(it).count()),
                received,
                sent,
                receive_rate: rate(received.bytes, before.0),
                send_rate: rate(sent.bytes, before.1),
            }
        });
        let relays = relays.collect();
        let mut refused: Vec<(Refusal, u64)> = meter.refused().collect();
        for (refusal, count) in &mut refused {
            if *refusal == Refusal::Claim {
                *count += self.inbox.unreadable();
            }
        }
        Status { relays, refused }
    }

    /// Ends it, so that the address is free.
    pub async fn close(&self) {
        self.pusher.abort();
        if self.handle.initiate_shutdown().is_ok() {
            let _ended = self.handle.termination_watcher().await;
        }
    }

    /// The state of the latest life of a relay's agent.
    fn state<'a>(&self, chitchat: &'a Chitchat, place: usize) -> Option<&'a NodeState> {
        let name = self.desk.site.relays[place].0.as_str();
        let lives = chitchat.node_states().iter().filter(|(id, _)| *id.node_id == *name);
        lives.max_by_key(|(id, _)| id.generation_id).map(|(_, state)| state)
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.pusher.abort();
        self.handle.abort();
    }
}

impl News {
    fn tell(&self, claims: usize) {
        if claims == 0 {
            return;
        }
        self.claims.fetch_add(claims, Ordering::Relaxed);
        self.bell.notify_one();
    }
}

/// Begins exchanges with all others when there are news, as many as these take.
async fn push(handle: Arc<ChitchatHandle>, desk: Arc<Desk>, news: Arc<News>) {
    loop {
        news.bell.notified().await;
        let mut left = news.claims.swap(0, Ordering::Relaxed);
        while left > 0 {
            for address in desk.site.other_addresses() {
                // It fails when gossip has ended, of which `ended` tells.
                let _ = handle.gossip(address);
            }
            tokio::time::sleep(PUSH_INTERVAL).await;
            left = left.saturating_sub(CLAIMS_PER_PUSH) + news.claims.swap(0, Ordering::Relaxed);
        }
    }
}

/// The claims in a state, as they are written.
fn claims(state: &NodeState) -> impl Iterator<Item = (&str, &str)> {
    state.key_values().filter(|(key, value)| key.len() == claim::KEY_LEN && *value != WITHDRAWN)
}

fn config(site: &Site, generation: u64) -> ChitchatConfig {
    let (name, address) = &site.relays[site.own];
    ChitchatConfig {
        chitchat_id: ChitchatId::new(name.as_str(), generation, *address),
        cluster_id: site.cluster.clone(),
        gossip_interval: INTERVAL,
        listen_addr: *address,
        seed_nodes: site.other_addresses().map(|address| address.to_string()).collect(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: SILENCE,
            initial_interval: INTERVAL,
            dead_node_grace_period: DEAD_GRACE,
            ..FailureDetectorConfig::default()
        },
        marked_for_deletion_grace_period: WITHDRAWN_GRACE,
        catchup_callback: None,
        // Nobody is told of the set of live nodes, for which chitchat would copy all states.
        extra_liveness_predicate: Some(Box::new(|_| false)),
        protocol_version: ProtocolVersion::V0,
    }
}
