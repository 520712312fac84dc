//! Guest instructions of an echo and its reply, with each layer.

use anyhow::{Context as _, Result};
use relay::model::PrivateKey;

use super::{
    fleet::Fleet,
    layer::{ACTIVE, INTERFACE, Layer},
    trace::{Cost, Trace},
};
use relay_tests::{Family, Namespace, deadline, namespace};

/// Number of round trips; the relay forwards two packets in each.
pub const ROUND_TRIPS: usize = 100;

/// Lengths of the inner packets, bytes.
pub const LENGTHS: [usize; 2] = [84, 1400];

/// A peer's WireGuard interface, which the trace distinguishes from the relay's by name.
const TUNNEL: &str = "tunnel";

/// A relay and two peers on kernel WireGuard, without NATs, in namespaces of one machine.
pub struct Bed {
    relay: Namespace,
    peer: Namespace,
    other: Namespace,
}

impl Bed {
    /// Creates namespaces, links and WireGuard interfaces, without forwarding.
    pub fn make() -> Result<Self> {
        let relay = Namespace::create("relay")?;
        let relay_key = key()?;
        let [overlay_v4, overlay_v6] = Fleet::overlay();
        wireguard(
            &relay,
            INTERFACE,
            &relay_key,
            "listen-port 51820",
            &Fleet::relay_addresses().map(|net| net.to_string()),
        )?;
        let mut peers = Vec::new();
        for (number, name) in [(ACTIVE, "peer"), (Fleet::partner(ACTIVE), "other")] {
            let peer = Namespace::create(name)?;
            namespace::ip_batch(&format!(
                "link add {name} netns {} type veth peer name eth0 netns {}\n",
                relay.name(),
                peer.name()
            ))?;
            let subnet = format!("192.168.{number}");
            relay
                .ip_batch(&format!("address add {subnet}.1/24 dev {name}\nlink set {name} up\n"))?;
            peer.ip_batch(&format!("address add {subnet}.2/24 dev eth0\nlink set eth0 up\n"))?;
            let peer_key = key()?;
            let (v4, v6) = (Fleet::v4(number), Fleet::v6(number));
            let addresses = [format!("{v4}/12"), format!("{v6}/108")];
            let to_relay = format!(
                "listen-port 51820 peer {} endpoint {subnet}.1:51820 allowed-ips {overlay_v4},{overlay_v6}",
                relay_key.public_key()
            );
            wireguard(&peer, TUNNEL, &peer_key, &to_relay, &addresses)?;
            let to_peer = format!(
                "peer {} endpoint {subnet}.2:51820 allowed-ips {v4}/32,{v6}/128",
                peer_key.public_key()
            );
            set(&relay, INTERFACE, &to_peer)?;
            peers.push(peer);
        }
        for (switch, value) in [
            ("ipv4/ip_forward", 1),
            ("ipv6/conf/all/forwarding", 1),
            ("ipv4/conf/all/send_redirects", 0),
            ("ipv4/conf/default/send_redirects", 0),
        ] {
            relay.set_sysctl(switch, value)?;
        }
        relay.set_sysctl(&format!("ipv4/conf/{INTERFACE}/send_redirects"), 0)?;
        let [peer, other] = peers.try_into().ok().context("two peers")?;
        Ok(Self { relay, peer, other })
    }

    /// The relay's namespace.
    pub fn relay(&self) -> &Namespace {
        &self.relay
    }

    /// The namespaces of the measured pair, [`ACTIVE`] first.
    pub(super) fn pair(&self) -> [&Namespace; 2] {
        [&self.peer, &self.other]
    }

    /// Measures the layer installed on the relay.
    pub fn measure(&self, family: Family, len: usize) -> Result<Cost> {
        let to = Fleet::address(Fleet::partner(ACTIVE), family).to_string();
        // Warm-up: handshakes and route look-ups.
        deadline::until("an echo reply through the relay", || {
            Ok(self.peer.run("ping", &["-c", "3", "-i", "0.1", "-W", "1", &to]).ok())
        })?;
        let payload = (len - usize::try_from(family.header_len())? - 8).to_string();
        let count = ROUND_TRIPS.to_string();
        let trace = Trace::start()?;
        self.peer.run("ping", &["-q", "-f", "-c", &count, "-s", &payload, &to])?;
        trace.stop()?.cost(len, 2 * ROUND_TRIPS)
    }
}

/// Measures a layer with a number of peers, for each family and length.
pub fn measure(layer: Layer, peers: u32) -> Result<Vec<(Family, usize, Cost)>> {
    let bed = Bed::make()?;
    let _standing = layer.put_up(bed.relay(), peers)?;
    let mut costs = Vec::new();
    for family in Family::ALL {
        for len in LENGTHS {
            let cost = bed
                .measure(family, len)
                .with_context(|| format!("{} at {peers} peers, {}", layer.name(), family.name()))?;
            costs.push((family, len, cost));
        }
    }
    Ok(costs)
}

fn key() -> Result<PrivateKey> {
    PrivateKey::generate().map_err(|error| anyhow::anyhow!("random bytes: {error}"))
}

/// A WireGuard interface with addresses, up.
fn wireguard(
    namespace: &Namespace,
    interface: &str,
    key: &PrivateKey,
    settings: &str,
    addresses: &[String],
) -> Result<()> {
    let mut commands = format!("link add {interface} mtu 1420 type wireguard\n");
    for address in addresses {
        commands += &format!("address add {address} dev {interface} nodad\n");
    }
    commands += &format!("link set {interface} up\n");
    namespace.ip_batch(&commands)?;
    namespace.feed(
        "wg",
        &["set", interface, "private-key", "/proc/self/fd/0"],
        &key.to_base64(),
    )?;
    set(namespace, interface, settings)
}

fn set(namespace: &Namespace, interface: &str, settings: &str) -> Result<()> {
    let mut words = vec!["set", interface];
    words.extend(settings.split(' '));
    namespace.run("wg", &words).map(drop)
}
