//! Addresses and networks of the overlay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{fault::Fault, shown::shown, value::decimal};
use crate::model::host_prefix;

/// The relay's own address with the prefix length of the overlay: `10.3.2.1/24`.
pub(in crate::config) fn overlay_address(text: &str) -> Result<IpNet, Fault> {
    let (address, prefix_len) = prefix(text)?;
    let Some(prefix_len) = prefix_len else {
        let usual = if address.is_ipv4() { 24 } else { 120 };
        let problem = format!("{address} has no prefix length");
        return Err(Fault::new(problem, format!("write \"{address}/{usual}\"")));
    };
    let network = network_of(address, prefix_len);
    let special = SPECIAL.iter().find(|special| special.overlaps(&network));
    if let Some(special) = special {
        let problem = format!("{} contains {}", network.trunc(), special.what());
        return Err(Fault::new(problem, EXAMPLE_OVERLAYS));
    }
    if let Some(what) = taken_by_network(address, &network) {
        let problem = format!("{address} is {what} of {}", network.trunc());
        let remedy = "write the relay's own address and the prefix length, such as";
        return Err(Fault::new(
            problem,
            match first_host(&network) {
                Some(host) => format!("{remedy} \"{host}/{prefix_len}\""),
                None => EXAMPLE_OVERLAYS.to_owned(),
            },
        ));
    }
    Ok(network)
}

/// One address a peer owns: `10.3.2.3` or `10.3.2.3/32`.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<IpAddr, Fault> {
    let (address, prefix_len) = prefix(text)?;
    let host_len = host_prefix(address).prefix_len();
    if prefix_len.is_some_and(|len| len != host_len) {
        return Err(Fault::new(
            format!("{} is a network", shown(text)),
            format!("write \"{address}\" here, and networks behind the peer in routes"),
        ));
    }
    check_special(&host_prefix(address))?;
    Ok(address)
}

/// A network of `routes` or `allowed_ips`; a bare address is a host prefix.
///
/// # Errors
/// What is wrong with it.
pub fn network(text: &str) -> Result<IpNet, Fault> {
    let (address, prefix_len) = prefix(text)?;
    let network = prefix_len.map_or(host_prefix(address), |len| network_of(address, len));
    if network.addr() != network.network() {
        let alone = host_prefix(address);
        return Err(Fault::new(
            format!("{} has host bits set", shown(text)),
            format!("write \"{}\", or \"{alone}\" for that address only", network.trunc()),
        ));
    }
    check_special(&network)?;
    Ok(network)
}

/// What `address` is in `network` if no host can have it: the IPv4 network or broadcast address (RFC 1122, section 3.2.1.3; not in /31 and /32, RFC 3021) and the IPv6 subnet-router
/// anycast address (RFC 4291, section 2.6.1; not in /127 and /128, RFC 6164).
pub(in crate::config) fn taken_by_network(
    address: IpAddr,
    network: &IpNet,
) -> Option<&'static str> {
    let lone = network.max_prefix_len() - network.prefix_len() < 2;
    if lone {
        None
    } else if address == network.network() {
        Some(if address.is_ipv4() { "the network address" } else { "the router anycast address" })
    } else if address.is_ipv4() && address == network.broadcast() {
        Some("the broadcast address")
    } else {
        None
    }
}

const EXAMPLE_OVERLAYS: &str =
    "write a private network, such as \"10.3.2.1/24\" or \"fd00::3:2:1/120\"";

/// Addresses that no peer can have, because no router forwards them.
#[derive(Clone, Copy)]
enum Special {
    V4(Ipv4Net, &'static str),
    V6(Ipv6Net, &'static str),
}

const SPECIAL: [Special; 10] = [
    Special::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8), "unspecified addresses"),
    Special::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8), "loopback addresses"),
    Special::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16), "link-local addresses"),
    Special::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4), "multicast addresses"),
    Special::V4(Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32), "the limited broadcast address"),
    Special::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "the unspecified address"),
    Special::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "the loopback address"),
    Special::V6(
        Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
        "IPv4-mapped addresses",
    ),
    Special::V6(
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
        "link-local addresses",
    ),
    Special::V6(
        Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
        "multicast addresses",
    ),
];

impl Special {
    fn network(self) -> IpNet {
        match self {
            Self::V4(network, _) => network.into(),
            Self::V6(network, _) => network.into(),
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::V4(_, what) | Self::V6(_, what) => what,
        }
    }

    fn overlaps(self, network: &IpNet) -> bool {
        self.network().contains(network) || network.contains(&self.network())
    }
}

/// Fails if all of `network` is special. A wider network, such as 0.0.0.0/0 or one of its halves,
/// may contain special ones.
fn check_special(network: &IpNet) -> Result<(), Fault> {
    match SPECIAL.iter().find(|special| special.network().contains(network)) {
        Some(special) => Err(Fault::new(
            format!("{} is in {} ({})", short(network), special.network(), special.what()),
            "write a unicast address that routers forward",
        )),
        None => Ok(()),
    }
}

/// A network in a message: a host prefix without its length.
pub(in crate::config) fn short(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// `address` or `address/length`.
fn prefix(text: &str) -> Result<(IpAddr, Option<u8>), Fault> {
    let (address, prefix_len) = match text.split_once('/') {
        Some((address, prefix_len)) => (address, Some(prefix_len)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        let remedy = "write an address such as \"10.3.2.3\" or \"fd00::3:2:3\"";
        return Err(Fault::new(format!("{} is not an IP address", shown(text)), remedy));
    };
    let Some(prefix_len) = prefix_len else {
        return Ok((address, None));
    };
    let most = host_prefix(address).prefix_len();
    match decimal(prefix_len).and_then(|len| u8::try_from(len).ok()).filter(|&len| len <= most) {
        Some(prefix_len) => Ok((address, Some(prefix_len))),
        None => Err(Fault::new(
            format!("{} has no prefix length from 0 to {most}", shown(text)),
            format!("write \"{address}/{most}\" for the address only"),
        )),
    }
}

fn network_of(address: IpAddr, prefix_len: u8) -> IpNet {
    IpNet::new(address, prefix_len).unwrap_or(host_prefix(address))
}

fn first_host(network: &IpNet) -> Option<IpAddr> {
    match network {
        IpNet::V4(network) => network.hosts().next().map(IpAddr::V4),
        IpNet::V6(network) => network.hosts().nth(1).map(IpAddr::V6),
    }
}
