use std::{fmt, mem};

use crate::model::{HostAccess, Service, Services, Transport};

/// A set of services, as ascending ranges of places on one line: TCP ports, UDP ports, echo
/// requests, other ICMP, other protocols. Ranges neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceSet {
    ranges: Vec<(u32, u32)>,
}

const UDP: u32 = 1 << 16;
const ECHO: u32 = 2 << 16;
const ICMP: u32 = ECHO + 1;
const PROTOCOLS: u32 = ICMP + 1;
const LAST: u32 = PROTOCOLS + u8::MAX as u32;

/// Protocols up to which a set names them one by one.
const NAMED_MAX: usize = 8;

impl ServiceSet {
    /// Every service.
    pub fn everything() -> Self {
        Self { ranges: vec![(0, LAST)] }
    }

    /// What a rule with these `ports` is for: without any, everything.
    pub fn of(services: &[Services]) -> Self {
        if services.is_empty() {
            return Self::everything();
        }
        let ranges = services.iter().map(|services| match *services {
            Services::Ports { transport, first, last } => {
                (port(transport, first), port(transport, last))
            }
            Services::Echo => (ECHO, ECHO),
            Services::Icmp => (ECHO, ICMP),
            Services::Protocol(number) => {
                (PROTOCOLS + u32::from(number), PROTOCOLS + u32::from(number))
            }
        });
        Self::joined(ranges.collect())
    }

    /// What peers may begin with the relay itself.
    pub fn of_host(access: &HostAccess) -> Self {
        match access {
            HostAccess::None => Self::default(),
            HostAccess::Ping => Self::of(&[Services::Echo]),
            HostAccess::All => Self::everything(),
            HostAccess::Ports(ports) => {
                let ports = ports.iter().map(|port| Services::Ports {
                    transport: port.transport,
                    first: port.number,
                    last: port.number,
                });
                Self::of(&ports.chain([Services::Echo]).collect::<Vec<_>>())
            }
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether a service is in it.
    pub fn contains(&self, service: Service) -> bool {
        let place = match service {
            Service::Port(transport, number) => port(transport, number),
            Service::Echo => ECHO,
            Service::Icmp => ICMP,
            Service::Protocol(number) => PROTOCOLS + u32::from(number),
        };
        self.ranges.iter().any(|&(first, last)| (first..=last).contains(&place))
    }

    /// What is in either.
    pub fn union(&self, other: &Self) -> Self {
        Self::joined([&self.ranges[..], &other.ranges].concat())
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        let both = self.ranges.iter().flat_map(|&(first, last)| {
            let overlap = move |&(from, to): &(u32, u32)| (first.max(from), last.min(to));
            other.ranges.iter().map(overlap).filter(|(first, last)| first <= last)
        });
        Self { ranges: both.collect() }
    }

    /// What is in this set and not in the other.
    pub fn without(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    /// What is not in it.
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut next = 0;
        for &(first, last) in &self.ranges {
            if next < first {
                ranges.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            ranges.push((next, LAST));
        }
        Self { ranges }
    }

    /// Its entries as a rule has them, and whether they are what the set lacks: "everything but".
    /// The shorter of both.
    pub fn entries(&self) -> (Vec<String>, bool) {
        let (own, others) = (self.named(), self.complement().named());
        // Most protocols are on one of both sides.
        let is_most =
            self.clipped(PROTOCOLS, LAST).map(|(first, last)| last - first + 1).sum::<u32>()
                > u32::from(u8::MAX / 2);
        if is_most && others.len() <= own.len() { (others, true) } else { (own, false) }
    }

    fn named(&self) -> Vec<String> {
        let mut entries: Vec<String> = [Transport::Tcp, Transport::Udp]
            .into_iter()
            .flat_map(|transport| {
                let ports = self.clipped(port(transport, 0), port(transport, u16::MAX));
                ports.map(move |(first, last)| {
                    Services::Ports { transport, first: low(first), last: low(last) }.to_string()
                })
            })
            .collect();
        match self.clipped(ECHO, ICMP).next() {
            Some((ECHO, ECHO)) => entries.push(Services::Echo.to_string()),
            Some((ICMP, ICMP)) => entries.push("icmp other than echo".to_owned()),
            Some(_) => entries.push(Services::Icmp.to_string()),
            None => {}
        }
        let of = |set: &Self| -> Vec<String> {
            let numbers = set.clipped(PROTOCOLS, LAST).flat_map(|(first, last)| first..=last);
            let number = |place: u32| u8::try_from(place - PROTOCOLS).unwrap_or(u8::MAX);
            numbers.map(|place| Services::Protocol(number(place)).to_string()).collect()
        };
        let protocols = of(self);
        if protocols.len() <= NAMED_MAX {
            entries.extend(protocols);
        } else {
            let lacking = of(&self.complement());
            let but = if lacking.is_empty() { "" } else { " but " };
            entries.push(format!("every other protocol{but}{}", lacking.join(" and ")));
        }
        entries
    }

    /// Its ranges within these places.
    fn clipped(&self, from: u32, to: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let clip = move |&(first, last): &(u32, u32)| (first.max(from), last.min(to));
        self.ranges.iter().map(clip).filter(|(first, last)| first <= last)
    }

    fn joined(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|later, kept| {
            let touches = later.0 <= kept.1 + 1;
            if touches {
                kept.1 = kept.1.max(mem::take(&mut later.1));
            }
            touches
        });
        Self { ranges }
    }
}

const fn port(transport: Transport, number: u16) -> u32 {
    match transport {
        Transport::Tcp => number as u32,
        Transport::Udp => UDP + number as u32,
    }
}

/// The port at a place.
const fn low(place: u32) -> u16 {
    let [_, _, high, low] = place.to_be_bytes();
    u16::from_be_bytes([high, low])
}

impl fmt::Display for ServiceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entries() {
            (entries, true) if entries.is_empty() => f.write_str("everything"),
            (entries, true) => write!(f, "everything but {}", entries.join(", ")),
            (entries, false) if entries.is_empty() => f.write_str("nothing"),
            (entries, false) => f.write_str(&entries.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(first: u16, last: u16) -> Services {
        Services::Ports { transport: Transport::Tcp, first, last }
    }

    #[test]
    fn sets_are_written_in_the_shorter_way() {
        let ssh = ServiceSet::of(&[tcp(22, 22)]);
        let all = ServiceSet::everything();
        assert_eq!(all.to_string(), "everything");
        assert_eq!(ServiceSet::of(&[]).to_string(), "everything");
        assert_eq!(ssh.to_string(), "tcp/22");
        assert_eq!(all.without(&ssh).to_string(), "everything but tcp/22");
        assert_eq!(all.without(&all).to_string(), "nothing");
        let touching = ServiceSet::of(&[tcp(24, 30), tcp(22, 23), tcp(0, 1), Services::Icmp]);
        assert_eq!(touching.to_string(), "tcp/0-1, tcp/22-30, icmp");
        let tcp = ServiceSet::of(&[tcp(0, u16::MAX), Services::Protocol(132), Services::Echo]);
        assert_eq!(tcp.to_string(), "tcp, icmp/echo, sctp");
        assert_eq!(
            all.without(&tcp).to_string(),
            "everything but tcp, icmp/echo, sctp",
            "three on either side"
        );
    }

    #[test]
    fn sets_hold_what_their_entries_hold() {
        let entries = [tcp(22, 80), Services::Protocol(47), Services::Echo];
        let (set, other) = (ServiceSet::of(&entries), ServiceSet::of(&[tcp(60, 90)]));
        for service in [
            Service::Port(Transport::Tcp, 22),
            Service::Port(Transport::Tcp, 60),
            Service::Port(Transport::Tcp, 81),
            Service::Port(Transport::Udp, 22),
            Service::Echo,
            Service::Icmp,
            Service::Protocol(47),
            Service::Protocol(255),
        ] {
            let (one, two) = (set.contains(service), other.contains(service));
            assert_eq!(one, entries.iter().any(|entry| entry.hold(service)));
            assert_eq!(set.union(&other).contains(service), one || two);
            assert_eq!(set.intersection(&other).contains(service), one && two);
            assert_eq!(set.without(&other).contains(service), one && !two);
        }
    }
}
