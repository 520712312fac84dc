//! The rules that come nearest to letting dropped packets pass.

use std::{collections::HashMap, net::IpAddr};

use relay_common::{Reason, header::protocol};
use serde::Serialize;

use super::{explain::sentence, pair::Pair};
use crate::{
    datapath::Inner,
    model::{End, Relay, Service, Territory, Transport},
    policy::{Miss, Nearest, Opening},
};

/// The rule that comes nearest to letting a dropped packet pass.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NearRule {
    /// Its name.
    pub(super) name: String,
    /// Why it does not let it pass.
    miss: &'static str,
    /// The same as a sentence.
    pub(super) text: String,
}

/// Finds them, by the configuration. What was read of a pair of addresses is kept.
pub(super) struct NearRules<'r> {
    relay: &'r Relay,
    territory: Territory,
    pairs: HashMap<[IpAddr; 2], Option<Pair<'r>>>,
}

/// Pairs of addresses that are kept.
const PAIRS_KEPT: usize = 4096;

impl<'r> NearRules<'r> {
    /// Of the rules of a relay.
    pub(super) fn of(relay: &'r Relay) -> Self {
        Self { relay, territory: Territory::of(relay), pairs: HashMap::new() }
    }

    /// The one of a packet that was dropped at a time, seconds since 1970-01-01T00:00:00Z; `None` if
    /// rules have nothing to do with it, or none names both peers.
    pub(super) fn of_packet(
        &mut self,
        reason: Reason,
        headers: &Inner,
        time: u64,
    ) -> Option<NearRule> {
        if self.relay.rules.is_empty() || !matches!(reason, Reason::NoRule | Reason::RuleEnded) {
            return None;
        }
        let Inner { source, destination, .. } = *headers;
        let (asked, answered) = services(headers)?;
        let near = self.between([source, destination]).and_then(|pair| {
            let (rule, miss) = nearest(pair, source, destination, asked, time)?;
            let ends = [pair.from.0, pair.to.0].map(|peer| peer.name.as_str());
            let miss = miss?;
            let text = sentence(&pair.relay.rules[rule], Some(miss), ends, asked);
            Some((miss, NearRule::new(pair, rule, miss.label(), &text)))
        });
        // What answers may come nearer: a rule lets the other side begin just this.
        let is_far = near.as_ref().is_none_or(|(miss, _)| *miss != Miss::Ended);
        let answer = answered.filter(|_| is_far).and_then(|service| {
            let pair = self.between([destination, source])?;
            let (rule, miss) = nearest(pair, destination, source, service, time)?;
            let [a, b] = [pair.from.0, pair.to.0].map(|peer| peer.name.as_str());
            let text =
                format!("lets {b} answer {a} in a flow of {service} that {a} began, not outside");
            miss.is_none().then(|| NearRule::new(pair, rule, "no_flow", &text))
        });
        answer.or(near.map(|(_, near)| near))
    }

    fn between(&mut self, ends: [IpAddr; 2]) -> Option<&Pair<'r>> {
        if self.pairs.len() >= PAIRS_KEPT && !self.pairs.contains_key(&ends) {
            self.pairs.clear();
        }
        let (relay, territory) = (self.relay, &self.territory);
        let pair = || Pair::of(relay, territory, ends.map(End::Address));
        self.pairs.entry(ends).or_insert_with(pair).as_ref()
    }
}

impl NearRule {
    fn new(pair: &Pair<'_>, rule: usize, miss: &'static str, text: &str) -> Self {
        let name = pair.relay.rules[rule].name.to_string();
        Self { text: format!("rule {name} {text}"), name, miss }
    }
}

fn nearest(
    pair: &Pair<'_>,
    source: IpAddr,
    destination: IpAddr,
    service: Service,
    time: u64,
) -> Option<(usize, Option<Miss>)> {
    let opening = Opening { source, destination, service };
    let Nearest { rule, miss } = Nearest::of(&pair.sources(), &opening, time)?;
    Some((rule, miss))
}

/// What a packet asks for, and what it would be an answer of; `None` if that was not read.
fn services(headers: &Inner) -> Option<(Service, Option<Service>)> {
    const ECHO_V4: (u16, u16) = (8, 0);
    const ECHO_V6: (u16, u16) = (128, 129);
    let (first, second) = headers.ports;
    let of_ports = |transport| {
        let port = |number| Service::Port(transport, number);
        (headers.ports != (0, 0)).then(|| (port(second), Some(port(first))))
    };
    match headers.protocol {
        protocol::TCP => of_ports(Transport::Tcp),
        protocol::UDP => of_ports(Transport::Udp),
        protocol::ICMP | protocol::ICMPV6 => {
            let (request, reply) = if headers.source.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
            let [kind, _code] = first.to_be_bytes();
            let kind = u16::from(kind);
            let asked = if kind == request { Service::Echo } else { Service::Icmp };
            Some((asked, (kind == reply).then_some(Service::Echo)))
        }
        number => Some((Service::Protocol(number), Some(Service::Protocol(number)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Peer, PublicKey, Rule, Selector, Services};

    const NOW: u64 = 1_000;

    fn relay() -> Relay {
        let peers = ["ann", "web", "guest"].into_iter().zip(2u8..).map(|(name, number)| Peer {
            addresses: vec![IpAddr::from([10, 3, 2, number])],
            ..Peer::new(name.parse().expect("a name"), PublicKey::from_bytes([number; 32]))
        });
        let rule = |name: &str, from, port| Rule {
            from: vec![Selector::Peer(from)],
            to: vec![Selector::Peer(1)],
            services: vec![Services::Ports { transport: Transport::Tcp, first: port, last: port }],
            ..Rule::new(name.parse().expect("a name"))
        };
        let audit = Rule { until: Some(NOW - 1), ..rule("audit", 2, 443) };
        Relay {
            peers: peers.collect(),
            rules: vec![rule("ssh", 0, 22), audit],
            ..Relay::new("relay0".parse().expect("a name"))
        }
    }

    fn near(reason: Reason, from: u8, to: u8, protocol: u8, ports: (u16, u16)) -> Option<String> {
        let relay = relay();
        let [source, destination] = [from, to].map(|number| IpAddr::from([10, 3, 2, number]));
        let headers = Inner { source, destination, protocol, ports };
        let near = NearRules::of(&relay).of_packet(reason, &headers, NOW)?;
        Some(format!("{}: {}", near.miss, near.text))
    }

    #[test]
    fn a_dropped_packet_has_the_rule_that_is_nearest_and_why_it_is_not_enough() {
        let of = |reason, from, to, ports| near(reason, from, to, protocol::TCP, ports);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            of(Reason::NoRule, 2, 3, (40_000, 23)),
            text("services: rule ssh lets ann begin tcp/22 with web, not tcp/23")
        );
        assert_eq!(
            of(Reason::NoRule, 3, 2, (40_000, 22)),
            text("other_way: rule ssh lets ann begin tcp/22 with web, not web with ann")
        );
        assert_eq!(
            of(Reason::NoRule, 3, 2, (22, 40_000)),
            text(
                "no_flow: rule ssh lets web answer ann in a flow of tcp/22 that ann began, not \
                 outside"
            )
        );
        let ended = of(Reason::RuleEnded, 4, 3, (40_000, 443)).expect("a rule");
        assert!(ended.starts_with("ended: rule audit let guest begin tcp/443 with web; it ended"));
        let echo = near(Reason::NoRule, 2, 3, protocol::ICMP, (0x0800, 0));
        assert_eq!(echo, text("services: rule ssh lets ann begin tcp/22 with web, not icmp/echo"));
        assert_eq!(of(Reason::NoRule, 2, 4, (40_000, 22)), None);
        assert_eq!(of(Reason::FlowLimit, 2, 3, (40_000, 22)), None);
    }
}
