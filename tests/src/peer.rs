//! A peer behind its NAT, with kernel WireGuard set up by `wg-quick`.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;

use crate::{Family, Namespace, Tally, namespace, nat::Nat, tally, wireguard_go::WireguardGo};

/// A peer: its namespace, its NAT, its configuration.
#[derive(Debug)]
pub struct Peer {
    name: String,
    n: u8,
    v4: IpAddr,
    v6: IpAddr,
    mtu: u16,
    config: PathBuf,
    namespace: Namespace,
    nat: Nat,
}

/// Inner packets that passed a peer's WireGuard interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent by the peer.
    pub sent: Tally,
    /// Received by the peer, without ICMP errors of the relay about dropped packets.
    pub received: Tally,
}

/// What a peer is created from.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Name of the peer and of its interface.
    pub name: String,
    pub v4: IpAddr,
    pub v6: IpAddr,
    pub mtu: u16,
}

impl Peer {
    /// A peer behind its own NAT at `internet`, not yet connected. Its configuration is in
    /// `directory`.
    pub fn create(identity: Identity, internet: &Namespace, directory: &Path) -> Result<Self> {
        let Identity { name, v4, v6, mtu } = identity;
        let IpAddr::V4(address) = v4 else { bail!("{name}: {v4} is not an IPv4 address") };
        let n = address.octets()[3];
        let namespace = Namespace::create(&name)?;
        let nat = Nat::create(&name)?;
        let outside = internet.name();
        let router = nat.namespace().name();
        let inside = namespace.name();
        namespace::ip_batch(&format!(
            "link add {name} netns {outside} type veth peer name wan netns {router}\n\
             link add lan netns {router} type veth peer name eth0 netns {inside}\n"
        ))?;
        internet.ip_batch(&format!(
            "link set {name} addrgenmode none\n\
                 link set {name} up\n\
                 address add 198.51.100.254/32 dev {name}\n\
                 route add 198.51.100.{n}/32 dev {name}\n"
        ))?;
        nat.configure(n)?;
        namespace.ip_batch(&format!(
            "link set eth0 addrgenmode none\n\
                 link set eth0 up\n\
                 address add 192.168.{n}.2/24 dev eth0\n\
                 route add default via 192.168.{n}.1\n"
        ))?;
        // nftables would count an aggregate as one packet; see Self::counts.
        namespace.feed(
            "nft",
            &["-f", "-"],
            &format!(
                "table inet tally {{
                    chain out {{
                        type filter hook output priority 300;
                        oifname \"{name}\" counter comment \"sent\"
                        oifname \"{name}\" meta length > {mtu} counter comment \"aggregates\"
                    }}
                    chain in {{
                        type filter hook input priority -300;
                        iifname \"{name}\" icmp type destination-unreachable return
                        iifname \"{name}\" icmpv6 type destination-unreachable return
                        iifname \"{name}\" counter comment \"received\"
                        iifname \"{name}\" meta length > {mtu} counter comment \"aggregates\"
                    }}
                }}\n"
            ),
        )?;
        let config = directory.join(format!("{name}.conf"));
        Ok(Self { name, n, v4, v6, mtu, config, namespace, nat })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its NAT.
    pub fn nat(&self) -> &Nat {
        &self.nat
    }

    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// Its public address, that of its NAT.
    pub fn public_address(&self) -> IpAddr {
        IpAddr::from([198, 51, 100, self.n])
    }

    /// Its address with any free port.
    pub fn any_port(&self, family: Family) -> SocketAddr {
        SocketAddr::new(self.address(family), 0)
    }

    /// Writes its configuration and runs `wg-quick up`.
    pub fn connect(&self, config: &str) -> Result<()> {
        let _absent = fs::remove_file(&self.config);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.config)?;
        file.write_all(config.as_bytes())?;
        self.wg_quick("up")?;
        self.without_aggregates()
    }

    /// Takes its interface down, and has wireguard-go make one with the same configuration.
    pub fn connect_by_wireguard_go(&self) -> Result<WireguardGo> {
        let text = fs::read_to_string(&self.config)?;
        let path = self.config.to_str().context("a config path in UTF-8")?;
        let stripped = self.namespace.run("wg-quick", &["strip", path])?;
        self.wg_quick("down")?;
        let process = WireguardGo::start(&self.namespace, &self.name)?;
        self.namespace.feed("wg", &["setconf", &self.name, "/proc/self/fd/0"], &stripped)?;
        let Self { name, v4, v6, mtu, .. } = self;
        // As WireGuard's own: no address, and no message, that nobody asked for.
        self.namespace.ip_batch(&format!(
            "link set {name} addrgenmode none\n\
             address add {v4}/32 dev {name}\naddress add {v6}/128 dev {name} nodad\n\
             link set {name} mtu {mtu} up\n"
        ))?;
        let lists = text.lines().filter_map(|line| line.strip_prefix("AllowedIPs = "));
        let routes = lists.flat_map(|list| list.split(", "));
        let routes: String = routes.map(|to| format!("route replace {to} dev {name}\n")).collect();
        self.namespace.ip_batch(&routes)?;
        self.without_aggregates()?;
        Ok(process)
    }

    /// Adds ranges to the AllowedIPs in its configuration, as its owner can, and reconnects.
    pub fn edit_config(&self, ranges: &[IpNet]) -> Result<()> {
        let mut found = false;
        let mut edited = String::new();
        for line in fs::read_to_string(&self.config)?.lines() {
            edited.push_str(line);
            if line.starts_with("AllowedIPs") {
                found = true;
                for range in ranges {
                    edited.push_str(", ");
                    edited.push_str(&range.to_string());
                }
            }
            edited.push('\n');
        }
        if !found {
            bail!("{} has no AllowedIPs", self.config.display());
        }
        self.wg_quick("down")?;
        self.connect(&edited)
    }

    /// Sets the AllowedIPs of the running interface, which keeps its session.
    pub fn claim(&self, ranges: &[IpNet]) -> Result<()> {
        let text = self.namespace.run("wg", &["show", &self.name, "peers"])?;
        let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        let list = ranges.join(",");
        self.namespace
            .run("wg", &["set", &self.name, "peer", text.trim(), "allowed-ips", &list])?;
        let routes: String = ranges
            .iter()
            .map(|range| format!("route replace {range} dev {}\n", self.name))
            .collect();
        self.namespace.ip_batch(&routes)
    }

    /// The packets that passed its WireGuard interface. The counts are exact as [`Self::connect`]
    /// turns aggregation off; a packet longer than the MTU is an error.
    pub fn counts(&self) -> Result<Counts> {
        let tallies = tally::read_nft(&self.namespace, "inet", "tally")?;
        let tally = |name: &str| {
            tallies.get(name).copied().with_context(|| format!("{} has no {name}", self.name))
        };
        let aggregates = tally("aggregates")?;
        if aggregates.packets != 0 {
            bail!("{}: {aggregates} longer than {} bytes", self.name, self.mtu);
        }
        Ok(Counts { sent: tally("sent")?, received: tally("received")? })
    }

    /// Time of its latest handshake with the relay, seconds since 1970; 0 is never.
    pub fn latest_handshake(&self) -> Result<u64> {
        let text = self.namespace.run("wg", &["show", &self.name, "latest-handshakes"])?;
        let (_key, seconds) =
            text.trim().split_once('\t').with_context(|| format!("wg show says {text:?}"))?;
        seconds.parse().with_context(|| format!("wg show says {text:?}"))
    }

    /// No aggregates in either direction, so that every packet is counted.
    fn without_aggregates(&self) -> Result<()> {
        let arguments =
            ["link", "set", "dev", &self.name, "gso_max_segs", "1", "gro_max_size", "1"];
        self.namespace.run("ip", &arguments).map(drop)
    }

    fn wg_quick(&self, verb: &str) -> Result<()> {
        let path = self.config.to_str().context("a config path in UTF-8")?;
        self.namespace.run("wg-quick", &[verb, path])?;
        Ok(())
    }
}
