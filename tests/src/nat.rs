//! The NAT in front of a peer.

use anyhow::{Context as _, Result};

use crate::{Namespace, Tally, tally};

/// A home router: masquerades, and forwards inwards only replies.
#[derive(Debug)]
pub struct Nat {
    namespace: Namespace,
}

/// Time-out of UDP flows, seconds.
#[derive(Debug, Clone, Copy)]
pub struct UdpTimeout(pub u32);

impl Nat {
    /// A router for the peer `name`, between `wan` (198.51.100.N) and `lan` (192.168.N.1). The
    /// caller adds the interfaces.
    pub fn create(name: &str) -> Result<Self> {
        Ok(Self { namespace: Namespace::create(&format!("nat-{name}"))? })
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Sets up addresses, routes and rules, after the interfaces were added.
    pub fn configure(&self, n: u8) -> Result<()> {
        self.namespace.ip_batch(&format!(
            "link set wan addrgenmode none\n\
                 link set wan up\n\
                 link set lan addrgenmode none\n\
                 link set lan up\n\
                 address add 198.51.100.{n}/32 dev wan\n\
                 address add 192.168.{n}.1/24 dev lan\n\
                 route add 198.51.100.254/32 dev wan\n\
                 route add default via 198.51.100.254\n"
        ))?;
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

    /// Sets the time-out of UDP flows, answered or not.
    pub fn forget_udp_after(&self, timeout: UdpTimeout) -> Result<()> {
        for key in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            self.namespace.set_sysctl(&format!("netfilter/{key}"), timeout.0)?;
        }
        Ok(())
    }

    /// Packets from the internet that belong to no flow from inside.
    pub fn unsolicited(&self) -> Result<Tally> {
        let tallies = tally::read_nft(&self.namespace, "ip", "router")?;
        tallies.get("unsolicited").copied().context("the router counts nothing")
    }
}
