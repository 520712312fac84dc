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

use crate::{Family, Namespace, Tally, namespace, nat::Nat, tally};

/// A peer: its namespace, the router in front of it, its config file.
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

/// Inner packets that have passed a peer's WireGuard interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Given to it.
    pub sent: Tally,
    /// Come out of it, without the relay's own errors about what it refused.
    pub received: Tally,
}

/// What a peer is made from.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name, which becomes its interface's.
    pub name: String,
    /// Its addresses in the overlay.
    pub v4: IpAddr,
    /// Its IPv6 address in the overlay.
    pub v6: IpAddr,
    /// MTU of its WireGuard interface, bytes.
    pub mtu: u16,
}

impl Peer {
    /// A peer joined to `internet` through its own NAT, not yet connected. Its config file goes to
    /// `directory`.
    ///
    /// # Errors
    /// `ip` or `nft` failed.
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
        internet.feed(
            "ip",
            &["-batch", "-"],
            &format!(
                "link set {name} addrgenmode none\n\
                 link set {name} up\n\
                 address add 198.51.100.254/32 dev {name}\n\
                 route add 198.51.100.{n}/32 dev {name}\n"
            ),
        )?;
        nat.configure(n)?;
        namespace.feed(
            "ip",
            &["-batch", "-"],
            &format!(
                "link set eth0 addrgenmode none\n\
                 link set eth0 up\n\
                 address add 192.168.{n}.2/24 dev eth0\n\
                 route add default via 192.168.{n}.1\n"
            ),
        )?;
        // An aggregate would count as one packet, so none may pass here; see Self::counts.
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

    /// Its name and that of its interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The router in front of it.
    pub fn nat(&self) -> &Nat {
        &self.nat
    }

    /// Its address in the overlay.
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

    /// A socket address of it with any free port.
    pub fn any_port(&self, family: Family) -> SocketAddr {
        SocketAddr::new(self.address(family), 0)
    }

    /// Writes its config file and brings its interface up with `wg-quick`.
    ///
    /// # Errors
    /// The file could not be written or `wg-quick` failed.
    pub fn connect(&self, config: &str) -> Result<()> {
        let _absent = fs::remove_file(&self.config);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.config)?;
        file.write_all(config.as_bytes())?;
        self.wg_quick("up")?;
        // Every packet is counted by itself: neither sent nor received as part of an aggregate.
        self.namespace.run(
            "ip",
            &["link", "set", "dev", &self.name, "gso_max_segs", "1", "gro_max_size", "1"],
        )?;
        Ok(())
    }

    /// Edits its config file as its owner can, so that it claims these ranges besides what the file
    /// says, and connects again.
    ///
    /// # Errors
    /// The file has no AllowedIPs, or `wg-quick` failed.
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

    /// Claims these ranges in the running interface, which keeps its session.
    ///
    /// # Errors
    /// `wg` or `ip` failed.
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
        self.namespace.feed("ip", &["-batch", "-"], &routes)
    }

    /// What has passed its WireGuard interface so far. nftables counts an aggregate of segments as
    /// one packet with one header, so the figures are exact only because [`Self::connect`] turns
    /// aggregation off and nothing longer than the MTU was ever seen.
    ///
    /// # Errors
    /// `nft` failed, or an aggregate has passed.
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

    /// Seconds since 1970 of its latest handshake with the relay; 0 is never.
    ///
    /// # Errors
    /// `wg` failed.
    pub fn latest_handshake(&self) -> Result<u64> {
        let text = self.namespace.run("wg", &["show", &self.name, "latest-handshakes"])?;
        let (_key, seconds) =
            text.trim().split_once('\t').with_context(|| format!("wg show says {text:?}"))?;
        seconds.parse().with_context(|| format!("wg show says {text:?}"))
    }

    fn wg_quick(&self, verb: &str) -> Result<()> {
        let path = self.config.to_str().context("a config path in UTF-8")?;
        self.namespace.run("wg-quick", &[verb, path])?;
        Ok(())
    }
}
