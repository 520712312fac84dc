//! A host for the programs: a namespace with its own routing.
//!
//! ```text
//!   wire, index 10: the relay's addresses; routes to the overlay and to half of what peers may own
//!   out:            the host's other addresses; the default route
//! ```

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use ipnet::IpNet;
use relay::model::Relay;
use relay_common::verdict::Routing;
use relay_tests::Namespace;

/// The host's addresses besides the relay's: in the overlay, in networks of peers, elsewhere.
pub(crate) const ADDRESSES: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(10, 3, 2, 77)),
    IpAddr::V4(Ipv4Addr::new(192, 168, 0, 9)),
    IpAddr::V4(Ipv4Addr::new(192, 168, 1, 9)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 3, 2, 0x77)),
    IpAddr::V6(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 9)),
    IpAddr::V6(Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 0x109)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5)),
];

/// Prefixes routed to the interface.
const BACK: [&str; 4] = ["10.3.2.0/24", "192.168.0.0/24", "fd00::3:2:0/120", "fd01::/120"];

/// The host.
pub(crate) struct Host {
    namespace: Namespace,
    forwards: bool,
}

impl Host {
    /// Index of the relay's interface.
    pub(crate) const INTERFACE: u32 = 10;

    /// Creates a host that forwards or not.
    pub(crate) fn create(forwards: bool) -> Result<Self> {
        // Tests run in parallel in one process.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace::create(&format!("host{number}"))?;
        let mut lines = format!(
            "link add wire index {} type veth peer name out\n\
             link set wire addrgenmode none\nlink set out addrgenmode none\n\
             link set lo up\nlink set wire up\nlink set out up\n\
             address add 10.3.2.1/32 dev wire\n\
             address add fd00::3:2:1/128 dev wire nodad\n",
            Self::INTERFACE
        );
        for address in ADDRESSES {
            let nodad = if address.is_ipv6() { " nodad" } else { "" };
            lines += &format!("address add {} dev out{nodad}\n", IpNet::from(address));
        }
        for network in BACK {
            lines += &format!("route add {network} dev wire\n");
        }
        lines += "route add default dev out\nroute add ::/0 dev out\n";
        namespace.ip_batch(&lines)?;
        let forwarding = u8::from(forwards);
        namespace.set_sysctl("ipv4/ip_forward", forwarding)?;
        namespace.set_sysctl("ipv6/conf/all/forwarding", forwarding)?;
        Ok(Self { namespace, forwards })
    }

    /// Runs `work` inside.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.namespace.enter(work)
    }

    /// The namespace, for changes.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What routing does with a packet to this address that the policy passes or does not cover.
    pub(crate) fn routing(&self, relay: &Relay, destination: IpAddr) -> Routing {
        let is_overlay = relay.addresses.iter().any(|overlay| overlay.contains(&destination));
        let is_owned = relay.owner(destination).is_some();
        let is_own = relay.addresses.iter().any(|own| own.addr() == destination)
            || ADDRESSES.contains(&destination);
        let is_back = BACK.iter().any(|network| {
            network.parse::<IpNet>().is_ok_and(|network| network.contains(&destination))
        });
        match self.forwards {
            // The policy includes the host's addresses in the overlay.
            false if is_overlay && !is_owned && !is_own => Routing::Away,
            false => Routing::Unforwarded,
            true if is_own => Routing::Local,
            true if is_back => Routing::Back,
            true => Routing::Away,
        }
    }
}
