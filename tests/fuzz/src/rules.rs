//! Rules, groups and tests as text, below a relay with peers: what is compiled of them is the formula.

use std::net::IpAddr;

use relay::{
    model::{Relay, Service, Services, Transport},
    policy::Opening,
};

use crate::{agreement::Policy, config::judged, run::Run};

/// What the input follows.
const PREAMBLE: &str = include_str!("preamble.toml");

/// Of the rules, whose services and ends are tried.
const RULES: usize = 4;

pub(crate) fn start() -> Run {
    Box::new(|input| {
        let Ok(text) = str::from_utf8(input) else { return };
        let whole = format!("{PREAMBLE}\n{text}");
        let Some(loaded) = judged(&[("/nonexistent/relay.toml", &whole)]) else { return };
        let relay = &loaded.relay;
        let Some(policy) = Policy::of(relay) else { return };
        let services = services(relay);
        let times = times(relay);
        for is_v4 in [true, false] {
            let addresses: Vec<IpAddr> = addresses(relay, is_v4).collect();
            for source in &addresses {
                for destination in &addresses {
                    for service in &services {
                        let (source, destination, service) = (*source, *destination, *service);
                        let opening = Opening { source, destination, service };
                        times.iter().for_each(|now| policy.check(&opening, *now));
                    }
                }
            }
        }
    })
}

/// Each peer's own addresses, and one behind it.
fn addresses(relay: &Relay, is_v4: bool) -> impl Iterator<Item = IpAddr> {
    let owned = relay.peers.iter().flat_map(|peer| {
        let behind = peer.routes.iter().filter_map(|net| net.hosts().next());
        peer.addresses.iter().copied().chain(behind)
    });
    owned.filter(move |address| address.is_ipv4() == is_v4)
}

/// At the edges of what rules name.
fn services(relay: &Relay) -> Vec<Service> {
    let mut services = vec![Service::Echo, Service::Icmp, Service::Port(Transport::Tcp, 22)];
    let named = relay.rules.iter().take(RULES).flat_map(|rule| &rule.services);
    for named in named.take(2 * RULES) {
        match *named {
            Services::Ports { transport, first, last } => {
                let edges = [first.saturating_sub(1), first, last, last.saturating_add(1)];
                services.extend(edges.map(|port| Service::Port(transport, port)));
            }
            Services::Protocol(number) => services.push(Service::Protocol(number)),
            Services::Echo | Services::Icmp => {}
        }
    }
    services
}

/// Around the ends of rules.
fn times(relay: &Relay) -> Vec<u64> {
    let ends = relay.rules.iter().filter_map(|rule| rule.until).take(RULES);
    let mut times: Vec<u64> = ends.flat_map(|end| [end.saturating_sub(1), end]).collect();
    times.push(0);
    times.sort_unstable();
    times.dedup();
    times
}
