//! What becomes of packets between two ends, and why.

mod ends;
mod limited;
mod ruled;

use std::net::IpAddr;

use relay_common::{Reason, verdict::Verdict};
use serde::Serialize;

use super::{
    Context, HostError, Result, Site, Subject, desired, instant,
    observe::{Running, hex},
};
use crate::{
    config::Loaded,
    datapath::{Answer, opening},
    model::{Peer, Relay, Service, host_prefix},
    policy::{Explanation, Opening, Party, Sender, Sources},
};
pub use ends::Ends;
pub(super) use ends::{ExplainError, did_you_mean};
use ruled::Ruled;
pub(super) use ruled::sentence;

/// The answer: the JSON of `relay explain`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    schema_version: u32,
    /// What was asked for.
    pub service: String,
    /// Whether every direction is allowed.
    pub allowed: bool,
    /// The generation that was probed; none if the configuration alone answers.
    pub generation: Option<u64>,
    /// Each packet.
    pub directions: Vec<Direction>,
}

/// What becomes of one packet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Direction {
    /// The sender's name.
    pub from: Option<String>,
    /// Its source address.
    pub source: IpAddr,
    /// The receiver's name.
    pub to: Option<String>,
    /// Its destination address.
    pub destination: IpAddr,
    /// Whether it passes.
    pub allowed: bool,
    /// Where an allowed packet goes: `peer`, `host` or `stack`.
    pub way: Option<&'static str>,
    /// Why it is dropped.
    pub reason: Option<&'static str>,
    /// The entry of the sender's list that contains the destination.
    pub source_entry: Option<String>,
    /// The entry of the receiver's list that contains the source.
    pub destination_entry: Option<String>,
    /// The rule that decides, or that comes nearest.
    pub rule: Option<Ruled>,
    /// Which lines to change.
    pub remedies: Vec<String>,
    /// What the answer leaves out.
    pub notes: Vec<String>,
    /// The answer of the configuration, if the program in force gives another.
    pub configured: Option<&'static str>,
    /// The packet that the program was probed with, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
}

/// The kernel's side of the answer.
struct Kernel<'c> {
    context: &'c Context,
    running: Running,
    host_addresses: Vec<IpAddr>,
}

/// Answers from the configuration alone.
///
/// # Errors
/// An end is unknown, or there is nothing to decide between them.
pub fn explain_config(loaded: &Loaded, ends: Ends<'_>) -> Result<Explained> {
    answer(loaded, ends, None)
}

/// Answers with the program in force; without a configuration, about single packets alone.
///
/// # Errors
/// An end is unknown, there is nothing to decide between them, the process lacks a capability, or
/// the relay is not up.
pub async fn explain(site: Site<'_>, subject: Subject, ends: Ends<'_>) -> Result<Explained> {
    // First, so that a wrong name needs neither a relay nor root.
    ends.resolve(subject.relay())?;
    let context = Context::of(site, subject)?;
    let (relay, handle) = (context.relay(), context.handle());
    let running = Running::observe(handle, relay, context.datapath()).await?;
    if running.device.is_none() {
        return Err(HostError::NotUp { interface: relay.interface.clone() }.into());
    }
    let host_addresses = desired::host_addresses(handle, relay).await?;
    let kernel = Kernel { context: &context, running, host_addresses };
    match context.subject() {
        Subject::Configured(loaded) => answer(loaded, ends, Some(&kernel)),
        Subject::Bare { relay, .. } => kernel.probe_alone(relay, ends),
    }
}

fn answer(loaded: &Loaded, ends: Ends<'_>, kernel: Option<&Kernel<'_>>) -> Result<Explained> {
    let relay = &loaded.relay;
    let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
    let host_addresses = kernel.map_or(&[][..], |kernel| &kernel.host_addresses);
    let sources = Sources { relay, host_addresses, slots: &slots };
    let mut directions = Vec::new();
    let mut is_probed = false;
    let service = ends.asked();
    let now = instant::now();
    let explain = |source, destination| {
        Explanation::of(&sources, &Opening { source, destination, service }, now)
    };
    for (a, b) in ends.pairs(&ends.resolve(relay)?)? {
        let there = explain(a, b);
        // To and from the relay itself, and beyond the overlay, answers follow the request.
        let back = explain(b, a).filter(|back| {
            let between = there.is_some_and(|there| there.is_between_peers());
            a != b && between && back.is_between_peers()
        });
        let asked_back = back.filter(|_| ends.service.is_none());
        for explanation in there.into_iter().chain(asked_back) {
            let (source, destination) =
                (explanation.source.address, explanation.destination.address);
            let packet = opening(service, source, destination);
            let answer = match kernel {
                Some(kernel) => {
                    is_probed |= explanation.sender == Sender::Peer;
                    kernel.answer(&explanation, &packet)?
                }
                None => explanation.verdict,
            };
            let mut direction = Direction::new(loaded, &explanation, answer);
            if ends.service.is_some() && answer == explanation.verdict {
                direction.notes.extend(back.and_then(|back| ruled::back(&explanation, &back)));
                if direction.rule.is_none() && !direction.remedies.is_empty() {
                    direction.remedies.extend(ruled::new_rule(&explanation));
                }
            }
            if direction.allowed {
                direction.notes.extend(kernel.and_then(|kernel| kernel.absent(&explanation)));
            }
            direction.packet = ends.show_packets.then(|| hex(&packet));
            directions.push(direction);
        }
    }
    if directions.is_empty() {
        let (a, b) = (ends.a.to_owned(), ends.b.to_owned());
        return Err(ExplainError::PeerMissing { a, b }.into());
    }
    Ok(Explained::new(service, directions, kernel.filter(|_| is_probed)))
}

impl Kernel<'_> {
    /// A note if the receiver has never connected: only a handshake tells WireGuard its endpoint.
    fn absent(&self, explanation: &Explanation<'_>) -> Option<String> {
        let (_, receiver) = explanation.destination.peer?;
        let mut peers = self.running.device.iter().flat_map(|device| &device.peers);
        let peer = peers.find(|peer| peer.public_key == receiver.public_key)?;
        let name = &receiver.name;
        peer.endpoint.is_none().then(|| {
            format!(
                "{name} has never connected: packets to it are lost until it does, possibly without \
                 an error to their sender"
            )
        })
    }

    /// What becomes of the packet now. A peer whose key WireGuard does not have neither sends nor
    /// receives, whatever the program answers.
    fn answer(&self, explanation: &Explanation<'_>, packet: &[u8]) -> Result<Answer> {
        let is_known = |party: &Party<'_>| {
            let peers = self.running.device.iter().flat_map(|device| &device.peers);
            party.peer.is_none_or(|(_, peer)| {
                peers.into_iter().any(|known| known.public_key == peer.public_key)
            })
        };
        let answer = match explanation.sender {
            Sender::Peer => self.probe(packet)?,
            Sender::Host | Sender::Outside => explanation.verdict,
        };
        Ok(match answer {
            // If the host forwards nothing, the program cannot tell its addresses from others. What
            // it passes up is dropped by the stack.
            Ok(Verdict::ToHost) if !explanation.destination.is_host => {
                Err(Reason::DestinationUnknown)
            }
            Ok(_) if !is_known(&explanation.source) => Err(Reason::SourceUnknown),
            Ok(_) if !is_known(&explanation.destination) => Err(Reason::DestinationUnknown),
            answer => answer,
        })
    }
}

impl Kernel<'_> {
    fn probe(&self, packet: &[u8]) -> Result<Answer> {
        Ok(self.context.datapath().probe(&self.running.hooks, packet)?)
    }

    /// What the program in force answers about single packets, where nothing else is known.
    fn probe_alone(&self, relay: &Relay, ends: Ends<'_>) -> Result<Explained> {
        let mut directions = Vec::new();
        for (source, destination) in ends.pairs(&ends.resolve(relay)?)? {
            let packet = opening(ends.asked(), source, destination);
            let answer = self.probe(&packet)?;
            directions.push(Direction {
                from: None,
                source,
                to: None,
                destination,
                allowed: answer.is_ok(),
                way: answer.ok().map(way),
                reason: answer.err().map(Reason::label),
                source_entry: None,
                destination_entry: None,
                rule: None,
                remedies: Vec::new(),
                notes: vec![format!("assumes that a peer sends it from {source}")],
                configured: None,
                packet: ends.show_packets.then(|| hex(&packet)),
            });
        }
        Ok(Explained::new(ends.asked(), directions, Some(self)))
    }
}

impl Explained {
    fn new(service: Service, directions: Vec<Direction>, probed: Option<&Kernel<'_>>) -> Self {
        let policy = probed.and_then(|kernel| kernel.running.policy());
        Self {
            schema_version: 1,
            service: service.to_string(),
            allowed: directions.iter().all(|direction| direction.allowed),
            generation: policy.map(|policy| policy.generation),
            directions,
        }
    }
}

impl Direction {
    fn new(loaded: &Loaded, explanation: &Explanation<'_>, answer: Answer) -> Self {
        let relay = &loaded.relay;
        let name = |party: &Party<'_>| party.peer.map(|(_, peer)| peer.name.to_string());
        let entry = |party: &Party<'_>| party.entry.map(|net| net.to_string());
        let Explanation { source, destination, verdict, .. } = explanation;
        let is_about_lists = matches!(
            answer,
            Err(Reason::NotInEitherList | Reason::NotInSourceList | Reason::NotInDestinationList)
        );
        let mut remedies: Vec<String> = [source, destination]
            .into_iter()
            .filter(|party| answer.is_err() && party.is_off())
            .filter_map(|party| party.peer)
            .map(|(_, Peer { name, .. })| {
                format!("{name} is disabled; run `relay peer enable {name} --apply`")
            })
            .collect();
        let rule = explanation.rule.filter(|_| answer == *verdict);
        let rule = rule.map(|nearest| Ruled::of(loaded, explanation, nearest));
        match rule.as_ref().and_then(|rule| rule.remedy(explanation)) {
            Some(remedy) => remedies.push(remedy),
            None if is_about_lists => remedies.extend(missing_entries(loaded, explanation)),
            None => {}
        }
        remedies.extend(limited::remedies(explanation, answer.err()));
        if answer == Err(Reason::HostAccess) {
            let text = "write host_access = \"ping\", a list of ports or \"all\" below [relay] and run \
                        `relay up`";
            remedies.push(text.to_owned());
        }
        Self {
            from: name(source),
            source: source.address,
            to: name(destination),
            destination: destination.address,
            allowed: answer.is_ok(),
            way: answer.ok().map(way),
            reason: answer.err().map(Reason::label),
            source_entry: entry(source),
            destination_entry: entry(destination),
            rule,
            remedies,
            // Notes explain the configuration.
            notes: if answer == *verdict { explanation.notes(relay) } else { Vec::new() },
            configured: (answer != *verdict && !limited::is_over(answer.err()))
                .then(|| verdict.map_or_else(Reason::label, way)),
            packet: None,
        }
    }
}

/// Which lists lack which entry.
fn missing_entries(loaded: &Loaded, explanation: &Explanation<'_>) -> Vec<String> {
    let short = explanation.short_lists().filter(|(party, _)| !party.is_off());
    let remedies = short.filter_map(|(party, other)| {
        let (index, peer) = party.peer?;
        let entry = host_prefix(other);
        let at = loaded.place_of(index).map_or_else(String::new, |place| format!(" ({place})"));
        Some(format!("add \"{entry}\" to allowed_ips of {}{at}, and run `relay up`", peer.name))
    });
    remedies.collect()
}

/// Where a packet goes, in every output.
pub(super) const fn way(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Relay | Verdict::ByRule => "peer",
        Verdict::ToHost => "host",
        Verdict::ToStack => "stack",
    }
}
