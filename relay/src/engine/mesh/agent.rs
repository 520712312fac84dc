//! The agent: tells the other relays of the site who is at home here, and the programs of this one who
//! is at home elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, SystemTime},
};

use relay_common::mesh as kernel;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    super::{
        self as engine, Context, Error, ErrorContext as _, Lock, Result, instant::milliseconds,
        observe::hex,
    },
    homes::{record as as_recorded, recorded},
    session::forget,
    site::{Site, canonical_hash},
    state::{AgentRelay, AgentState},
    takeover::{Takeover, pace},
    view::{View, generation, in_force, ways},
    vrrp::Notices,
};
use crate::{
    config::MeshKey,
    datapath::Moves,
    mesh::{self, Action, Beginning, Event, Gossip, Ledger, Refusal},
    model::{InterfaceName, Mesh, PublicKey},
    wireguard,
};

/// How often homes that `relay takeover` has written are looked for.
const SCAN: Duration = Duration::from_millis(100);

/// How often is written what `relay mesh status` shows.
const WRITE: Duration = Duration::from_secs(1);

/// How often WireGuard is asked for handshakes and endpoints. If that takes long, less often, so that
/// it takes a twentieth of the time; on a host that is busy or has very many peers, more of it.
const LOOK: Duration = Duration::from_secs(1);
const PAUSE_FACTOR: u32 = 19;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Peers that WireGuard forgets at once: for each the kernel waits until no processor uses it any more.
const FORGOTTEN_AT_ONCE: usize = 16;

/// Peers that wait to be told of.
const MOVES_AT_ONCE: usize = 1024;

/// Tells the other relays of the site who is at home here, and hears of theirs, until it is dropped or
/// the configuration has other relays.
///
/// # Errors
/// The relay has no mesh or does not run with it, the address of gossip cannot be bound, or the kernel
/// does not answer.
pub async fn agent(site: engine::Site<'_>, say: impl Fn(&str)) -> Result<()> {
    let mut after = 0;
    while let End::Outlived { by } = Agent::start(site, after).await?.run(&say).await? {
        after = by;
    }
    Ok(())
}

/// Why an agent ended.
enum End {
    /// The configuration has other relays.
    Changed,
    /// The others go by a later life of this relay's agent.
    Outlived {
        /// That life.
        by: u64,
    },
}

/// The agent of a relay.
struct Agent<'a> {
    site: engine::Site<'a>,
    context: Context,
    interface: InterfaceName,
    mesh: Mesh,
    own: usize,
    ledger: Ledger,
    gossip: Gossip,
    moves: mpsc::Receiver<u32>,
    /// The relay's public key towards peers, as the others were told.
    public_key: Option<PublicKey>,
    view: View,
    /// Peers that WireGuard is yet to forget.
    released: BTreeSet<PublicKey>,
    notices: Notices,
    /// This host has got the address that peers dial, and no command may change the relay meanwhile.
    taking: Option<(Takeover, Lock)>,
    /// It has got it, and a command changes the relay.
    is_to_take: bool,
    next_look: Instant,
    latest_look: Instant,
    next_write: Instant,
}

impl<'a> Agent<'a> {
    /// Reads what the kernel has, and begins to gossip, in a life after the one given.
    ///
    /// # Errors
    /// The relay has no mesh or does not run with it, or the address of gossip cannot be bound.
    async fn start(site: engine::Site<'a>, after: u64) -> Result<Self> {
        let context = Context::look(site, None).await?;
        let (interface, mesh, MeshKey { place: own, .. }) = {
            let Site { interface, mesh, key } = Site::of(&context)?;
            (interface.clone(), mesh.clone(), key)
        };
        let names = mesh.relays.iter().map(|relay| relay.name.clone()).collect();
        let mut ledger = Ledger::new(names, own);
        // A command that changes the policy records last what is in force.
        let lock = Lock::relay(&interface, site.verb, site.notice)?;
        let relay = in_force(&context, &interface)?;
        let view = View::open(&context, &relay, &mesh, own).await?;
        drop(lock);
        let moves = context.datapath().moves()?;
        let moves = moves.ok_or_else(|| Site::not_applied(&interface))?;
        let moves = follow_moves(moves)?;
        let mut actions = ledger.set_peers(&view.peers());
        for (slot, peer) in view.roster.peers() {
            let home = view.roster.home(view.homes.home(slot));
            actions.extend(ledger.begin(peer, home, recorded(&view.homes, slot)));
        }
        let claims = actions.iter().filter_map(|action| match action {
            Action::Publish { peer, claim } => Some((*peer, *claim)),
            Action::Home { .. }
            | Action::Record { .. }
            | Action::Release { .. }
            | Action::Withdraw { .. } => None,
        });
        let beginning = Beginning {
            generation: milliseconds(SystemTime::now()).max(after.saturating_add(1)),
            policy: hex(&canonical_hash(&relay)?),
            claims: claims.collect(),
            peers: view.names.len(),
        };
        actions.retain(|action| !matches!(action, Action::Publish { .. }));
        let site_of_gossip = mesh::Site::new(&mesh, own, kernel::GOSSIP_PORT);
        let gossip = Gossip::start(site_of_gossip, beginning).await?;
        let now = Instant::now();
        let notices = Notices::of(&interface);
        let mut agent = Self {
            site,
            context,
            interface,
            mesh,
            own,
            ledger,
            gossip,
            moves,
            public_key: None,
            view,
            released: BTreeSet::new(),
            notices,
            taking: None,
            is_to_take: false,
            next_look: now,
            latest_look: now,
            next_write: now,
        };
        agent.carry_out(actions).await;
        Ok(agent)
    }

    /// Works until it is stopped, or until it has to be started again.
    ///
    /// # Errors
    /// The relay is down, or the kernel does not answer.
    async fn run(mut self, say: impl Fn(&str)) -> Result<End> {
        let others = self.mesh.relays.iter().enumerate().filter(|(place, _)| *place != self.own);
        let names: Vec<_> = others.map(|(_, relay)| relay.name.to_string()).collect();
        say(&format!("{}: gossips with {}", self.interface, names.join(", ")));
        let mut tick = interval(SCAN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pace = pace();
        loop {
            tokio::select! {
                events = self.gossip.events() => {
                    if let Some(by) = self.hear(events).await {
                        say(&format!("{}: begins again: the clock was set back", self.interface));
                        self.gossip.close().await;
                        return Ok(End::Outlived { by });
                    }
                }
                ended = self.gossip.ended() => return Err(ended.into()),
                slot = self.moves.recv() => {
                    let slot = slot.ok_or_else(|| Site::not_applied(&self.interface))?;
                    let mut came = vec![slot];
                    while let Ok(slot) = self.moves.try_recv() {
                        came.push(slot);
                    }
                    self.came(came).await;
                }
                () = self.notices.master() => {
                    self.is_to_take = true;
                    self.take();
                }
                _ = pace.tick(), if self.taking.is_some() => self.call().await,
                _ = tick.tick() => {
                    // Taken down: what this process holds keeps maps in memory.
                    if !self.context.datapath().exists() {
                        return Err(Site::not_applied(&self.interface));
                    }
                    self.scan().await;
                    self.take();
                    if Instant::now() >= self.next_look && !self.look().await? {
                        say("the relays of the site have changed; start the agent again");
                        return Ok(End::Changed);
                    }
                    self.release()?;
                    if Instant::now() >= self.next_write {
                        self.write().await?;
                        self.next_write = Instant::now() + WRITE;
                    }
                }
            }
        }
    }

    /// Packets of these peers made them at home here.
    async fn came(&mut self, slots: impl IntoIterator<Item = u32>) {
        let mut actions = Vec::new();
        for slot in slots {
            if let Some(peer) = self.view.roster.peer(slot) {
                actions.extend(self.ledger.moved(peer));
            }
        }
        if !actions.is_empty() {
            // Their endpoints are to be told soon.
            self.next_look = self.next_look.min(self.latest_look + SCAN);
        }
        self.carry_out(actions).await;
    }

    /// Takes all peers over if this host has got their address, unless a command changes the relay:
    /// `relay takeover`, which keepalived runs, does the same.
    fn take(&mut self) {
        if !self.is_to_take || self.taking.is_some() {
            return;
        }
        let begun = match Lock::try_relay(&self.interface, self.site.verb) {
            Ok(None) => return,
            Ok(Some(lock)) => Takeover::begin(&self.context, None).map(|takeover| (takeover, lock)),
            Err(error) => Err(error),
        };
        self.is_to_take = false;
        match begun {
            Ok(begun) => self.taking = Some(begun).filter(|(takeover, _)| !takeover.is_over()),
            Err(error) => self.warn_of_takeover(&error),
        }
    }

    /// Calls the next peers that are taken over.
    async fn call(&mut self) {
        let Some((takeover, _lock)) = &mut self.taking else { return };
        let called = takeover.step();
        if called.is_err() || takeover.is_over() {
            self.taking = None;
        }
        if let Err(error) = called {
            self.warn_of_takeover(&error);
        }
        self.scan().await;
    }

    fn warn_of_takeover(&self, error: &Error) {
        tracing::warn!("{}: cannot take peers over: {}", self.interface, error.chain());
    }

    /// Finds peers that were taken over.
    async fn scan(&mut self) {
        let Self { view: View { roster, homes, .. }, ledger, .. } = &*self;
        let is_new = |(slot, peer): &(u32, PublicKey)| {
            homes.home(*slot) == kernel::Home::HERE && ledger.home(peer) != mesh::Home::Here
        };
        let came: Vec<u32> = roster.peers().filter(is_new).map(|(slot, _)| slot).collect();
        self.came(came).await;
    }

    /// Carries out what others have said. The later life of this relay's agent that they go by, if there
    /// is one.
    async fn hear(&mut self, events: Vec<Event>) -> Option<u64> {
        let mut actions = Vec::new();
        let mut outlived = None;
        for event in events {
            match event {
                Event::Began { relay } => self.ledger.began(relay),
                Event::Heard { relay, peer, claim } => {
                    actions.extend(self.ledger.heard(relay, peer, claim));
                }
                Event::Withdrawn { relay, peer } => {
                    actions.extend(self.ledger.withdrawn(relay, peer));
                }
                Event::Told { relay } => actions.extend(self.ledger.told(relay)),
                Event::Outlived { by } => outlived = Some(by),
            }
        }
        self.carry_out(actions).await;
        outlived
    }

    /// Looks at WireGuard, at the policy in force and at the tunnels. Whether the site is the same.
    async fn look(&mut self) -> Result<bool> {
        let began = Instant::now();
        if let Err(error) = self.notices.follow() {
            tracing::debug!("{}: no notices of keepalived: {error}", self.interface);
        }
        if !self.follow().await? {
            return Ok(false);
        }
        let device = wireguard::read(&self.interface)?;
        let device = device.ok_or_else(|| Site::not_applied(&self.interface))?;
        if let Some(key) = device.public_key.filter(|key| self.public_key != Some(*key)) {
            self.gossip.set_public_key(&key).await;
            self.public_key = Some(key);
        }
        let actions = self.view.sights(&device, &mut self.ledger);
        self.carry_out(actions).await;
        self.latest_look = Instant::now();
        let took = self.latest_look - began;
        self.next_look = self.latest_look + (took * PAUSE_FACTOR).clamp(LOOK, LONGEST_PAUSE);
        Ok(true)
    }

    /// Takes up another policy in force, and tunnels that were made again. Whether the site is the same.
    async fn follow(&mut self) -> Result<bool> {
        let generation = generation(&self.context, &self.interface).await?;
        let ways = ways(&self.context, &self.interface, &self.mesh, self.own, None).await?;
        let is_same = self.view.generation == generation
            && self.view.homes.is_current(self.context.datapath())?;
        if is_same && self.view.roster.interfaces().eq(ways.iter().map(|way| way.interface)) {
            return Ok(true);
        }
        // A command that changes the policy records last what is in force.
        let Some(_lock) = Lock::try_relay(&self.interface, self.site.verb)? else {
            return Ok(true);
        };
        self.context = Context::look(self.site, None).await?;
        let relay = in_force(&self.context, &self.interface)?;
        if relay.mesh.as_ref().map(|mesh| &mesh.relays) != Some(&self.mesh.relays) {
            return Ok(false);
        }
        self.view = View::open(&self.context, &relay, &self.mesh, self.own).await?;
        self.gossip.set_peers(self.view.names.len());
        let actions = self.ledger.set_peers(&self.view.peers());
        self.carry_out(actions).await;
        // What is said of new peers was ignored.
        let standing = self.gossip.standing().await;
        // Nothing of this relay is among it.
        let _ = self.hear(standing).await;
        self.rewrite();
        self.gossip.set_policy(&hex(&canonical_hash(&relay)?)).await;
        Ok(true)
    }

    /// Leads what goes to other relays into the tunnels that there are now.
    fn rewrite(&self) {
        let View { roster, homes, .. } = &self.view;
        for (slot, peer) in roster.peers() {
            let way = roster.way(self.ledger.home(&peer));
            if way.is_elsewhere() {
                homes.set_home(slot, way);
            }
        }
    }

    async fn carry_out(&mut self, actions: Vec<Action>) {
        let mut news = BTreeMap::new();
        for action in actions {
            match action {
                Action::Home { peer, home } => {
                    if home == mesh::Home::Here {
                        self.released.remove(&peer);
                    }
                    let Some(slot) = self.view.roster.slot(&peer) else { continue };
                    self.view.homes.set_home(slot, self.view.roster.way(home));
                    if let Some(name) = self.view.names.get(&peer) {
                        tracing::debug!("{name} is at home {}", self.named(home));
                    }
                }
                Action::Record { peer, claim } => {
                    let Some(slot) = self.view.roster.slot(&peer) else { continue };
                    self.view.homes.set_claim(slot, as_recorded(&claim));
                }
                Action::Release { peer } => {
                    self.released.insert(peer);
                }
                Action::Publish { peer, claim } => {
                    news.insert(peer, Some(claim));
                }
                Action::Withdraw { peer } => {
                    news.insert(peer, None);
                }
            }
        }
        self.gossip.publish(&news.into_iter().collect::<Vec<_>>()).await;
    }

    fn named(&self, home: mesh::Home) -> String {
        match home {
            mesh::Home::Unknown => "nowhere".to_owned(),
            mesh::Home::Here => "here".to_owned(),
            mesh::Home::At(place) => format!("at {}", self.mesh.relays[place].name),
        }
    }

    /// Lets WireGuard forget peers that are at home elsewhere, once no command changes the relay.
    fn release(&mut self) -> Result<()> {
        if self.released.is_empty() {
            return Ok(());
        }
        let Some(_lock) = Lock::try_relay(&self.interface, self.site.verb)? else { return Ok(()) };
        // One that is gone must not come back.
        let Some(device) = wireguard::read(&self.interface)? else { return Ok(()) };
        let released = std::mem::take(&mut self.released);
        let there = device.peers.iter().filter(|peer| released.contains(&peer.public_key));
        let names = &self.view.names;
        let changes = there.filter_map(|peer| Some(forget(names.get(&peer.public_key)?, peer)));
        for some in changes.collect::<Vec<_>>().chunks(FORGOTTEN_AT_ONCE) {
            wireguard::apply(&self.interface, some.as_flattened())?;
        }
        Ok(())
    }

    /// Writes what it knows for `relay mesh status`.
    async fn write(&self) -> Result<()> {
        let status = self.gossip.status().await;
        let relays = status.relays.iter().enumerate().filter(|(place, _)| *place != self.own);
        let mut ignored: BTreeMap<Refusal, u64> = status.refused.iter().copied().collect();
        ignored.retain(|_, count| *count > 0);
        let mut state = AgentState {
            written_ms: 0,
            public_key: self.public_key.map(|key| key.to_string()),
            relays: relays
                .map(|(place, relay)| AgentRelay {
                    name: self.mesh.relays[place].name.to_string(),
                    alive: relay.alive,
                    heard_age_ms: relay.age.map(whole(Duration::as_millis)),
                    delay_us: relay.delay.map(whole(Duration::as_micros)),
                    policy_hash: relay.policy.clone(),
                    public_key: relay.public_key.clone(),
                })
                .collect(),
            ignored: ignored
                .into_iter()
                .map(|(why, count)| (why.label().to_owned(), count))
                .collect(),
        };
        let strangers = self.ledger.strangers();
        if strangers > 0 {
            state.ignored.push(("unknown_peer".to_owned(), strangers));
        }
        state.write(&self.interface)
    }
}

/// The slots of the peers that come, by a thread that waits for them. It ends with the receiver, and the
/// receiver with it.
fn follow_moves(mut moves: Moves) -> Result<mpsc::Receiver<u32>> {
    let (sender, receiver) = mpsc::channel(MOVES_AT_ONCE);
    let follow = move || {
        while moves.wait().is_ok() && !sender.is_closed() {
            while let Some(slot) = moves.take() {
                if sender.blocking_send(slot).is_err() {
                    return;
                }
            }
        }
    };
    let thread = thread::Builder::new().name("moves".to_owned()).spawn(follow);
    thread.map(|_| receiver).context("follow the peers that come")
}

/// A time in whole units.
fn whole(unit: fn(&Duration) -> u128) -> impl Fn(Duration) -> u64 {
    move |time| u64::try_from(unit(&time)).unwrap_or(u64::MAX)
}
