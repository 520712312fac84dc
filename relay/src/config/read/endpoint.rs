use std::net::{IpAddr, Ipv6Addr};

use super::{dns::is_dns_name, fault::Fault, shown::shown, value::decimal};

/// `host:port`, where host is a DNS name, an IPv4 address, or an IPv6 address in brackets.
pub(in crate::config) fn endpoint(text: &str) -> Result<String, Fault> {
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
        return fault(
            "needs brackets around the IPv6 address",
            &format!("write \"[{host}]:{port}\""),
        );
    }
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => match inner.parse() {
            Ok(address) => Some(IpAddr::V6(address)),
            Err(_) => return fault("has no IPv6 address between its brackets", EXAMPLE),
        },
        None => host.parse().ok().map(IpAddr::V4),
    };
    match address {
        Some(address) if address.is_unspecified() || address.is_multicast() => {
            fault("is not an address that peers can dial", EXAMPLE)
        }
        Some(_) => Ok(text.to_owned()),
        None if is_dns_name(host) => Ok(text.to_owned()),
        None => fault("has neither a DNS name nor an IP address before the port", EXAMPLE),
    }
}

/// The address of an endpoint that is not a DNS name.
pub(in crate::config) fn endpoint_address(endpoint: &str) -> Option<IpAddr> {
    let (host, _port) = endpoint.rsplit_once(':')?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
