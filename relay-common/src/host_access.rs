//! What peers may reach on the relay itself.

use crate::{header::protocol, payload::Payload, transport::Ports};

/// The setting `host_access`; the numbers are part of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum HostPolicy {
    /// Nothing.
    None = 0,
    /// Echo requests.
    Ping = 1,
    /// Echo requests and listed ports.
    Ports = 2,
    /// Everything.
    All = 3,
}

/// What `host_access` says about a packet to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The packet passes.
    Open,
    /// The packet passes if a socket of the host expects it from these ports.
    IfExpected(Ports),
    /// The packet is dropped.
    Closed,
}

/// ICMP types (RFC 792). Replies and errors pass: a host checks itself whether it asked for them.
const ICMP_ECHO_REQUEST: u8 = 8;
const ICMP_ECHO_REPLY: u8 = 0;
const ICMP_UNREACHABLE: u8 = 3;
const ICMP_TIME_EXCEEDED: u8 = 11;
const ICMP_PARAMETER_PROBLEM: u8 = 12;
/// ICMPv6 types (RFC 4443).
const ICMPV6_ECHO_REQUEST: u8 = 128;
const ICMPV6_ECHO_REPLY: u8 = 129;
const ICMPV6_LAST_ERROR: u8 = 4;

/// Whether a payload may reach the host. `policy` is the number of a [`HostPolicy`] other than
/// [`HostPolicy::All`], which needs no payload; `is_listed` looks a [`port_key`] up.
#[inline(always)]
pub fn decide(policy: u32, payload: &Payload, is_listed: impl FnOnce(u32) -> bool) -> Access {
    let (number, ports) = match *payload {
        Payload::Icmp(ICMP_ECHO_REQUEST) | Payload::Icmpv6(ICMPV6_ECHO_REQUEST) => {
            return Access::open_if(policy != HostPolicy::None as u32);
        }
        Payload::Icmp(icmp_type) => {
            return Access::open_if(matches!(
                icmp_type,
                ICMP_ECHO_REPLY | ICMP_UNREACHABLE | ICMP_TIME_EXCEEDED | ICMP_PARAMETER_PROBLEM
            ));
        }
        Payload::Icmpv6(icmp_type) => {
            return Access::open_if(matches!(icmp_type, ICMPV6_ECHO_REPLY | 1..=ICMPV6_LAST_ERROR));
        }
        Payload::Tcp(ports) => (protocol::TCP, ports),
        Payload::Udp(ports) => (protocol::UDP, ports),
        Payload::Other => return Access::Closed,
    };
    if policy == HostPolicy::Ports as u32 && is_listed(port_key(number, ports.destination)) {
        return Access::Open;
    }
    Access::IfExpected(ports)
}

/// Key of a port in the map of open ports: protocol number above the port, host order.
#[inline(always)]
pub const fn port_key(protocol: u8, port: u16) -> u32 {
    (protocol as u32) << 16 | port as u32
}

impl Access {
    #[inline(always)]
    const fn open_if(is_open: bool) -> Self {
        if is_open { Self::Open } else { Self::Closed }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICIES: [HostPolicy; 3] = [HostPolicy::None, HostPolicy::Ping, HostPolicy::Ports];

    fn verdict(policy: HostPolicy, payload: Payload, listed: &[u32]) -> Access {
        decide(policy as u32, &payload, |key| listed.contains(&key))
    }

    #[test]
    fn echo_requests_pass_unless_nothing_is_open_and_answers_always() {
        for policy in POLICIES {
            let ping = Access::open_if(policy != HostPolicy::None);
            assert_eq!(verdict(policy, Payload::Icmp(8), &[]), ping);
            assert_eq!(verdict(policy, Payload::Icmpv6(128), &[]), ping);
            for answer in [0, 3, 11, 12] {
                assert_eq!(verdict(policy, Payload::Icmp(answer), &[]), Access::Open, "{answer}");
            }
            for answer in [1, 2, 3, 4, 129] {
                assert_eq!(verdict(policy, Payload::Icmpv6(answer), &[]), Access::Open, "{answer}");
            }
            // Redirect, timestamp; multicast listener query, router and neighbour solicitation.
            for other in [Payload::Icmp(5), Payload::Icmp(13)] {
                assert_eq!(verdict(policy, other, &[]), Access::Closed);
            }
            for other in [0, 5, 130, 133, 135, 137] {
                assert_eq!(verdict(policy, Payload::Icmpv6(other), &[]), Access::Closed, "{other}");
            }
            assert_eq!(verdict(policy, Payload::Other, &[]), Access::Closed);
        }
    }

    proptest! {
        #[test]
        fn ports_are_open_when_they_are_listed_and_otherwise_as_the_sockets_have_it(
            source: u16, destination: u16, is_tcp: bool, listed in proptest::bool::ANY,
        ) {
            let ports = Ports { source, destination };
            let (payload, number) = if is_tcp {
                (Payload::Tcp(ports), protocol::TCP)
            } else {
                (Payload::Udp(ports), protocol::UDP)
            };
            let key = port_key(number, destination);
            let keys = if listed { [key] } else { [port_key(number, !destination)] };
            for policy in POLICIES {
                let opens = listed && policy == HostPolicy::Ports;
                let expected = if opens { Access::Open } else { Access::IfExpected(ports) };
                prop_assert_eq!(verdict(policy, payload, &keys), expected);
            }
        }
    }
}
