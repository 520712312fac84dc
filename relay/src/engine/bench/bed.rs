use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use ipnet::{IpNet, Ipv4Net};
use rustix::mount::{MountFlags, mount};

use super::{
    super::{ErrorContext as _, Result, Site, UpOptions, block_on, up::Up},
    error::BenchError,
    namespace::Namespace,
};
use crate::{
    bench::Way,
    model::{InterfaceName, PrivateKey, PublicKey},
    net::{self, Handle, address, forwarding, link, veth},
    wireguard::{self, Desired, DesiredPeer},
};

/// Mounted over in the mount namespace of a relay: a directory that every host has, and in which
/// relay's locks are.
const RUN: &str = "/run";
const CONFIG: &str = "/run/bench/relay.toml";
const BPFFS: &str = "/run/bench/bpf";
const STATE: &str = "/run/bench/state";
const KEY: &str = "/run/bench/private.key";

const RELAY: &str = "relay0";
const PEER: &str = "wg0";
const UNDERLAY: &str = "eth0";
const PORT: u16 = 51820;
/// relay's own default.
const MTU: u16 = 1420;

/// The networks of RFC 2544, which are for measurements: point-to-point links of the underlay, and the
/// overlay.
const LINKS: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const OVERLAY: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 19, 0, 0), 16);
const LINK_LEN: u8 = 30;

/// Once a peer comes up it begins its session, so that the relay knows its endpoint.
const KEEPALIVE_S: u16 = 25;

/// A relay and its peers, in namespaces.
pub(super) struct Bed {
    way: Way,
    relay: Namespace,
    peers: Vec<Peer>,
}

/// One peer.
pub(super) struct Peer {
    /// Its namespace.
    pub(super) namespace: Namespace,
    seat: Seat,
}

/// What a peer has.
struct Seat {
    number: u32,
    /// In the overlay.
    address: Ipv4Addr,
    key: PrivateKey,
}

impl Bed {
    /// Makes a relay and twice as many peers as `pairs`, which reach each other two by two.
    ///
    /// # Errors
    /// The host lacks something, or the first packets do not arrive.
    pub(super) fn make(way: Way, pairs: u16) -> Result<Self> {
        let relay = Namespace::with_mounts(mount_room)?;
        let peers = (0..u32::from(pairs) * 2).map(Peer::new).collect::<Result<Vec<_>>>()?;
        let bed = Self { way, relay, peers };
        let key = PrivateKey::generate()?;
        bed.relay.enter(|| block_on(bed.connect()))?;
        match way {
            Way::FastPath | Way::Stack => bed.relay.enter(|| bed.bring_up(&key))?,
            Way::Nftables => bed.relay.enter(|| block_on(bed.forward(&key)))?,
        }
        for peer in &bed.peers {
            peer.namespace.enter(|| block_on(peer.bring_up(key.public_key())))?;
        }
        Ok(bed)
    }

    /// How it relays.
    pub(super) const fn way(&self) -> Way {
        self.way
    }

    /// The first pairs: who sends, and who receives.
    pub(super) fn pairs(&self, count: u16) -> impl Iterator<Item = [&Peer; 2]> {
        let pairs = self.peers.chunks_exact(2).take(usize::from(count));
        pairs.filter_map(|pair| Some([pair.first()?, pair.last()?]))
    }

    /// Packets that have entered the relay by its WireGuard interface.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(super) fn relayed(&self) -> Result<u64> {
        const COUNTS: &str = "/proc/thread-self/net/dev";
        self.relay.enter(|| {
            let text = fs::read_to_string(COUNTS).with_context(|| format!("read {COUNTS}"))?;
            Ok(received(&text, RELAY).ok_or(BenchError::NoStatistics { path: COUNTS })?)
        })
    }

    /// Connects all peers with the relay's namespace, in which this runs.
    async fn connect(&self) -> Result<()> {
        // `fast_path = true` needs no forwarding.
        let forwards = self.way != Way::FastPath;
        sysctl("ipv4/ip_forward", if forwards { "1" } else { "0" })?;
        for which in ["all", "default"] {
            // What an operator of such a host sets, too: all peers are behind one interface.
            sysctl(&format!("ipv4/conf/{which}/send_redirects"), "0")?;
        }
        let handle = net::connect()?;
        for peer in &self.peers {
            let here = interface(&format!("u{}", peer.seat.number))?;
            let there = interface(UNDERLAY)?;
            veth::create(&handle, &here, &there, peer.namespace.descriptor()).await?;
            address::apply(&handle, &here, &[on_link(peer.gateway())]).await?;
            link::set_up(&handle, &here, 0).await?;
        }
        Ok(())
    }

    /// What `relay up` does, in the relay's namespace, in which this runs.
    fn bring_up(&self, key: &PrivateKey) -> Result<()> {
        let mut file = OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(KEY).context(KEY)?;
        file.write_all(key.to_base64().as_bytes()).context(KEY)?;
        let seats: Vec<_> = self.peers.iter().map(|peer| &peer.seat).collect();
        fs::write(CONFIG, config(self.way, &seats)?).context(CONFIG)?;
        let site = Site {
            config: Path::new(CONFIG),
            bpffs: Path::new(BPFFS),
            state: Path::new(STATE),
            verb: "bench",
            notice: |_line| {},
        };
        let options =
            UpOptions { dry_run: false, allow_empty: false, adopt: false, must_run: false };
        block_on(async {
            let up = Up::prepare(site, options).await?;
            let shortfalls = up.apply().await?;
            match shortfalls.first() {
                None => Ok(()),
                Some(first) => Err(BenchError::NotWhole { what: first.why.clone() }.into()),
            }
        })
    }

    /// Forwarding without relay, in the relay's namespace, in which this runs.
    async fn forward(&self, key: &PrivateKey) -> Result<()> {
        let handle = net::connect()?;
        let peer = |peer: &Peer| {
            Ok(DesiredPeer {
                name: format!("p{}", peer.seat.number).parse()?,
                public_key: peer.seat.key.public_key(),
                preshared_key: None,
                allowed_ips: vec![IpNet::from(IpAddr::V4(peer.seat.address))],
                keepalive: None,
            })
        };
        let peers = self.peers.iter().map(peer).collect::<Result<Vec<_>>>()?;
        let desired = Desired::new(key, PORT, peers)?;
        tunnel(&handle, &interface(RELAY)?, overlay(0), &desired).await?;
        let pairs = self.peers.chunks_exact(2);
        let pairs: Vec<_> = pairs
            .filter_map(|pair| Some([pair.first()?.address(), pair.last()?.address()]))
            .collect();
        Ok(forwarding::put_up("bench", &pairs)?)
    }
}

impl Peer {
    fn new(number: u32) -> Result<Self> {
        let (namespace, seat) = (Namespace::create()?, Seat::new(number)?);
        Ok(Self { namespace, seat })
    }

    /// Its overlay address.
    pub(super) const fn address(&self) -> Ipv4Addr {
        self.seat.address
    }

    /// The relay's underlay address, as this peer sees it.
    fn gateway(&self) -> Ipv4Addr {
        (LINKS + self.seat.number * 4 + 1).into()
    }

    /// Underlay and tunnel, in the peer's namespace, in which this runs.
    async fn bring_up(&self, relay: PublicKey) -> Result<()> {
        let handle = net::connect()?;
        let underlay = interface(UNDERLAY)?;
        let own = (u32::from(self.gateway()) + 1).into();
        address::apply(&handle, &underlay, &[on_link(own)]).await?;
        link::set_up(&handle, &underlay, 0).await?;
        let peer = DesiredPeer {
            name: "relay".parse()?,
            public_key: relay,
            preshared_key: None,
            allowed_ips: vec![IpNet::V4(OVERLAY)],
            keepalive: Some(KEEPALIVE_S),
        };
        let endpoint = SocketAddr::from((self.gateway(), PORT));
        let desired = Desired::new(&self.seat.key, PORT, vec![peer])?;
        let desired = desired.with_endpoints([(relay, endpoint)].into());
        tunnel(&handle, &interface(PEER)?, self.address(), &desired).await
    }
}

impl Seat {
    fn new(number: u32) -> Result<Self> {
        Ok(Self { number, address: overlay(number + 1), key: PrivateKey::generate()? })
    }
}

/// The configuration of a relay on which these reach each other two by two.
fn config(way: Way, seats: &[&Seat]) -> Result<String> {
    let fast_path = way == Way::FastPath;
    let own = in_overlay(overlay(0));
    let mut text = format!(
        "[relay]\naddress = [\"{own}\"]\ninterface = \"{RELAY}\"\nlisten_port = {PORT}\n\
         private_key_file = \"{KEY}\"\nmtu = {MTU}\nfast_path = {fast_path}\n"
    );
    for pair in seats.chunks_exact(2) {
        for (own, other) in pair.iter().zip(pair.iter().rev()) {
            let Seat { number, address, key } = own;
            write!(
                text,
                "[[peer]]\nname = \"p{number}\"\npublic_key = \"{}\"\n\
                 address = [\"{address}\"]\nallowed_ips = [\"{}/32\"]\n",
                key.public_key(),
                other.address
            )?;
        }
    }
    Ok(text)
}

/// Creates a WireGuard interface with an address of the overlay.
async fn tunnel(
    handle: &Handle,
    interface: &InterfaceName,
    address: Ipv4Addr,
    desired: &Desired<'_>,
) -> Result<()> {
    link::create(handle, interface, MTU).await?;
    let plan = wireguard::plan(desired, None);
    wireguard::apply(interface, &plan.narrow)?;
    wireguard::apply(interface, &plan.widen)?;
    address::apply(handle, interface, &[in_overlay(address)]).await?;
    Ok(link::set_up(handle, interface, PORT).await?)
}

/// The directories of a relay, in memory, in this thread's mount namespace.
fn mount_room() -> Result<()> {
    mount("bench", RUN, "tmpfs", MountFlags::empty(), c"mode=0755,size=64m")
        .map_err(io::Error::from)
        .with_context(|| format!("mount a tmpfs on {RUN}"))?;
    fs::create_dir_all(BPFFS).context(BPFFS)?;
    mount("bench", BPFFS, "bpf", MountFlags::empty(), c"mode=0700")
        .map_err(io::Error::from)
        .with_context(|| format!("mount a bpffs on {BPFFS}"))
}

/// Sets a switch of /proc/sys/net in this thread's network namespace.
fn sysctl(key: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys/net").join(key);
    fs::write(&path, value).with_context(|| format!("write {}", path.display()))
}

fn interface(name: &str) -> Result<InterfaceName> {
    Ok(name.parse()?)
}

fn overlay(number: u32) -> Ipv4Addr {
    (u32::from(OVERLAY.network()) + number + 1).into()
}

fn in_overlay(address: Ipv4Addr) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(address, OVERLAY.prefix_len()))
}

fn on_link(address: Ipv4Addr) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(address, LINK_LEN))
}

/// Packets received by an interface, in the form of proc_pid_net(5).
fn received(text: &str, interface: &str) -> Option<u64> {
    let of = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        (name.trim() == interface).then(|| counts.split_whitespace().nth(1)?.parse().ok())?
    };
    text.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn packets_are_the_second_count_of_an_interface() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop\n    lo:     100       2    0    0\n \
                    relay0: 123456  789    0    0    0\n";
        assert_eq!(received(text, "relay0"), Some(789));
        assert_eq!(received(text, "relay1"), None);
    }

    #[test]
    fn the_configuration_is_one_that_relay_accepts_without_a_warning() {
        let there = tempfile::tempdir().expect("a directory");
        let path = there.path().join("relay.toml");
        let seats: Vec<_> = (0..4).map(|number| Seat::new(number).expect("a key")).collect();
        let seats: Vec<_> = seats.iter().collect();
        for (way, expected) in [(Way::FastPath, true), (Way::Stack, false)] {
            fs::write(&path, super::config(way, &seats).expect("a text")).expect("written");
            let loaded = config::load(&path, config::Options::default()).expect("valid");
            assert_eq!(loaded.relay.fast_path, expected);
            assert!(loaded.warnings.is_empty());
            let [a, b, c, _] = &loaded.relay.peers[..] else { panic!("four peers") };
            assert!(a.may_reach().contains(&b.addresses[0].into()), "{a:?}");
            assert!(!a.may_reach().contains(&c.addresses[0].into()), "{a:?}");
        }
    }
}
