//! Gossip of the relays of a site, all in this process.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use relay::{
    mesh::{Action, Beginning, Claim, Event, Gossip, Ledger, Site},
    model::PublicKey,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{
    channels::Channels,
    memory,
    site::{addresses, claim, mix, peer},
};

/// Of one way between two relays over channels.
pub const DELAY: Duration = Duration::from_millis(10);
/// Peers that move a minute, of all.
pub const MOVING_PERCENT: u32 = 1;

/// Memory of this process that ends a measurement.
const MOST_MEMORY: u64 = 4 << 30;
/// Processor time that ends one.
const MOST_PROCESSOR: Duration = Duration::from_secs(300);
/// Between two looks at whether all know.
const LOOK: Duration = Duration::from_millis(5);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Relays of the site.
    pub relays: usize,
    /// Peers of the site, of which as many are at home at each relay.
    pub peers: u32,
    /// Over what they gossip.
    pub way: Way,
}

/// Over what relays gossip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// UDP on loopback addresses, in real time, with the ledger of each relay.
    Udp,
    /// Channels with a [`DELAY`], of which each loses this many datagrams of a thousand. The clock stands
    /// while something is computed.
    Channels {
        /// Of a thousand.
        lost: u32,
    },
}

/// What gossip costs one relay, on average, and how fast it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Resident memory when all know all, bytes.
    pub memory_bytes: u64,
    /// From the beginning of all relays until all know all.
    pub start: Phase,
    /// Nothing happens, for a second.
    pub rest: Phase,
    /// Peers move, for a second.
    pub moving: Phase,
    /// Moves that were measured.
    pub moves: usize,
    /// Time until all relays know a move: median, 99th percentile, worst.
    pub known: [Duration; 3],
    /// A relay is gone, its peers come home at another, and all know.
    pub loss: Phase,
}

/// A time, and what one relay did in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Phase {
    /// How long it took.
    pub time: Duration,
    /// Payload that it sent, bytes.
    pub bytes: u64,
    /// Processor time.
    pub processor: Duration,
}

/// Measures a case. `Err` in the answer says why it was given up.
pub fn measure(case: Case) -> Result<Result<Cost, String>> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    if case.way != Way::Udp {
        builder.start_paused(true);
    }
    let runtime: Runtime = builder.build().context("start a runtime")?;
    runtime.block_on(async {
        let before = memory::rss_bytes()?;
        let mut bench = Bench::start(case).await?;
        bench.measure(before).await
    })
}

/// The relays.
struct Bench {
    case: Case,
    channels: Channels,
    agents: Vec<Agent>,
    watch: Arc<Mutex<Watch>>,
    /// Where each peer is at home, and the version of that.
    homes: Vec<(usize, u32)>,
    random: u64,
    began: Reading,
}

struct Agent {
    gossip: Arc<Gossip>,
    ledger: Option<Arc<Mutex<Ledger>>>,
    follower: JoinHandle<()>,
}

/// What has been heard of.
#[derive(Default)]
struct Watch {
    /// Claims that the relays knew first of.
    first: usize,
    /// Moves that not all relays know: when they began, and how many do not know.
    open: HashMap<(PublicKey, u32), (Instant, usize)>,
    /// How long the others took.
    took: Vec<Duration>,
    /// The version of each peer that moved.
    latest: HashMap<PublicKey, u32>,
}

/// Clock and counters.
#[derive(Debug, Clone, Copy)]
struct Reading {
    now: Instant,
    bytes: u64,
    processor: Duration,
}

impl Bench {
    async fn start(case: Case) -> Result<Self> {
        ensure!(case.relays >= 2, "a mesh has at least two relays");
        let channels =
            Channels::new(DELAY, if let Way::Channels { lost } = case.way { lost } else { 0 });
        let watch = Arc::new(Mutex::new(Watch::default()));
        let homes: Vec<(usize, u32)> =
            (0..case.peers).map(|peer| (peer as usize % case.relays, 1)).collect();
        let mut bench = Self {
            case,
            channels,
            agents: Vec::new(),
            watch,
            homes,
            random: 1,
            began: Reading { now: Instant::now(), bytes: 0, processor: processor() },
        };
        let relays = addresses(case.relays, case.way == Way::Udp)?;
        let configured: HashSet<PublicKey> = (0..case.peers).map(peer).collect();
        for own in 0..case.relays {
            let site = Site { cluster: "fd00::/64".to_owned(), relays: relays.clone(), own };
            let agent = bench.agent(site, &configured).await?;
            bench.agents.push(agent);
        }
        Ok(bench)
    }

    async fn agent(&self, site: Site, configured: &HashSet<PublicKey>) -> Result<Agent> {
        let own = site.own;
        let homes = self.homes.iter().zip(0..);
        let claims: Vec<(PublicKey, Claim)> = homes
            .filter(|((home, _), _)| *home == own)
            .map(|((_, version), number)| (peer(number), claim(number, *version)))
            .collect();
        let ledger = (self.case.way == Way::Udp).then(|| {
            let names = site.relays.iter().map(|(name, _)| name.clone()).collect();
            let mut ledger = Ledger::new(names, own);
            ledger.set_peers(configured);
            for (peer, claim) in &claims {
                ledger.begin(*peer, relay::mesh::Home::Here, Some(*claim));
            }
            Arc::new(Mutex::new(ledger))
        });
        let peers = configured.len();
        let beginning = Beginning { generation: 1, policy: "0".repeat(64), claims, peers };
        let gossip = match self.case.way {
            Way::Udp => Gossip::start(site, beginning).await?,
            Way::Channels { .. } => Gossip::start_over(site, beginning, &self.channels).await?,
        };
        let gossip = Arc::new(gossip);
        let follower = follow(own, Arc::clone(&gossip), ledger.clone(), Arc::clone(&self.watch));
        Ok(Agent { gossip, ledger, follower: tokio::spawn(follower) })
    }

    async fn measure(&mut self, before: u64) -> Result<Result<Cost, String>> {
        let mut cost = Cost::default();
        let relays = self.case.relays;
        let all = self.case.peers as usize * (relays - 1);
        if let Err(excuse) = self.until(|watch| watch.first == all).await? {
            return Ok(Err(format!("until all know all: {excuse}")));
        }
        cost.memory_bytes = memory::rss_bytes()?.saturating_sub(before) / relays as u64;
        cost.start = self.since(self.began, relays).await;
        let began = self.reading().await;
        let (rest, moving) = if self.case.way == Way::Udp { (20, 60) } else { (10, 30) };
        sleep(Duration::from_secs(rest)).await;
        cost.rest = self.since(began, relays).await.a_second();
        let began = self.reading().await;
        // Of one to the next.
        let pause = Duration::from_secs(60 * 100) / (self.case.peers * MOVING_PERCENT);
        let moves = (Duration::from_secs(moving).as_nanos()).div_ceil(pause.as_nanos());
        for number in 1..=u32::try_from(moves)? {
            sleep_until(began.now + pause * number).await;
            self.move_one().await;
            if let Some(excuse) = self.excuse()? {
                return Ok(Err(format!("while peers move: {excuse}")));
            }
        }
        cost.moving = self.since(began, relays).await.a_second();
        if let Err(excuse) = self.until(|watch| watch.open.is_empty()).await? {
            return Ok(Err(format!("until all know the moves: {excuse}")));
        }
        let mut took = std::mem::take(&mut self.watch().took);
        took.sort_unstable();
        cost.moves = took.len();
        let at =
            |percent: usize| took.get((took.len() * percent).div_ceil(100).max(1) - 1).copied();
        cost.known = [50, 99, 100].map(|percent| at(percent).unwrap_or_default());
        let lost = self.lose_one().await;
        // What the lost one sent is gone with it.
        let began = self.reading().await;
        self.take_over(lost).await;
        if let Err(excuse) = self.until(|watch| watch.open.is_empty()).await? {
            return Ok(Err(format!("after the loss of a relay: {excuse}")));
        }
        cost.loss = self.since(began, relays - 1).await;
        Ok(Ok(cost))
    }

    /// A peer comes home at another relay.
    async fn move_one(&mut self) {
        let peers = self.homes.len() as u64;
        let number = usize::try_from(self.random() % peers).unwrap_or(0);
        let to = usize::try_from(self.random()).unwrap_or(0) % self.case.relays;
        let (from, _) = self.homes[number];
        let to = if to == from { (to + 1) % self.case.relays } else { to };
        let claims = self.claim_at(to, &[number]);
        self.agents[to].gossip.publish(&claims).await;
    }

    /// The last relay is gone. Returns its place.
    async fn lose_one(&mut self) -> usize {
        if let Some(agent) = self.agents.pop() {
            agent.follower.abort();
            // It ends where it waits.
            let _aborted = agent.follower.await;
        }
        self.agents.len()
    }

    /// The first relay claims all peers of another.
    async fn take_over(&mut self, lost: usize) {
        let numbers: Vec<usize> =
            (0..self.homes.len()).filter(|number| self.homes[*number].0 == lost).collect();
        let claims = self.claim_at(0, &numbers);
        self.agents[0].gossip.publish(&claims).await;
    }

    /// What a relay publishes when these peers come home there.
    fn claim_at(&mut self, to: usize, numbers: &[usize]) -> Vec<(PublicKey, Option<Claim>)> {
        let mut claims = Vec::new();
        for number in numbers {
            let (home, version) = &mut self.homes[*number];
            (*home, *version) = (to, *version + 1);
            let (version, number) = (*version, u32::try_from(*number).unwrap_or(0));
            let claim = claim(number, version);
            let key = peer(number);
            let others = self.agents.len() - 1;
            let mut watch = self.watch();
            watch.open.insert((key, version), (Instant::now(), others));
            watch.latest.insert(key, version);
            drop(watch);
            if let Some(ledger) = &self.agents[to].ledger {
                ledger.lock().unwrap_or_else(PoisonError::into_inner).moved(key);
            }
            claims.push((key, Some(claim)));
        }
        claims
    }

    /// Waits until something holds; `Err` in the answer says why no longer.
    async fn until(&self, holds: impl Fn(&Watch) -> bool) -> Result<Result<(), String>> {
        loop {
            if holds(&self.watch()) {
                return Ok(Ok(()));
            }
            if let Some(excuse) = self.excuse()? {
                return Ok(Err(excuse));
            }
            sleep(LOOK).await;
        }
    }

    fn excuse(&self) -> Result<Option<String>> {
        let memory = memory::rss_bytes()?;
        Ok(if memory > MOST_MEMORY {
            Some(format!("all relays together take more than {} GiB", MOST_MEMORY >> 30))
        } else if processor() > MOST_PROCESSOR {
            Some(format!("all take more than {} s of processor time", MOST_PROCESSOR.as_secs()))
        } else {
            None
        })
    }

    async fn reading(&self) -> Reading {
        let bytes = match self.case.way {
            Way::Channels { .. } => self.channels.bytes(),
            Way::Udp => {
                let mut bytes = 0;
                for agent in &self.agents {
                    let status = agent.gossip.status().await;
                    bytes += status.relays.iter().map(|relay| relay.sent.bytes).sum::<u64>();
                }
                bytes
            }
        };
        Reading { now: Instant::now(), bytes, processor: processor() }
    }

    async fn since(&self, before: Reading, relays: usize) -> Phase {
        let now = self.reading().await;
        let relays = u32::try_from(relays).unwrap_or(u32::MAX);
        Phase {
            time: now.now - before.now,
            bytes: now.bytes.saturating_sub(before.bytes) / u64::from(relays),
            processor: (now.processor - before.processor) / relays,
        }
    }

    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SplitMix64, so that each run moves the same peers.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }
}

impl Phase {
    fn a_second(self) -> Self {
        let ms = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            time: Duration::from_secs(1),
            bytes: self.bytes.saturating_mul(1_000) / ms,
            processor: self.processor.div_f64(self.time.as_secs_f64()),
        }
    }
}

/// Does what an agent does with news.
async fn follow(
    own: usize,
    gossip: Arc<Gossip>,
    ledger: Option<Arc<Mutex<Ledger>>>,
    watch: Arc<Mutex<Watch>>,
) {
    let mut known: HashMap<PublicKey, u32> = HashMap::new();
    loop {
        let mut withdrawn = Vec::new();
        for event in gossip.events().await {
            let Event::Heard { relay, peer, claim } = event else { continue };
            if let Some(ledger) = &ledger {
                let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                for action in ledger.heard(relay, peer, claim) {
                    if let Action::Withdraw { peer } = action {
                        withdrawn.push((peer, None));
                    }
                }
            }
            if relay == own {
                continue;
            }
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            if claim.version == 1 {
                watch.first += 1;
                continue;
            }
            if known.insert(peer, claim.version) == Some(claim.version) {
                continue;
            }
            if ledger.is_none() && watch.latest.get(&peer) == Some(&claim.version) {
                // Does nothing where it is not published.
                withdrawn.push((peer, None));
            }
            if let Some((began, left)) = watch.open.get_mut(&(peer, claim.version)) {
                *left -= 1;
                if *left == 0 {
                    let took = began.elapsed();
                    watch.took.push(took);
                    watch.open.remove(&(peer, claim.version));
                }
            }
        }
        gossip.publish(&withdrawn).await;
    }
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
