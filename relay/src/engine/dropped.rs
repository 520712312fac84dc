//! Dropped packets with the names of their peers: what `relay observe` shows.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use relay_common::{Reason, counters::UNATTRIBUTED_SLOT, header::protocol};
use serde::Serialize;

use super::{
    Context, Result,
    explain::ExplainError,
    instant::{booted, seconds},
    near::{NearRule, NearRules},
};
use crate::{
    datapath::{Direction, DroppedPacket, Inner, Recorder},
    model::{Owners, Peer, PublicKey},
};

/// Which dropped packets to show. Nothing given is no restriction.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// From this peer or address.
    pub from: Option<String>,
    /// To this peer or address.
    pub to: Option<String>,
    /// For one of these reasons.
    pub reasons: Vec<Reason>,
    /// No older than this.
    pub since: Option<Duration>,
}

/// A dropped packet.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// When, as RFC 3339 writes it.
    time: String,
    /// Counted from the first packet that the relay dropped.
    number: u64,
    verdict: &'static str,
    reason: &'static str,
    direction: &'static str,
    from: Option<String>,
    source: Option<IpAddr>,
    source_port: Option<u16>,
    to: Option<String>,
    destination: Option<IpAddr>,
    destination_port: Option<u16>,
    protocol: Option<String>,
    length: u32,
    /// The rule that comes nearest to letting it pass.
    rule: Option<NearRule>,
}

/// Reads what the relay keeps of dropped packets.
pub struct DroppedReader<'c> {
    context: &'c Context,
    filter: Filter,
    names: Names<'c>,
    rules: NearRules<'c>,
    recorder: Recorder,
}

/// What has been read.
pub struct Batch {
    /// Those that pass the filter, oldest first.
    pub dropped: Vec<Dropped>,
    /// How many were overwritten before they could be read.
    pub lost: u64,
}

/// What turns a record into what is shown.
struct Names<'c> {
    peers: HashMap<PublicKey, &'c Peer>,
    owners: Owners<'c>,
    slots: BTreeMap<u32, PublicKey>,
    boot: SystemTime,
}

impl<'c> DroppedReader<'c> {
    /// Opens the records, and reads the `last` ones that pass the filter.
    ///
    /// # Errors
    /// An end of the filter is neither a peer nor an address; the relay is not up.
    pub fn open(context: &'c Context, filter: Filter, last: u64) -> Result<(Self, Vec<Dropped>)> {
        context.require_up()?;
        let (relay, datapath) = (context.relay(), context.datapath());
        for end in [&filter.from, &filter.to].into_iter().flatten() {
            if relay.named(end).is_none() && end.parse::<IpAddr>().is_err() {
                return Err(ExplainError::unknown_end(relay, end).into());
            }
        }
        // What the filter leaves out does not count.
        let is_open = filter.from.is_none() && filter.to.is_none() && filter.reasons.is_empty();
        let recorder = datapath.recorder(if is_open || last == 0 { last } else { u64::MAX })?;
        let names = Names::read(context)?;
        let rules = NearRules::of(relay);
        let mut reader = Self { context, filter, names, rules, recorder };
        let recorded = reader.recorder.read();
        let mut dropped = reader.passing(&recorded.packets);
        let surplus = dropped.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
        dropped.drain(..surplus);
        Ok((reader, dropped))
    }

    /// Shows packets that a recorder of this relay has read.
    ///
    /// # Errors
    /// A pin cannot be read.
    pub(super) fn show(context: &Context, packets: &[DroppedPacket]) -> Result<Vec<Dropped>> {
        let (names, mut rules) = (Names::read(context)?, NearRules::of(context.relay()));
        Ok(packets.iter().map(|packet| shown(&names, &mut rules, packet)).collect())
    }

    /// Reads what has come since the last call.
    ///
    /// # Errors
    /// The relay is no longer up.
    pub fn read(&mut self) -> Result<Batch> {
        let recorded = self.recorder.read();
        self.context.require_up()?;
        // Once a call, and not for packets without a sender: this takes longer than all the rest.
        if recorded.packets.iter().any(|packet| self.names.lack(packet.slot)) {
            self.names = Names::read(self.context)?;
        }
        Ok(Batch { dropped: self.passing(&recorded.packets), lost: recorded.lost })
    }

    fn passing(&mut self, packets: &[DroppedPacket]) -> Vec<Dropped> {
        let Self { filter, names, rules, .. } = self;
        let passing = packets.iter().filter(|packet| filter.passes(names, packet));
        passing.map(|packet| shown(names, rules, packet)).collect()
    }
}

fn shown(names: &Names<'_>, rules: &mut NearRules<'_>, packet: &DroppedPacket) -> Dropped {
    let time = seconds(names.time(packet));
    let headers = packet.headers.as_ref();
    let rule = headers.and_then(|headers| rules.of_packet(packet.reason, headers, time));
    names.show(packet, rule)
}

impl Filter {
    fn passes(&self, names: &Names<'_>, packet: &DroppedPacket) -> bool {
        let is = |end: &Option<String>, name: Option<String>, address: Option<IpAddr>| {
            end.as_ref().is_none_or(|end| {
                name.as_ref() == Some(end) || address.is_some_and(|a| end.parse() == Ok(a))
            })
        };
        let headers = packet.headers;
        is(&self.from, names.sender(packet), headers.map(|headers| headers.source))
            && is(&self.to, names.receiver(packet), headers.map(|headers| headers.destination))
            && (self.reasons.is_empty() || self.reasons.contains(&packet.reason))
            && self
                .since
                .is_none_or(|since| names.time(packet).elapsed().is_ok_and(|age| age <= since))
    }
}

impl<'c> Names<'c> {
    fn read(context: &'c Context) -> Result<Self> {
        let relay = context.relay();
        let slots = context.datapath().slots()?.into_iter().map(|(key, slot)| (slot, key));
        let peers = relay.peers.iter().map(|peer| (peer.public_key, peer)).collect();
        Ok(Self { peers, owners: Owners::of(relay), slots: slots.collect(), boot: booted() })
    }

    /// Whether the owner of a slot is unknown: it is newer than these names.
    fn lack(&self, slot: u32) -> bool {
        slot != UNATTRIBUTED_SLOT && !self.slots.contains_key(&slot)
    }

    fn time(&self, packet: &DroppedPacket) -> SystemTime {
        self.boot + Duration::from_nanos(packet.time_ns)
    }

    /// By its slot, which is known also if its address was not read.
    fn sender(&self, packet: &DroppedPacket) -> Option<String> {
        let key = self.slots.get(&packet.slot)?;
        let peer = self.peers.get(key);
        Some(peer.map_or_else(|| key.to_string(), |peer| peer.name.to_string()))
    }

    fn receiver(&self, packet: &DroppedPacket) -> Option<String> {
        let peer = self.owners.owner(packet.headers?.destination)?;
        Some(peer.name.to_string())
    }

    fn show(&self, packet: &DroppedPacket, rule: Option<NearRule>) -> Dropped {
        let headers = packet.headers;
        let has_ports = |headers: &Inner| {
            matches!(headers.protocol, protocol::TCP | protocol::UDP) && headers.ports != (0, 0)
        };
        let ports = headers.filter(has_ports).map(|headers| headers.ports);
        Dropped {
            time: humantime::format_rfc3339_millis(self.time(packet)).to_string(),
            number: packet.number,
            verdict: "dropped",
            reason: packet.reason.label(),
            direction: match packet.direction {
                Direction::Ingress => "from_peer",
                Direction::Egress => "to_peer",
            },
            from: self.sender(packet),
            source: headers.map(|headers| headers.source),
            source_port: ports.map(|(source, _)| source),
            to: self.receiver(packet),
            destination: headers.map(|headers| headers.destination),
            destination_port: ports.map(|(_, destination)| destination),
            protocol: headers.map(|headers| protocol_name(headers.protocol)),
            length: packet.len,
            rule,
        }
    }
}

/// Counts dropped packets by the name of the rule that comes nearest to letting them pass, most first;
/// `None` if none does.
pub fn by_rule(dropped: &[Dropped]) -> Vec<(Option<String>, u64)> {
    let mut counts: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for packet in dropped {
        *counts.entry(packet.rule.as_ref().map(|rule| rule.name.as_str())).or_default() += 1;
    }
    let mut counts: Vec<_> =
        counts.into_iter().map(|(name, packets)| (name.map(str::to_owned), packets)).collect();
    counts.sort_by_key(|(_, packets)| Reverse(*packets));
    counts
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |name: &Option<String>, address: &Option<IpAddr>, port: Option<u16>| {
            let address = match (address, port) {
                (Some(IpAddr::V6(address)), Some(port)) => format!("[{address}]:{port}"),
                (Some(address), Some(port)) => format!("{address}:{port}"),
                (Some(address), None) => address.to_string(),
                (None, _) => "?".to_owned(),
            };
            name.as_ref().map_or_else(|| address.clone(), |name| format!("{name} {address}"))
        };
        write!(
            f,
            "{} {} → {} {} {} bytes dropped: {}",
            self.time,
            end(&self.from, &self.source, self.source_port),
            end(&self.to, &self.destination, self.destination_port),
            self.protocol.as_deref().unwrap_or("?"),
            self.length,
            self.reason
        )?;
        self.rule.as_ref().map_or(Ok(()), |rule| write!(f, "; {}", rule.text))
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        protocol::ICMP => "ICMP".to_owned(),
        protocol::TCP => "TCP".to_owned(),
        protocol::UDP => "UDP".to_owned(),
        protocol::ICMPV6 => "ICMPv6".to_owned(),
        other => format!("protocol {other}"),
    }
}
