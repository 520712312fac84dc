//! The NAT in front of a peer.

use anyhow::{Context as _, Result};

use crate::{Namespace, Tally, tally};

/// A home router: masquerades what goes out, forwards nothing in that did not begin inside.
#[derive(Debug)]
pub struct Nat {
    namespace: Namespace,
}

/// How long a NAT remembers a UDP flow, seconds.
#[derive(Debug, Clone, Copy)]
pub struct UdpTimeout(pub u32);

impl Nat {
    /// A router for the peer `name`, between `wan` (198.51.100.N) and `lan` (192.168.N.1). Its
    /// interfaces have to be put in by the one who joins it to the internet.
    ///
    /// # Errors
    /// The namespace could not be made.
    pub fn create(name: &str) -> Result<Self> {
        Ok(Self { namespace: Namespace::create(&format!("nat-{name}"))? })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Addresses, routes and rules, once its interfaces are there.
    ///
    /// # Errors
    /// `ip` or `nft` failed.
    pub fn configure(&self, n: u8) -> Result<()> {
        self.namespace.feed(
            "ip",
            &["-batch", "-"],
            &format!(
                "link set wan addrgenmode none\n\
                 link set wan up\n\
                 link set lan addrgenmode none\n\
                 link set lan up\n\
                 address add 198.51.100.{n}/32 dev wan\n\
                 address add 192.168.{n}.1/24 dev lan\n\
                 route add 198.51.100.254/32 dev wan\n\
                 route add default via 198.51.100.254\n"
            ),
        )?;
        self.namespace.feed(
            "nft",
            &["-f", "-"],
            "table ip router {
                chain out {
                    type nat hook postrouting priority srcnat;
                    oifname \"wan\" masquerade
                }
                chain in {
                    type filter hook input priority filter; policy accept;
                    iifname \"wan\" counter drop comment \"unsolicited\"
                }
                chain across {
                    type filter hook forward priority filter; policy drop;
                    iifname \"lan\" accept
                    ct state established,related accept
                }
            }\n",
        )?;
        self.namespace.set_sysctl("ipv4/ip_forward", 1)
    }

    /// Sets how long it remembers a UDP flow, answered or not.
    ///
    /// # Errors
    /// The kernel refuses the value.
    pub fn forget_udp_after(&self, timeout: UdpTimeout) -> Result<()> {
        for key in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            self.namespace.set_sysctl(&format!("netfilter/{key}"), timeout.0)?;
        }
        Ok(())
    }

    /// What came from the internet and belonged to no flow from inside.
    ///
    /// # Errors
    /// `nft` failed.
    pub fn unsolicited(&self) -> Result<Tally> {
        let tallies = tally::read_nft(&self.namespace, "ip", "router")?;
        tallies.get("unsolicited").copied().context("the router counts nothing")
    }
}
