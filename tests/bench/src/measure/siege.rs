//! A relay under a flood of forged initiations, without the guard and with it: what the machine
//! spends on each of them, and how genuine peers fare meanwhile.
//!
//! Meant for a machine with one processor whose clock counts instructions. The flood is sent by
//! `BPF_PROG_TEST_RUN` as frames that no socket buffer is made for: the relay's driver receives
//! them as from a network card.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use relay::model::PublicKey;

use super::{
    caller::Caller,
    guard::ENOUGH_WRONG,
    program::{FIRST_PEERS_PORT, Names, Nothing, PEERS_PORTS, Spoofer},
};
use relay_tests::{
    Lab, Namespace, Site,
    guard::{key, message, to_relay},
    inner::Inner,
    relay_host::UNDERLAY,
};

/// What stands before the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// Nothing: every frame is let in by a program that does nothing else.
    None,
    /// The guard, in the driver.
    Guard,
    /// A program that drops what is spoofed for its source alone: what the flood and the wire
    /// take by themselves.
    Oracle,
}

/// What the machine spends on a forged initiation.
#[derive(Debug, Clone)]
pub struct Cost {
    /// Where they come from: `ever new sources` or `one source`.
    pub sources: &'static str,
    /// Whether the guard was there.
    pub is_guarded: bool,
    /// For each, from the driver's hook to where it is dropped.
    pub ns: u64,
}

/// How genuine peers fare.
#[derive(Debug, Clone)]
pub struct Siege {
    /// In whose names it is: `ever new sources`, or `the peers`.
    pub names: &'static str,
    /// Whether the guard was there.
    pub is_guarded: bool,
    /// Forged initiations that were sent.
    pub forged: u64,
    /// Peers that called, one after the other.
    pub peers: usize,
    /// Initiations that it took them.
    pub calls: u64,
    /// Time from a peer's first initiation to the response, of those that got one; ascending.
    pub waited: Vec<Duration>,
    /// Packets from one connected peer to another that were sent, and that arrived.
    pub relayed: [u64; 2],
}

/// Frames of which the cost is an average: fewer than the 4 096 initiations that the kernel
/// queues, of which it drops the rest.
const FLOOD: u32 = 2_000;

/// Forged initiations in a salvo of a siege, and salvoes a second.
const SALVO: u32 = 7_000;
const SALVOES: u32 = 5;

/// How long a siege lasts.
const LENGTH: Duration = Duration::from_secs(25);

/// Peers that call in a siege, and how long after the one before.
const CALLERS: usize = 20;
const INTERVAL: Duration = Duration::from_millis(500);

/// Where the callers and the two that talk are.
const INTERNET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const _: () = assert!(CALLERS + 2 <= PEERS_PORTS as usize);

/// How often everybody looks after what is due.
const TICK: Duration = Duration::from_millis(20);

/// Time between two packets to be relayed.
const PACE: Duration = Duration::from_millis(50);

/// How long an answer may take that does come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures what a forged initiation takes.
///
/// # Errors
/// A tool or the kernel refuses something, or the relay does not answer.
pub fn costs(tell: impl Fn(&Cost) -> Result<()>) -> Result<()> {
    for (sources, names) in [("ever new sources", Names::EverNew), ("one source", Names::One)] {
        let alone = Stage::new(Watch::Oracle, true)?.flood(names)?;
        for (watch, is_guarded) in [(Watch::None, false), (Watch::Guard, true)] {
            let taken = Stage::new(watch, true)?.flood(names)?.saturating_sub(alone);
            let ns = u64::try_from(taken.as_nanos())? / u64::from(FLOOD);
            tell(&Cost { sources, is_guarded, ns })?;
        }
    }
    Ok(())
}

/// Lays siege to a relay, without the guard and with it.
///
/// # Errors
/// A tool or the kernel refuses something, or peers do not connect before it begins.
pub fn sieges(tell: impl Fn(&Siege) -> Result<()>) -> Result<()> {
    let peers = Names::Peers { address: INTERNET };
    for (title, names) in [("ever new sources", Names::EverNew), ("the peers", peers)] {
        for watch in [Watch::None, Watch::Guard] {
            let siege = Stage::new(watch, false)?.besiege(names)?;
            tell(&Siege { names: title, is_guarded: watch == Watch::Guard, ..siege })?;
        }
    }
    Ok(())
}

/// A relay, and the internet.
struct Stage {
    lab: Lab,
    key: PublicKey,
    /// Detached with it.
    _program: Option<Nothing>,
}

impl Stage {
    /// A relay that is up, with its guard as it comes, or with a low limit for each source.
    fn new(watch: Watch, is_strict: bool) -> Result<Self> {
        let mut site = Site::node_to_node()?;
        for number in 0..CALLERS {
            let host = u8::try_from(100 + number)?;
            site.add_peer(&caller(number), &[IpAddr::from([10, 3, 2, host])])?;
        }
        if watch == Watch::Guard {
            let guard = site.guard_mut()?;
            guard.insert("mode".to_owned(), "driver".into());
            if is_strict {
                guard.insert("initiations_per_second".to_owned(), 1.into());
                guard.insert("burst".to_owned(), 20.into());
            }
        }
        let lab = Lab::relay_alone(site)?;
        lab.relay().up()?;
        let host = lab.relay().namespace();
        // What a spoofed address meets where filters of the host's are off, as they mostly are.
        for switch in ["ipv4/conf/all/rp_filter", "ipv4/conf/eth0/rp_filter"] {
            host.set_sysctl(switch, 0)?;
        }
        let program = match watch {
            Watch::None => Some(Nothing::new()?),
            Watch::Oracle => Some(Nothing::from_the_spoofed()?),
            Watch::Guard => None,
        };
        let program = program
            .map(|mut program| host.enter(|| program.attach("eth0").map(|()| program)))
            .transpose()?
            .transpose()?;
        // The neighbour's address is asked for once.
        lab.internet().run("ping", &["-c", "1", UNDERLAY])?;
        let key = lab.relay().stats()?.public_key.parse()?;
        Ok(Self { lab, key, _program: program })
    }

    /// What a flood takes: the sender with what comes of each frame at once, and threads of the
    /// kernel later.
    fn flood(&self, names: Names) -> Result<Duration> {
        let mut spoofer = self.spoofer(names)?;
        if names == Names::One {
            // Until not every one of a single source is looked at.
            self.lab.internet().enter(|| spoofer.send(ENOUGH_WRONG))??;
            settled()?;
        }
        let arrived = || Ok::<_, anyhow::Error>(self.lab.relay().underlay()?.0.packets);
        let mut run = || -> Result<Duration> {
            let (already, before) = (arrived()?, threads_of_the_kernel()?);
            let each = self.lab.internet().enter(|| spoofer.send(FLOOD))??;
            let received = arrived()? - already;
            ensure!(received >= FLOOD.into(), "{received} of {FLOOD} frames were received");
            let later = settled()?.saturating_sub(before);
            Ok(each * FLOOD + later)
        };
        // Once for what is done for the first time.
        run()?;
        run()
    }

    fn besiege(&self, names: Names) -> Result<Siege> {
        self.lab.internet().enter(|| {
            let mut talkers = Vec::new();
            for (number, name) in self.talkers()?.iter().enumerate() {
                talkers.push(self.caller(name, CALLERS + number)?);
            }
            let [from, to] = talkers.as_mut_slice() else { bail!("two nodes") };
            for talker in [&mut *from, &mut *to] {
                let began = Instant::now();
                talker.call()?;
                while !talker.look()? {
                    ensure!(began.elapsed() < PATIENCE, "no session before the siege");
                    thread::sleep(TICK);
                }
            }
            let mut spoofer = self.spoofer(names)?;
            let began = Instant::now();
            // Of the namespace that its parent is in.
            let flood = thread::scope(|scope| {
                let flood = scope.spawn(|| assail(&mut spoofer, began));
                let siege = self.withstand(from, to, began);
                let forged = flood.join().map_err(|_panic| anyhow::anyhow!("the flood"))?;
                Ok::<_, anyhow::Error>((siege?, forged?))
            });
            let (siege, forged) = flood?;
            Ok(Siege { forged, ..siege })
        })?
    }

    /// What genuine peers do in a siege: call one after the other, and talk through the relay.
    fn withstand(&self, from: &mut Caller, to: &mut Caller, began: Instant) -> Result<Siege> {
        outrank(2)?;
        let packet = self.packet()?;
        let mut callers = Vec::new();
        let mut relayed = [0; 2];
        while began.elapsed() < LENGTH {
            let (elapsed, number) = (began.elapsed(), callers.len());
            if number < CALLERS && elapsed >= INTERVAL * u32::try_from(number)? {
                let mut caller = self.caller(&caller(number), number)?;
                caller.call()?;
                callers.push(caller);
            }
            for caller in callers.iter_mut().filter(|caller| caller.waited().is_none()) {
                caller.look()?;
            }
            if elapsed >= PACE * u32::try_from(relayed[0])? {
                from.send(&packet)?;
                relayed[0] += 1;
            }
            from.look()?;
            to.look()?;
            thread::sleep(TICK);
        }
        relayed[1] = to.received();
        let mut waited: Vec<Duration> = callers.iter().filter_map(Caller::waited).collect();
        waited.sort_unstable();
        let calls = callers.iter().map(Caller::calls).sum();
        Ok(Siege {
            names: "",
            is_guarded: false,
            forged: 0,
            peers: CALLERS,
            calls,
            waited,
            relayed,
        })
    }

    /// An IPv4 packet from one node to the other, of nothing that anybody answers.
    fn packet(&self) -> Result<Vec<u8>> {
        let [from, to] = self.talkers()?;
        let [from, _] = self.lab.site().addresses(&from)?;
        let [to, _] = self.lab.site().addresses(&to)?;
        Ok(Inner::udp(from, to, 32).bytes().to_vec())
    }

    fn talkers(&self) -> Result<[String; 2]> {
        let names = self.lab.site().names()?;
        names.first_chunk().cloned().context("two nodes")
    }

    fn caller(&self, name: &str, number: usize) -> Result<Caller> {
        let port = FIRST_PEERS_PORT + u16::try_from(number)?;
        Caller::new(self.lab.site().private_key(name)?, &self.key, port)
    }

    fn spoofer(&self, names: Names) -> Result<Spoofer> {
        let relay = Link::of(self.lab.relay().namespace(), "eth0")?;
        let outside = Link::of(self.lab.internet(), "relay")?;
        let mut frame =
            to_relay((Ipv4Addr::UNSPECIFIED, 4500).into(), &message::forged(&key())).frame();
        frame.splice(..6, relay.address);
        self.lab.internet().enter(|| Spoofer::new(frame, outside.index, names))?
    }
}

/// An interface.
struct Link {
    index: u32,
    /// Its Ethernet address.
    address: Vec<u8>,
}

impl Link {
    fn of(namespace: &Namespace, interface: &str) -> Result<Self> {
        let text = namespace.run("ip", &["-json", "link", "show", "dev", interface])?;
        let links: serde_json::Value = serde_json::from_str(&text)?;
        let link = &links[0];
        let index = link["ifindex"].as_u64().context("an index")?;
        let address = link["address"].as_str().context("an address")?;
        let address = address.split(':').map(|byte| u8::from_str_radix(byte, 16));
        Ok(Self { index: index.try_into()?, address: address.collect::<Result<_, _>>()? })
    }
}

/// Fires salvoes of forged initiations for the length of a siege.
fn assail(spoofer: &mut Spoofer, began: Instant) -> Result<u64> {
    outrank(1)?;
    let mut salvoes = 0;
    while began.elapsed() < LENGTH {
        if began.elapsed() * SALVOES < Duration::from_secs(salvoes) {
            thread::sleep(TICK);
        } else {
            spoofer.send(SALVO)?;
            salvoes += 1;
        }
    }
    Ok(salvoes * u64::from(SALVO))
}

/// Time that kworkers and ksoftirqds have run (Documentation/scheduler/sched-stats.rst, 6.12).
fn threads_of_the_kernel() -> Result<Duration> {
    let mut all = 0;
    for process in fs::read_dir("/proc")? {
        let process = process?.path();
        // One that has ended meanwhile has none.
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        if name.starts_with("kworker/") || name.starts_with("ksoftirqd/") {
            let times = fs::read_to_string(process.join("schedstat")).unwrap_or_default();
            all += times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(all))
}

/// The same once they have nothing to do but what they always have.
fn settled() -> Result<Duration> {
    const LITTLE: Duration = Duration::from_micros(200);
    let mut last = threads_of_the_kernel()?;
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(100));
        let now = threads_of_the_kernel()?;
        if now.saturating_sub(last) < LITTLE {
            return Ok(now);
        }
        last = now;
    }
    bail!("threads of the kernel go on working after a flood")
}

/// Puts this thread before those of the kernel (SCHED_FIFO): the flood, as the interrupts of a
/// network card are; and before the flood the peers, who have processors of their own.
fn outrank(priority: u8) -> Result<()> {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut command = Command::new("chrt");
    let status = command.args(["--fifo", "--pid", &priority.to_string(), &thread]).status();
    let status = status.context("run chrt")?;
    ensure!(status.success(), "chrt: {status}");
    Ok(())
}

fn caller(number: usize) -> String {
    format!("caller-{number}")
}
