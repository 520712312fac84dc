//! Nanoseconds of a layer on this machine's processor and kernel, without WireGuard.
//!
//! ```text
//!   live frames ─► lo ingress ─ bpf_redirect(BPF_F_INGRESS) ─► relay0 ingress ─► layer ─► relay0 egress
//!   (Ethernet)     the link-layer header goes                  IP at offset 0              counted, dropped
//! ```
//!
//! `relay0` is a TUN device. Like a WireGuard interface it has no link-layer header: the kernel
//! removes the frames' headers, and the relay's programs run unchanged. The sink precedes a layer's
//! own egress program, which therefore does not run.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf,
    programs::{LinkOrder, TcAttachType, tc::TcAttachOptions},
};
use relay::datapath::{Direction, Loaded, Packet};

use super::{
    fleet::{Fleet, Shape},
    generator::Generator,
    layer::{self, ACTIVE, INTERFACE, Layer, Standing},
    program::{self, Program},
};
use relay_tests::{Family, Namespace, inner::Inner, processor::stay_on};

/// Target time of a run. The minimum of all runs counts, so runs are short: on a busy machine, some
/// are not disturbed.
const RUN: Duration = Duration::from_millis(30);

/// Fewest and most packets of a run.
const PACKETS: [u32; 2] = [1_000, 300_000];

/// Generator, layer and sink.
struct Track {
    layer: Option<Layer>,
    namespace: Namespace,
    generator: Generator,
    sink: Ebpf,
    packets: u32,
    least: Option<Duration>,
    _redirect: Ebpf,
    _standing: Standing,
}

/// The cost of a packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The layer; none is the base, which drops packets on ingress.
    pub layer: Option<Layer>,
    /// Minimum nanoseconds per packet, from generator to sink.
    pub total_ns: f64,
}

impl Track {
    fn make(layer: Option<Layer>, peers: u32) -> Result<Self> {
        let namespace = Namespace::create(layer.map_or("base", Layer::name))?;
        for (switch, value) in [
            ("ipv4/conf/all/rp_filter", 0),
            ("ipv4/conf/default/rp_filter", 0),
            ("ipv4/conf/all/send_redirects", 0),
            ("ipv4/conf/default/send_redirects", 0),
        ] {
            namespace.set_sysctl(switch, value)?;
        }
        let [v4, v6] = Fleet::relay_addresses();
        namespace.ip_batch(&format!(
            "tuntap add {INTERFACE} mode tun\n\
                 address add {v4} dev {INTERFACE}\n\
                 address add {v6} dev {INTERFACE} nodad\n\
                 link set {INTERFACE} up\n"
        ))?;
        namespace.set_sysctl("ipv4/ip_forward", 1)?;
        let (standing, sink_at) = match layer {
            Some(layer) => (layer.put_up(&namespace, peers)?, TcAttachType::Egress),
            None => (Standing::Tables, TcAttachType::Ingress),
        };
        // Before the layer's own program, as programs after one that passes packets do not run.
        let mut sink = Program::sink().classifier()?;
        let program = program::only(&mut sink)?;
        let first = TcAttachOptions::TcxOrder(LinkOrder::first());
        namespace
            .enter(|| program.attach_with_options(INTERFACE, sink_at, first))?
            .context("attach the sink, by TCX (kernel 6.6)")?;
        let index = interface_index(&namespace)?;
        let mut redirect = Program::hand_to(index).classifier()?;
        layer::attach(&namespace, "lo", program::only(&mut redirect)?, TcAttachType::Ingress)?;
        Ok(Self {
            layer,
            namespace,
            generator: Generator::new(peers)?,
            sink,
            packets: PACKETS[0],
            least: None,
            _redirect: redirect,
            _standing: standing,
        })
    }

    /// Sends packets, checks that all arrived, and keeps the minimum time per packet.
    fn run(&mut self) -> Result<()> {
        let before = program::count(&self.sink)?;
        let (generator, packets) = (&mut self.generator, self.packets);
        let each = self.namespace.enter(|| generator.send(packets))??;
        let delivered = program::count(&self.sink)? - before;
        ensure!(
            delivered == u64::from(packets),
            "{}: {delivered} of {packets} packets were delivered",
            self.layer.map_or("base", Layer::name)
        );
        self.least = Some(self.least.map_or(each, |least| least.min(each)));
        Ok(())
    }

    /// Finds the number of packets that takes the target time.
    fn warm_up(&mut self) -> Result<()> {
        self.run()?;
        let each = self.least.take().unwrap_or_default().max(Duration::from_nanos(1));
        let packets = u32::try_from(RUN.as_nanos() / each.as_nanos())?;
        self.packets = packets.clamp(PACKETS[0], PACKETS[1]);
        // The second time, caches and tables are warm.
        self.run()?;
        self.least = None;
        Ok(())
    }
}

/// Measures base and layers with a number of peers, in `rounds` rounds of `runs` runs each, so that
/// other load on the machine affects all of them.
pub fn measure(layers: &[Layer], peers: u32, rounds: u32, runs: u32) -> Result<Vec<Cost>> {
    stay_on_one_processor()?;
    let mut tracks = Vec::new();
    for layer in [None].into_iter().chain(layers.iter().copied().map(Some)) {
        let mut track = Track::make(layer, peers)
            .with_context(|| format!("{} at {peers} peers", layer.map_or("base", Layer::name)))?;
        track.warm_up()?;
        tracks.push(track);
    }
    for _round in 0..rounds {
        for track in &mut tracks {
            for _run in 0..runs {
                track.run()?;
            }
        }
    }
    Ok(tracks
        .iter()
        .map(|track| Cost {
            layer: track.layer,
            total_ns: track.least.unwrap_or_default().as_secs_f64() * 1e9,
        })
        .collect())
}

/// Nanoseconds of a run of the relay's ingress program on a relayed packet of 84 bytes, and of an
/// empty program.
pub fn program_alone(peers: u32, family: Family) -> Result<(u64, u64)> {
    /// Every repeat decrements the TTL, which starts at 255.
    const REPEAT: u32 = 250;
    const RUNS: u32 = 4_000;
    stay_on_one_processor()?;
    let (compiled, slots) = Fleet { peers, shape: Shape::Pairs }.compile(true)?;
    let loaded = Loaded::load(&compiled, 1, None, slots)?;
    let to = Fleet::partner(ACTIVE);
    let inner = match family {
        Family::V4 => Inner::udp(Fleet::v4(ACTIVE).into(), Fleet::v4(to).into(), 56),
        Family::V6 => Inner::udp(Fleet::v6(ACTIVE).into(), Fleet::v6(to).into(), 36),
    }
    .with_ttl(255);
    let packet = Packet { bytes: inner.bytes(), ingress_interface: 1, ..Packet::default() };
    let mut pass = Program::pass().classifier()?;
    let mut least = [u64::MAX; 2];
    for _run in 0..RUNS {
        let (verdict, each) = loaded.time(Direction::Ingress, &packet, REPEAT)?;
        ensure!(
            verdict == relay_tests::program_run::REDIRECT,
            "the packet is not relayed: {verdict}"
        );
        least[0] = least[0].min(u64::try_from(each.as_nanos())?);
        let each = program::time(program::only(&mut pass)?, inner.bytes(), REPEAT)?;
        least[1] = least[1].min(u64::try_from(each.as_nanos())?);
    }
    Ok((least[0], least[1]))
}

fn interface_index(namespace: &Namespace) -> Result<u32> {
    let text = namespace.run("ip", &["-j", "link", "show", "dev", INTERFACE])?;
    let links: serde_json::Value = serde_json::from_str(&text).context("ip -j link")?;
    let index = links[0]["ifindex"].as_u64().context("an interface without an index")?;
    Ok(u32::try_from(index)?)
}

/// Pins this thread, and threads that it starts, to the last processor: the first one handles most
/// interrupts.
fn stay_on_one_processor() -> Result<()> {
    stay_on(std::thread::available_parallelism()?.get() - 1)
}
