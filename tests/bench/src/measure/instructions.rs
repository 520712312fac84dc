//! Guest instructions from `netif_receive_skb` of a decrypted packet on the relay's WireGuard
//! interface to its `wg_xmit`.
//!
//! Under QEMU's `-icount shift=5` the clock counts instructions, 32 ns each, so the time stamps of
//! trace events are exact to the instruction.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use relay::model::PrivateKey;

use super::{
    fleet::Fleet,
    layer::{ACTIVE, INTERFACE, Layer},
};
use relay_tests::{Family, Namespace, deadline, namespace};

/// Nanoseconds of guest time per instruction: 1 << shift.
const NS_PER_INSTRUCTION: u64 = 32;

/// Number of round trips; the relay forwards two packets in each.
pub const ROUND_TRIPS: usize = 100;

/// Lengths of the inner packets, bytes.
pub const LENGTHS: [usize; 2] = [84, 1400];

/// A peer's WireGuard interface, which the trace distinguishes from the relay's by name.
const TUNNEL: &str = "tunnel";

const TRACING: &str = "/sys/kernel/tracing";

/// A relay and two peers on kernel WireGuard, without NATs, in namespaces of one machine.
pub struct Bed {
    relay: Namespace,
    peer: Namespace,
    _other: Namespace,
}

/// The cost of one kind of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The fewest instructions.
    pub least: u64,
    /// The median.
    pub median: u64,
    /// How many packets were seen.
    pub packets: usize,
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
        Ok(Self { relay, peer, _other: other })
    }

    /// The relay's namespace.
    pub fn relay(&self) -> &Namespace {
        &self.relay
    }

    /// Measures the layer installed on the relay.
    pub fn measure(&self, family: Family, len: usize) -> Result<Cost> {
        let to = Fleet::partner(ACTIVE);
        let to = match family {
            Family::V4 => IpAddr::V4(Fleet::v4(to)),
            Family::V6 => IpAddr::V6(Fleet::v6(to)),
        };
        let to = to.to_string();
        // Warm-up: handshakes and route look-ups.
        deadline::until("an echo reply through the relay", || {
            Ok(self.peer.run("ping", &["-c", "3", "-i", "0.1", "-W", "1", &to]).ok())
        })?;
        let payload = (len - usize::try_from(family.header_len())? - 8).to_string();
        let count = ROUND_TRIPS.to_string();
        let trace = Trace::start()?;
        self.peer.run("ping", &["-q", "-f", "-c", &count, "-s", &payload, &to])?;
        let text = trace.stop()?;
        let mut costs = costs(&text, len);
        costs.sort_unstable();
        ensure!(
            costs.len() == 2 * ROUND_TRIPS,
            "found {} packets of {len} bytes in the trace, expected {}",
            costs.len(),
            2 * ROUND_TRIPS
        );
        Ok(Cost { least: costs[0], median: costs[costs.len() / 2], packets: costs.len() })
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

/// The two trace events, enabled until drop.
struct Trace;

impl Trace {
    fn start() -> Result<Self> {
        let probes = "p:relay_xmit wireguard:wg_xmit skb=%di\n";
        for (file, text) in [
            ("tracing_on", "0"),
            ("trace_clock", "x86-tsc"),
            // The address of the socket buffer identifies a packet.
            ("options/hash-ptr", "0"),
            ("kprobe_events", probes),
            ("events/net/netif_receive_skb/filter", &format!("name == \"{INTERFACE}\"")),
            ("events/net/netif_receive_skb/enable", "1"),
            ("events/kprobes/relay_xmit/enable", "1"),
            ("trace", ""),
            ("tracing_on", "1"),
        ] {
            write(file, text)?;
        }
        Ok(Self)
    }

    fn stop(self) -> Result<String> {
        write("tracing_on", "0")?;
        let path = Path::new(TRACING).join("trace");
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // An event that stays enabled does no harm.
        for file in ["events/net/netif_receive_skb/enable", "events/kprobes/relay_xmit/enable"] {
            drop(write(file, "0"));
        }
        drop(write("kprobe_events", ""));
    }
}

fn write(file: &str, text: &str) -> Result<()> {
    let path: PathBuf = Path::new(TRACING).join(file);
    fs::write(&path, text).with_context(|| format!("write {text:?} to {}", path.display()))
}

/// Instructions between the two events, for each packet of this length.
fn costs(trace: &str, len: usize) -> Vec<u64> {
    let mut entered = HashMap::new();
    let mut costs = Vec::new();
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        // `task-pid [cpu] flags time: event: fields`
        let mut parts = line.splitn(3, ": ");
        let (Some(head), Some(event), Some(fields)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Some(time) = head.rsplit(' ').next().and_then(|time| time.parse::<u64>().ok()) else {
            continue;
        };
        let field = |name: &str| {
            fields.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        match event.trim() {
            "netif_receive_skb" => {
                if let (Some(skb), Some(length)) = (field("skbaddr"), field("len")) {
                    entered.insert(skb.trim_start_matches("0x"), (time, length.parse().ok()));
                }
            }
            "relay_xmit" => {
                let skb = field("skb").map(|skb| skb.trim_start_matches("0x"));
                if let Some((since, length)) = skb.and_then(|skb| entered.remove(skb))
                    && length == Some(len)
                {
                    costs.push((time - since) / NS_PER_INSTRUCTION);
                }
            }
            _ => {}
        }
    }
    costs
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_followed_by_its_buffer() {
        let trace = "# tracer: nop\n\
            kworker/0:1-20 [000] ..s.. 3200: netif_receive_skb: dev=relay0 skbaddr=00000000ab len=84\n\
            kworker/0:1-20 [000] ..s.. 3300: relay_xmit: (wg_xmit+0x0/0x5a0 [wireguard]) skb=0xcd\n\
            kworker/0:1-20 [000] ..s.. 6400: relay_xmit: (wg_xmit+0x0/0x5a0 [wireguard]) skb=0x00000000ab\n";
        assert_eq!(costs(trace, 84), [100]);
        assert!(costs(trace, 1400).is_empty());
    }
}
