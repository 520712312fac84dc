use std::net::IpAddr;

use super::{
    fault::Fault,
    shown::{looks_secret, shown},
};
use crate::model::Dns;

/// Longest DNS name, characters (RFC 1035, section 2.3.4).
pub(super) const NAME_MAX: usize = 253;

/// Where the names of addresses are (RFC 1035, section 3.5; RFC 3596, section 2.5).
const REVERSE: [&str; 2] = ["in-addr.arpa", "ip6.arpa"];

/// A resolver, or a search domain. Loopback is valid: the client may run a resolver.
pub(super) fn dns(text: &str) -> Result<Dns, Fault> {
    let example = "write the IP address of a resolver, such as \"10.3.2.1\", or a search domain, such \
                   as \"corp.example.org\"";
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(Fault::new(format!("{} cannot be the address of a resolver", shown(text)), example))
        }
        Ok(address) => Ok(Dns::Resolver(address)),
        Err(_) if is_dns_name(text) && !looks_secret(text) => Ok(Dns::Search(text.to_owned())),
        Err(_) => {
            let problem = format!("{} is neither an IP address nor a domain name", shown(text));
            Err(Fault::new(problem, example))
        }
    }
}

/// A domain for names of peers.
pub(super) fn zone(text: &str) -> Result<String, Fault> {
    let example = "write a domain that is not used elsewhere, such as \"relay.internal\"";
    let lower = text.to_ascii_lowercase();
    let is_below = |domain: &&str| lower.strip_suffix(*domain).is_some_and(ends_label);
    if !is_dns_name(text) || looks_secret(text) {
        Err(Fault::new(format!("{} is not a domain name", shown(text)), example))
    } else if lower != text || text.ends_with('.') {
        let remedy = format!("write {}", shown(lower.trim_end_matches('.')));
        Err(Fault::new(format!("{} is not lower case without a final dot", shown(text)), remedy))
    } else if let Some(domain) = REVERSE.into_iter().find(is_below) {
        Err(Fault::new(format!("{} has the names of addresses in {domain}", shown(text)), example))
    } else {
        Ok(lower)
    }
}

/// The address of a resolver.
pub(super) fn resolver(text: &str) -> Result<IpAddr, Fault> {
    let example = "write the IP address of a resolver, such as \"192.0.2.53\"";
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(Fault::new(format!("{} cannot be the address of a resolver", shown(text)), example))
        }
        Ok(address) => Ok(address),
        Err(_) => Err(Fault::new(format!("{} is not an IP address", shown(text)), example)),
    }
}

/// The address or name of a host on the underlay.
pub(super) fn host(text: &str) -> Result<String, Fault> {
    let example = "write an IP address or a DNS name, without a port, such as \"192.0.2.11\"";
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            Err(Fault::new(format!("{} is not the address of a host", shown(text)), example))
        }
        Ok(_) => Ok(text.to_owned()),
        Err(_) if is_dns_name(text) && !looks_secret(text) => Ok(text.to_owned()),
        Err(_) => {
            let problem = format!("{} is neither an IP address nor a DNS name", shown(text));
            Err(Fault::new(problem, example))
        }
    }
}

pub(super) fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A numeric last label is a malformed IPv4 address (RFC 3696, section 2).
    let numeric =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= NAME_MAX && name.split('.').all(label) && !numeric
}

/// Whether what is left of a name is nothing, or whole labels.
fn ends_label(rest: &str) -> bool {
    rest.is_empty() || rest.ends_with('.')
}
