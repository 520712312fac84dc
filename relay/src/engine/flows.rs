//! The live flows of a relay, with the names of peers and rules.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use relay_common::{header::protocol, verdict::Verdict};

use super::{
    Classified, Context, Kind, Result,
    explain::{ExplainError, did_you_mean},
    in_force::InForce,
    instant, observe,
};
use crate::{
    datapath::{Datapath, LiveFlow},
    model::{
        InterfaceName, Owners, PeerName, PublicKey, Relay, Rule, RuleName, Service, Services,
        Transport,
    },
    policy::Compiled,
    stats::{Flow, FlowEnd, Flows},
};

/// A filter names no rule.
#[derive(Debug, thiserror::Error)]
#[error("{rule:?} is no rule of {interface}{hint}")]
struct UnknownRule {
    rule: String,
    interface: InterfaceName,
    hint: String,
}

impl UnknownRule {
    fn new(relay: &Relay, rule: &str) -> Self {
        let hint = did_you_mean(rule, relay.rules.iter().map(|rule| rule.name.as_str()));
        Self { rule: rule.to_owned(), interface: relay.interface.clone(), hint }
    }
}

impl Classified for UnknownRule {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// Which flows are shown.
#[derive(Debug, Clone, Default)]
pub struct FlowFilter {
    /// Those of this peer or address, whichever side it is.
    pub peer: Option<String>,
    /// Those that this rule allowed.
    pub rule: Option<String>,
    /// Those that asked for one of these.
    pub services: Vec<Services>,
}

/// The live flows that pass a filter. Those that a change or the end of their rule has ended are left
/// out, if it is known which configuration is in force.
///
/// # Errors
/// The relay is not up; the kernel does not answer, or a pin or the record cannot be read; the filter
/// names an unknown peer or rule.
pub async fn flows(context: &Context, filter: &FlowFilter) -> Result<Flows> {
    context.require_up()?;
    let (handle, datapath) = (context.handle(), context.datapath());
    let interface = &context.relay().interface;
    let observed = observe::datapath(handle, interface, datapath).await?;
    let in_force = InForce::find(handle, interface, &observed, None).await?;
    let relay = in_force.as_ref().map_or(context.relay(), |in_force| &in_force.relay);
    if let Some(end) = &filter.peer
        && relay.named(end).is_none()
        && end.parse::<IpAddr>().is_err()
    {
        return Err(ExplainError::unknown_end(relay, end).into());
    }
    if let Some(rule) = &filter.rule
        && !observed.slots.rules.keys().any(|name| name.as_str() == rule)
    {
        return Err(UnknownRule::new(relay, rule).into());
    }
    let mut flows = named(relay, datapath)?;
    if let Some(InForce { relay, compiled, slots }) = &in_force {
        let allowed = Allowed::by(compiled, slots.rules(), &relay.rules);
        flows.retain(|flow| allowed.goes_on(flow));
    }
    flows.retain(|flow| filter.passes(flow));
    Ok(Flows::new(interface.as_str(), flows.into_iter().map(|named| named.flow).collect()))
}

/// What a policy allows now.
pub(super) struct Allowed<'r> {
    compiled: &'r Compiled,
    /// Numbers of the rules that have not ended.
    rules: HashSet<u32>,
}

impl<'r> Allowed<'r> {
    /// By a compiled policy, whose rules were given these numbers.
    pub(super) fn by(compiled: &'r Compiled, numbers: &[u32], rules: &[Rule]) -> Self {
        let now = instant::now();
        let live = numbers.iter().zip(rules).filter(|(_, rule)| !rule.has_ended(now));
        Self { compiled, rules: live.map(|(number, _)| *number).collect() }
    }

    /// Whether the next packet of a flow passes.
    pub(super) fn goes_on(&self, flow: &Named) -> bool {
        let Named { ends: [from, to], service, .. } = *flow;
        let rule = self.compiled.allowing(from, to, service);
        self.compiled.decide(from, to) == Ok(Verdict::Relay)
            || rule.is_some_and(|number| self.rules.contains(&number))
    }
}

/// A live flow, as the kernel and as people see it.
pub(super) struct Named {
    /// Who began it with whom.
    pub(super) ends: [IpAddr; 2],
    /// What it asked for.
    pub(super) service: Service,
    /// The same with names.
    pub(super) flow: Flow,
}

/// All live flows, with the names that a configuration has.
///
/// # Errors
/// A pin cannot be read.
pub(super) fn named(relay: &Relay, datapath: &Datapath) -> Result<Vec<Named>> {
    let taken = datapath.taken()?;
    let names = Names {
        peers: relay.peers.iter().map(|peer| (peer.public_key, &peer.name)).collect(),
        slots: taken.peers.into_iter().map(|(key, slot)| (slot, key)).collect(),
        owners: Owners::of(relay),
        rules: taken.rules.into_iter().map(|(name, number)| (number, name)).collect(),
    };
    Ok(datapath.flows()?.iter().map(|flow| names.of(flow)).collect())
}

impl FlowFilter {
    fn passes(&self, Named { service, flow, .. }: &Named) -> bool {
        let is = |end: &FlowEnd, asked: &String| {
            end.peer.as_ref() == Some(asked) || asked.parse() == Ok(end.address)
        };
        self.peer.as_ref().is_none_or(|asked| is(&flow.from, asked) || is(&flow.to, asked))
            && self.rule.as_ref().is_none_or(|rule| flow.rule == *rule)
            && (self.services.is_empty() || self.services.iter().any(|one| one.hold(*service)))
    }
}

/// What the numbers of a flow stand for.
struct Names<'r> {
    peers: HashMap<PublicKey, &'r PeerName>,
    slots: BTreeMap<u32, PublicKey>,
    owners: Owners<'r>,
    rules: HashMap<u32, RuleName>,
}

impl Names<'_> {
    fn of(&self, flow: &LiveFlow) -> Named {
        let ends = [flow.beginner, flow.answerer];
        Named { ends, service: service(flow), flow: self.show(flow) }
    }

    fn show(&self, flow: &LiveFlow) -> Flow {
        let has_ports = matches!(flow.protocol, protocol::TCP | protocol::UDP);
        let port = |port| has_ports.then_some(port);
        let beginner = self.slots.get(&flow.slot).map(|key| {
            self.peers.get(key).map_or_else(|| key.to_string(), |name| name.to_string())
        });
        let answerer = self.owners.owner(flow.answerer).map(|peer| peer.name.to_string());
        let rule = self.rules.get(&flow.rule);
        Flow {
            from: FlowEnd { peer: beginner, address: flow.beginner, port: port(flow.ports.0) },
            to: FlowEnd { peer: answerer, address: flow.answerer, port: port(flow.ports.1) },
            service: service(flow).to_string(),
            rule: rule.map_or_else(|| flow.rule.to_string(), |name| name.as_str().to_owned()),
            state: flow.state.label(),
            age_seconds: flow.age.as_secs(),
            expires_in_seconds: flow.expires_in.as_secs(),
            packets: flow.packets,
            bytes: flow.bytes,
        }
    }
}

/// What a flow asked for.
fn service(flow: &LiveFlow) -> Service {
    match flow.protocol {
        protocol::TCP => Service::Port(Transport::Tcp, flow.ports.1),
        protocol::UDP => Service::Port(Transport::Udp, flow.ports.1),
        protocol::ICMP | protocol::ICMPV6 => Service::Echo,
        other => Service::Protocol(other),
    }
}
