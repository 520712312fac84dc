//! One value of a text: each function takes what stands in the file and gives the model's type,
//! or what is wrong and what to write instead.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    findings::Fault,
    table::{looks_secret, shown},
};
use crate::model::{
    Dns, Egress, GuardMode, InterfaceName, KeyError, NameError, PeerName, Port, PublicKey,
    Transport, host_prefix,
};

/// Longest name of an interface, bytes (`IFNAMSIZ` less its zero, include/uapi/linux/if.h).
const INTERFACE_NAME_MAX: usize = 15;
/// Longest `description`, characters.
pub(super) const DESCRIPTION_MAX: usize = 200;
/// Longest DNS name, characters (RFC 1035, section 2.3.4).
const DNS_NAME_MAX: usize = 253;

pub(super) fn interface_name(text: &str) -> Result<InterfaceName, Fault> {
    text.parse().map_err(|error| {
        let remedy = match error {
            NameError::Reserved(_) => "choose another name, such as \"relay0\"",
            NameError::Empty
            | NameError::TooLong(_)
            | NameError::Character(_)
            | NameError::Address => "write 1 to 15 of A-Z a-z 0-9 _ -, a letter first",
        };
        Fault::new(refused_name(text, error), remedy)
    })
}

/// A peer's name.
///
/// # Errors
/// What is wrong with it.
pub fn peer_name(text: &str) -> Result<PeerName, Fault> {
    let remedy = "write 1 to 63 of a-z 0-9 _ . -, a letter or digit first";
    text.parse().map_err(|error| Fault::new(refused_name(text, error), remedy))
}

pub(super) fn description(text: &str) -> Result<String, Fault> {
    if text.chars().any(char::is_control) {
        return Err(Fault::new(
            "holds a line break or another control character",
            "write one line",
        ));
    }
    if text.chars().count() > DESCRIPTION_MAX {
        let problem = format!("is longer than {DESCRIPTION_MAX} characters");
        return Err(Fault::new(problem, "shorten it"));
    }
    Ok(text.to_owned())
}

/// A public key; a text that is none is not quoted.
///
/// # Errors
/// What is wrong with it.
pub fn public_key(text: &str) -> Result<PublicKey, Fault> {
    text.parse().map_err(|error: KeyError| {
        Fault::new(error.to_string(), "write what `wg pubkey` gives for the peer's private key")
    })
}

pub(super) fn key_file(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() {
        return Err(Fault::new("is empty", "name a file"));
    }
    if text.parse::<PublicKey>().is_ok() || (looks_secret(text) && !text.contains(['.', '-'])) {
        return Err(Fault::new(
            "is a key, not the name of a file",
            "write the key into a file of mode 0600 and name that file here",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("holds a control character", "name a file"));
    }
    Ok(PathBuf::from(text))
}

pub(super) fn egress(text: &str) -> Result<Egress, Fault> {
    match text {
        "deny" => Ok(Egress::Deny),
        "stack" => Ok(Egress::Stack),
        other => Err(Fault::new(
            format!("{} is neither \"deny\" nor \"stack\"", shown(other)),
            "write \"deny\", or \"stack\" to hand such packets to the host's routing",
        )),
    }
}

pub(super) fn guard_mode(text: &str) -> Result<GuardMode, Fault> {
    let modes = [GuardMode::Auto, GuardMode::Driver, GuardMode::Generic];
    modes.into_iter().find(|mode| mode.label() == text).ok_or_else(|| {
        let problem = format!("{} is not a mode of XDP", shown(text));
        Fault::new(problem, "write \"auto\", \"driver\" or \"generic\"")
    })
}

/// An interface that others made, by the kernel's rules for names (`dev_valid_name`,
/// net/core/dev.c).
pub(super) fn underlay_interface(text: &str) -> Result<String, Fault> {
    let is_name = (1..=INTERFACE_NAME_MAX).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    match text {
        "auto" => Err(Fault::new("holds \"auto\" as a name", "write interfaces = \"auto\"")),
        name if is_name => Ok(name.to_owned()),
        other => Err(Fault::new(
            format!("{} is no name of an interface", shown(other)),
            "write names as `ip link` shows them, such as [\"eth0\"]",
        )),
    }
}

/// A port of the relay, as `tcp/22`.
pub(super) fn port(text: &str) -> Result<Port, Fault> {
    let parsed = text.split_once('/').and_then(|(transport, number)| {
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return None,
        };
        Some(Port { transport, number: decimal(number).filter(|&number| number > 0)? })
    });
    parsed.ok_or_else(|| {
        let problem = format!("{} is not a port", shown(text));
        Fault::new(problem, "write \"tcp/N\" or \"udp/N\" with N from 1 to 65535")
    })
}

/// The relay's own address with the length of the overlay network: `10.3.2.1/24`.
pub(super) fn overlay_address(text: &str) -> Result<IpNet, Fault> {
    let (address, prefix_len) = prefix(text)?;
    let Some(prefix_len) = prefix_len else {
        let usual = if address.is_ipv4() { 24 } else { 120 };
        let problem = format!("{address} lacks the length of the overlay network");
        return Err(Fault::new(problem, format!("write \"{address}/{usual}\"")));
    };
    let network = network_of(address, prefix_len);
    let special = SPECIAL.iter().find(|special| special.overlaps(&network));
    if let Some(special) = special {
        let problem = format!("{} holds {}", network.trunc(), special.what());
        return Err(Fault::new(problem, EXAMPLE_OVERLAYS));
    }
    if let Some(what) = taken_by_network(address, &network) {
        let problem = format!("{address} is {what} of {}", network.trunc());
        let remedy = "write the relay's own address with the network's length, such as";
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
    refuse_special(&host_prefix(address))?;
    Ok(address)
}

/// A network of `routes` or `allowed_ips`; a bare address stands for itself alone.
///
/// # Errors
/// What is wrong with it.
pub fn network(text: &str) -> Result<IpNet, Fault> {
    let (address, prefix_len) = prefix(text)?;
    let network = prefix_len.map_or(host_prefix(address), |len| network_of(address, len));
    if network.addr() != network.network() {
        let alone = host_prefix(address);
        return Err(Fault::new(
            format!("{} has bits set behind its length", shown(text)),
            format!("write \"{}\", or \"{alone}\" for that address alone", network.trunc()),
        ));
    }
    refuse_special(&network)?;
    Ok(network)
}

/// A resolver, or a search domain. Loopback is fine: the client may run a resolver.
pub(super) fn dns(text: &str) -> Result<Dns, Fault> {
    let example = "write the IP address of a resolver, such as \"10.3.2.1\", or a search domain, such \
                   as \"corp.example.org\"";
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(Fault::new(format!("{} is not the address of a resolver", shown(text)), example))
        }
        Ok(address) => Ok(Dns::Resolver(address)),
        Err(_) if is_dns_name(text) && !looks_secret(text) => Ok(Dns::Search(text.to_owned())),
        Err(_) => {
            let problem = format!("{} is neither an IP address nor a domain", shown(text));
            Err(Fault::new(problem, example))
        }
    }
}

/// `host:port`, where host is a DNS name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn endpoint(text: &str) -> Result<String, Fault> {
    let fault = |problem: &str, remedy: &str| {
        Err(Fault::new(format!("{} {problem}", shown(text)), remedy.to_owned()))
    };
    const EXAMPLE: &str = "write \"host:port\", such as \"vpn.example.org:51820\"";
    if text.parse::<Ipv6Addr>().is_ok() {
        return fault("has no port", &format!("write \"[{text}]:51820\""));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return fault("has no port", EXAMPLE);
    };
    if decimal(port).is_none_or(|port| port == 0) {
        return fault("has no port from 1 to 65535", EXAMPLE);
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return fault("needs brackets", &format!("write \"[{host}]:{port}\""));
    }
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => match inner.parse() {
            Ok(address) => Some(IpAddr::V6(address)),
            Err(_) => return fault("has no IPv6 address in its brackets", EXAMPLE),
        },
        None => host.parse().ok().map(IpAddr::V4),
    };
    match address {
        Some(address) if address.is_unspecified() || address.is_multicast() => {
            fault("is an address nobody can dial", EXAMPLE)
        }
        Some(_) => Ok(text.to_owned()),
        None if is_dns_name(host) => Ok(text.to_owned()),
        None => fault("has neither a DNS name nor an address before the port", EXAMPLE),
    }
}

/// The address an endpoint names, if it is not a DNS name.
pub(super) fn endpoint_address(endpoint: &str) -> Option<IpAddr> {
    let (host, _port) = endpoint.rsplit_once(':')?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// What keeps `address` from being a host's own in `network`: the IPv4 network and broadcast
/// addresses (RFC 1122, section 3.2.1.3; not in /31 and /32, RFC 3021) and the IPv6 subnet-router
/// anycast address (RFC 4291, section 2.6.1; not in /127 and /128, RFC 6164).
pub(super) fn taken_by_network(address: IpAddr, network: &IpNet) -> Option<&'static str> {
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

/// Addresses no peer can have, since no router forwards them.
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

/// Refuses what lies wholly within special addresses. A wider network, such as 0.0.0.0/0 or its
/// halves, may hold some.
fn refuse_special(network: &IpNet) -> Result<(), Fault> {
    match SPECIAL.iter().find(|special| special.network().contains(network)) {
        Some(special) => Err(Fault::new(
            format!("{} lies in {} ({})", short(network), special.network(), special.what()),
            "write an address that routers forward",
        )),
        None => Ok(()),
    }
}

/// A network for people: an address alone without its length.
pub(super) fn short(network: &IpNet) -> String {
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
            format!("{} has no length from 0 to {most} after the slash", shown(text)),
            format!("write \"{address}/{most}\" for the address alone"),
        )),
    }
}

fn refused_name(text: &str, error: NameError) -> String {
    if looks_secret(text) {
        // The error quotes a character of it.
        format!("{} is not a name", shown(text))
    } else {
        format!("{} {error}", shown(text))
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

/// A decimal number without sign, space or leading zero.
fn decimal(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if plain && !leading_zero { text.parse().ok() } else { None }
}

fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits is an IPv4 address gone wrong (RFC 3696, section 2).
    let numeric =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= DNS_NAME_MAX && name.split('.').all(label) && !numeric
}
