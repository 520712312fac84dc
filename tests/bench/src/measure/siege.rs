//! A flood of forged initiations, with and without the guard: its cost per initiation, and its effect
//! on genuine peers.
//!
//! For a machine with one processor whose clock counts instructions. `BPF_PROG_TEST_RUN` sends the
//! flood as frames without socket buffers, which the relay's driver receives as from a network card.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use relay::model::PublicKey;
use relay_common::guard::WRONG;

use super::{
    caller::Caller,
    guard::ENOUGH_WRONG,
    spoofer::{FIRST_PEERS_PORT, Names, Nothing, PEERS_PORTS, Spoofer},
};
use relay_tests::{
    Lab, Namespace, Site,
    guard::{key, message, to_relay},
    inner::Inner,
    relay_host::UNDERLAY,
};

/// The XDP program in front of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// A program that passes every frame.
    None,
    /// The guard, in driver mode.
    Guard,
    /// A program that drops spoofed frames by their source, to measure the cost of the flood itself.
    Oracle,
}

/// The cost of a forged initiation.
#[derive(Debug, Clone)]
pub struct Cost {
    /// `ever new sources` or `one source`.
    pub sources: &'static str,
    pub is_guarded: bool,
    /// Per initiation, from the driver's hook to the drop.
    pub ns: u64,
}

/// Genuine peers during a flood.
#[derive(Debug, Clone)]
pub struct Siege {
    /// Sources of the flood: `ever new sources` or `the peers`.
    pub names: &'static str,
    pub is_guarded: bool,
    /// Number of forged initiations.
    pub forged: u64,
    /// Peers that connect, one after the other.
    pub peers: usize,
    /// Initiations that they sent.
    pub calls: u64,
    /// Times from a peer's first initiation to its session, ascending.
    pub waited: Vec<Duration>,
    /// Packets between two connected peers: sent and received.
    pub relayed: [u64; 2],
}

/// Frames to average over; fewer than the 4096 initiations that the kernel queues.
const FLOOD: u32 = 2_000;

/// Forged initiations per salvo, and salvoes per second.
const SALVO: u32 = 7_000;
const SALVOES: u32 = 5;

/// Duration of a siege.
const LENGTH: Duration = Duration::from_secs(25);

/// Number of peers that connect in a siege, and the time between two of them.
const CALLERS: usize = 20;
const INTERVAL: Duration = Duration::from_millis(500);

/// Address of the genuine peers.
const INTERNET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const _: () = assert!(CALLERS + 2 <= PEERS_PORTS as usize);

/// Polling interval.
const TICK: Duration = Duration::from_millis(20);

/// Time between two relayed packets.
const PACE: Duration = Duration::from_millis(50);

/// Time limit for a session before the siege.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures the cost of a forged initiation.
pub fn costs(tell: impl Fn(&Cost) -> Result<()>) -> Result<()> {
    // What one takes whose MAC1 is computed.
    let mut verified_ns = 0;
    for (sources, names) in [("ever new sources", Names::EverNew), ("one source", Names::One)] {
        let alone = Stage::new(Watch::Oracle, true)?.flood(names)?;
        for (watch, is_guarded) in [(Watch::None, false), (Watch::Guard, true)] {
            let Flood { sent_in, taken } = Stage::new(watch, true)?.flood(names)?;
            let mut ns = u64::try_from(taken.saturating_sub(alone.taken).as_nanos())?;
            let mut forged = u64::from(FLOOD);
            if is_guarded && names == Names::One {
                // The bucket was empty before: these got a token that came back meanwhile.
                let within = u64::try_from(sent_in.as_nanos())? / WRONG.interval_ns;
                ns = ns.saturating_sub(within * verified_ns);
                forged = forged.saturating_sub(within);
            }
            let ns = ns / forged.max(1);
            if is_guarded && names == Names::EverNew {
                verified_ns = ns;
            }
            tell(&Cost { sources, is_guarded, ns })?;
        }
    }
    Ok(())
}

/// Floods a relay, with and without the guard.
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

/// What a flood took.
struct Flood {
    /// From the first frame to the last.
    sent_in: Duration,
    /// Processor time of the sender, direct processing included, and of kernel threads afterwards.
    taken: Duration,
}

/// A relay, and the internet.
struct Stage {
    lab: Lab,
    watch: Watch,
    key: PublicKey,
    /// Detached on drop.
    _program: Option<Nothing>,
}

impl Stage {
    /// A running relay; `is_strict` sets a low limit per source.
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
        // Reverse path filters would drop spoofed sources.
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
        // Resolve the neighbour.
        lab.internet().run("ping", &["-c", "1", UNDERLAY])?;
        let key = lab.relay().stats()?.public_key.parse()?;
        Ok(Self { lab, watch, key, _program: program })
    }

    /// Sends a flood. The guard has seen so many of a single source before that it samples them.
    fn flood(&self, names: Names) -> Result<Flood> {
        let mut spoofer = self.spoofer(names)?;
        let arrived = || Ok::<_, anyhow::Error>(self.lab.relay().underlay()?.0.packets);
        let is_limited = names == Names::One && self.watch == Watch::Guard;
        let sent = if is_limited { ENOUGH_WRONG + FLOOD } else { FLOOD };
        let mut run = || -> Result<Flood> {
            let already = arrived()?;
            self.lab.internet().enter(|| {
                if is_limited {
                    // The kernel's threads get none of these.
                    spoofer.send(ENOUGH_WRONG)?;
                }
                let (began, before) = (Instant::now(), threads_of_the_kernel()?);
                let each = spoofer.send(FLOOD)?;
                let sent_in = began.elapsed();
                let received = arrived()? - already;
                ensure!(received >= sent.into(), "{received} of {sent} frames were received");
                let later = settled()?.saturating_sub(before);
                Ok::<_, anyhow::Error>(Flood { sent_in, taken: each * FLOOD + later })
            })?
        };
        // Warm-up.
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
            // Threads inherit the namespace.
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

    /// Connects genuine peers one after the other, and sends packets through the relay.
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

    /// An IPv4 packet from one node to the other, without an answer.
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

/// Sends salvoes of forged initiations for the duration of a siege.
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

/// Run time of kworkers and ksoftirqds (Documentation/scheduler/sched-stats.rst, 6.12).
fn threads_of_the_kernel() -> Result<Duration> {
    let mut all = 0;
    for process in fs::read_dir("/proc")? {
        let process = process?.path();
        // A process may have ended.
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        if name.starts_with("kworker/") || name.starts_with("ksoftirqd/") {
            let times = fs::read_to_string(process.join("schedstat")).unwrap_or_default();
            all += times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(all))
}

/// The same, after they have become idle.
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
    bail!("kernel threads did not become idle after a flood")
}

/// Gives this thread priority over kernel threads (SCHED_FIFO). The flood has it as interrupts of a
/// network card have; the peers have it over the flood as they run on other machines.
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
