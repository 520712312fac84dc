//! What the guard costs: runs of its program on single frames, and what the machine spends on a
//! forged initiation without it and with it.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::programs::TcAttachType;
use boringtun::{
    noise::{Tunn, TunnResult},
    x25519,
};
use relay::{
    datapath::{GuardSettings, XdpMode},
    model::PrivateKey,
};
use relay_common::guard::Outcome;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{
    layer,
    program::{self, Nothing, Program},
};
use crate::guard::{
    GuardRun, Outer, PORT,
    bed::{Bed, UNDERLAY},
    frame::TAG,
    key, message, settings, to_relay,
    tunnel::Tunnel,
};

/// What a run of the program takes on a kind of frame.
#[derive(Debug, Clone)]
pub struct Alone {
    /// What the frame is.
    pub frame: &'static str,
    /// Average of a run.
    pub ns: u64,
    /// Average of a run of a program that lets everything pass.
    pub nothing_ns: u64,
}

/// What the machine spends on a forged initiation that comes in by an underlay interface.
#[derive(Debug, Clone)]
pub struct Flood {
    /// Where they come from: `ever new sources` or `one source`.
    pub sources: &'static str,
    /// How the guard was attached; none was there.
    pub mode: Option<XdpMode>,
    /// For each of them, from the other end of the wire until it is dropped.
    pub ns: u64,
}

/// Runs of one frame that are averaged.
const REPEAT: u32 = 10_000;

/// Frames of a flood: fewer than the 4 096 initiations that the kernel queues, of which it drops
/// the rest.
const FLOOD: u32 = 2_000;

/// `IPPROTO_RAW` (include/uapi/linux/in.h): the sender makes the header.
const IPPROTO_RAW: i32 = 255;

/// Measures the program alone.
///
/// # Errors
/// The kernel refuses something, or counts a frame as another.
pub fn alone() -> Result<Vec<Alone>> {
    let source = |text: &str| text.parse::<SocketAddr>().context("a source");
    let (v4, v6) = (source("198.51.100.2:4500")?, source("[2001:db8:1::2]:4500")?);
    let data = message::data(1436, 1);
    let initiation = message::initiation(&key(), 1);
    let forged = forged();
    let with_mac2 = message::with_mac2(initiation.clone());
    let frame = |outer: Outer| outer.frame();
    let mut nothing = Nothing::new()?;
    let mut rows = Vec::new();
    for (name, frame, outcome) in [
        ("other traffic, IPv4", frame(to_relay(v4, &data).with_protocol(6)), None),
        ("other traffic, IPv6", frame(to_relay(v6, &data).with_protocol(6)), None),
        ("data, IPv4", frame(to_relay(v4, &data)), Some(Outcome::Data)),
        ("data, IPv6", frame(to_relay(v6, &data)), Some(Outcome::Data)),
        ("data, IPv4, tagged", frame(to_relay(v4, &data).tagged(&[TAG])), Some(Outcome::Data)),
        (
            "data that tells of its flow, IPv4",
            frame(to_relay(v4, &message::data(1436, 64))),
            Some(Outcome::Data),
        ),
        ("malformed, IPv4", frame(to_relay(v4, &[0; 148])), Some(Outcome::Malformed)),
        ("initiation, MAC1 right", frame(to_relay(v4, &initiation)), Some(Outcome::Initiation)),
        (
            "initiation, MAC1 right, with MAC2",
            frame(to_relay(v4, &with_mac2)),
            Some(Outcome::InitiationWithMac2),
        ),
        ("initiation, MAC1 wrong", frame(to_relay(v4, &forged)), Some(Outcome::BadMac1)),
        (
            "response, MAC1 right",
            frame(to_relay(v4, &message::response(&key(), 1))),
            Some(Outcome::Response),
        ),
    ] {
        let mut guard = GuardRun::new(&settings(u32::MAX));
        rows.push(repeated(&mut guard, &mut nothing, name, &frame, outcome)?);
    }
    let limited = to_relay(v4, &forged).frame();
    let mut guard = GuardRun::new(&settings(1));
    guard.run_often(&limited, 10);
    let name = "initiation, its source over the limit";
    rows.push(repeated(&mut guard, &mut nothing, name, &limited, Some(Outcome::Limited))?);
    rows.push(from_new_sources(&mut nothing)?);
    Ok(rows)
}

/// Many runs of one frame.
fn repeated(
    guard: &mut GuardRun,
    nothing: &mut Nothing,
    name: &'static str,
    frame: &[u8],
    expected: Option<Outcome>,
) -> Result<Alone> {
    let (_, counted) = guard.run(frame);
    ensure!(counted == expected, "{name}: counted as {counted:?}, expected {expected:?}");
    let (_, each) = guard.loaded().run(frame, REPEAT)?;
    let empty = nothing.run(frame, REPEAT)?;
    Ok(Alone { frame: name, ns: nanoseconds(each)?, nothing_ns: nanoseconds(empty)? })
}

/// One run each of frames whose sources the guard has not seen; the median.
fn from_new_sources(nothing: &mut Nothing) -> Result<Alone> {
    let mut guard = GuardRun::new(&settings(200));
    let mut runs = [Vec::new(), Vec::new()];
    for frame in spoofed(false).take(FLOOD as usize).map(|outer| outer.frame()) {
        runs[0].push(guard.loaded().run(&frame, 1)?.1);
        runs[1].push(nothing.run(&frame, 1)?);
    }
    let counts = guard.loaded().counts()?;
    ensure!(counts[Outcome::BadMac1.index() as usize] == u64::from(FLOOD), "counted as {counts:?}");
    let [ns, nothing_ns] = runs.map(|mut runs| {
        runs.sort_unstable();
        nanoseconds(runs[runs.len() / 2])
    });
    let frame = "initiation, MAC1 wrong, from a new source";
    Ok(Alone { frame, ns: ns?, nothing_ns: nothing_ns? })
}

/// Measures floods of forged initiations, on a machine with one processor: without the guard, and
/// with it in the driver and in the stack.
///
/// # Errors
/// A tool or the kernel refuses something, the relay does not answer, or `tell` fails.
pub fn floods(tell: impl Fn(&Flood) -> Result<()>) -> Result<()> {
    for (sources, from_one) in [("ever new sources", false), ("one source", true)] {
        for mode in [None, Some(XdpMode::Driver), Some(XdpMode::Generic)] {
            let ns = Attack::make()?.measure(from_one, mode)?;
            tell(&Flood { sources, mode, ns })?;
        }
    }
    Ok(())
}

/// A relay on kernel WireGuard, and somebody on the wire with a peer's keys.
struct Attack {
    bed: Bed,
    key: PrivateKey,
    peer: PrivateKey,
}

impl Attack {
    fn make() -> Result<Self> {
        let bed = Bed::make("guard-flood")?;
        let (key, peer) = (PrivateKey::generate()?, PrivateKey::generate()?);
        // What a spoofed address meets where filters of the host's are off, as they mostly are.
        for switch in ["ipv4/conf/all/rp_filter", "ipv4/conf/eth0.7/rp_filter"] {
            bed.relay.set_sysctl(&switch.replace("eth0.7", UNDERLAY), 0)?;
        }
        bed.relay.run("ip", &["route", "add", "default", "via", "192.0.2.2"])?;
        let relay = Tunnel::kernel(&bed.relay, "relay0")?;
        relay.set_up(&key, "10.9.0.1/24")?;
        bed.relay.run(
            "wg",
            &["set", "relay0", "peer", &peer.public_key().to_string(), "allowed-ips", "10.9.0.2"],
        )?;
        // The neighbour's address is asked for once.
        bed.other.run("ping", &["-c", "1", "192.0.2.1"])?;
        drop(relay);
        Ok(Self { bed, key, peer })
    }

    /// Sends a flood and a genuine initiation behind it, until that is answered: then all of the
    /// flood is done with, for the kernel goes through its queue in order. What the sender and
    /// the genuine one take is taken off.
    fn measure(&self, from_one: bool, mode: Option<XdpMode>) -> Result<u64> {
        if let Some(mode) = mode {
            let settings = GuardSettings { public_key: self.key.public_key(), ..settings(20) };
            self.bed.put(UNDERLAY, Some(mode), &settings)??;
        }
        let packets: Vec<Vec<u8>> =
            spoofed(from_one).take(FLOOD as usize).map(|outer| outer.packet()).collect();
        // Once for what is done for the first time, at the source's limit too.
        self.run(&packets)?;
        let with = self.run(&packets)?;
        let without = self.run(&[])?;
        let sending = self.send_into_a_sink(&packets)?;
        let taken = with.saturating_sub(without).saturating_sub(sending);
        Ok(nanoseconds(taken)? / u64::from(FLOOD))
    }

    fn run(&self, packets: &[Vec<u8>]) -> Result<Duration> {
        let genuine = initiation(&self.key, &self.peer)?;
        self.bed.other.enter(|| {
            let relay = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), PORT);
            let socket = UdpSocket::bind("192.0.2.2:0")?;
            socket.set_read_timeout(Some(Duration::from_secs(30)))?;
            let began = Instant::now();
            send(packets)?;
            socket.send_to(&genuine, relay)?;
            let mut answer = [0; 2048];
            let len = socket.recv(&mut answer).context("no answer to a genuine initiation")?;
            let took = began.elapsed();
            // A cookie, where the relay thinks itself under load, is as good.
            ensure!([(92, 2), (64, 3)].contains(&(len, answer[0])), "an answer of {len} bytes");
            Ok(took)
        })?
    }

    /// What it takes to send them, to where they are dropped before they cross the wire.
    fn send_into_a_sink(&self, packets: &[Vec<u8>]) -> Result<Duration> {
        let mut sink = Program::sink().classifier()?;
        let program = program::only(&mut sink)?;
        layer::attach(&self.bed.other, "eth0", program, TcAttachType::Egress)?;
        let took = self.bed.other.enter(|| -> Result<_> {
            let began = Instant::now();
            send(packets)?;
            Ok(began.elapsed())
        })??;
        let dropped = program::count(&sink)?;
        ensure!(dropped >= packets.len() as u64, "{dropped} of {} were dropped", packets.len());
        Ok(took)
    }
}

/// Sends packets as they are, whatever their sources.
fn send(packets: &[Vec<u8>]) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))?;
    let to = SockAddr::from(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 0));
    for packet in packets {
        socket.send_to(packet, &to)?;
    }
    Ok(())
}

/// Forged initiations to the relay from addresses of 10.0.0.0/8, or from one of them.
fn spoofed(from_one: bool) -> impl Iterator<Item = Outer> {
    let forged = forged();
    (1u32..).map(move |number| {
        let [_, b, c, d] = if from_one { [0, 0, 0, 1] } else { number.to_be_bytes() };
        to_relay(SocketAddr::from(([10, b, c, d], 4500)), &forged)
    })
}

fn forged() -> Vec<u8> {
    let mut message = message::initiation(&key(), 1);
    message[20] ^= 1;
    message
}

/// A genuine one, of a peer that the relay knows.
fn initiation(relay: &PrivateKey, peer: &PrivateKey) -> Result<Vec<u8>> {
    let secret = x25519::StaticSecret::from(*peer.as_bytes());
    let public = x25519::PublicKey::from(*relay.public_key().as_bytes());
    let mut tunnel = Tunn::new(secret, public, None, None, 1, None);
    let mut room = [0; 2048];
    match tunnel.format_handshake_initiation(&mut room, true) {
        TunnResult::WriteToNetwork(message) => Ok(message.to_vec()),
        other => bail!("found {other:?}, expected an initiation"),
    }
}

fn nanoseconds(duration: Duration) -> Result<u64> {
    Ok(u64::try_from(duration.as_nanos())?)
}
