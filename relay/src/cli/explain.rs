use std::{
    io::{self, Write},
    net::IpAddr,
    path::Path,
};

use anyhow::Result;
use clap::Args;
use relay_common::{Reason, verdict::Verdict};
use serde::Serialize;

use super::{
    exit::{Denied, HostError, UsageError},
    host, output, plan,
    running::Running,
    subject::{Subject, Which},
};
use crate::{
    config::{self, Options},
    datapath::{Answer, Datapath, echo},
    model::{Peer, Relay, host_prefix},
    net,
    policy::{Explanation, Party, Sender, Sources},
};

/// `relay explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 allowed in every direction asked about, 1 denied in one.\n\n\
                        Examples:\n  relay explain node-a node-b\n  relay explain node-a 192.168.40.7\n  \
                        relay explain --config-only --config new.toml node-a node-b"
)]
pub(super) struct Explain {
    /// The one end: a peer's name, or an address.
    a: String,
    /// The other end.
    b: String,
    /// Answer from the configuration alone, without a relay.
    #[arg(long, conflicts_with = "interface")]
    config_only: bool,
    /// Show the packets that were asked about.
    #[arg(long, conflicts_with = "config_only")]
    packet: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// One end as it was named.
enum End<'a> {
    Peer(&'a Peer),
    Address(IpAddr),
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    schema_version: u32,
    allowed: bool,
    /// The generation that answered; null with `--config-only`.
    generation: Option<u64>,
    directions: Vec<Direction>,
}

/// One packet's way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Direction {
    from: Option<String>,
    source: IpAddr,
    to: Option<String>,
    destination: IpAddr,
    allowed: bool,
    /// Where an allowed packet goes: `peer`, `host` or `stack`.
    way: Option<&'static str>,
    /// Why a denied packet is refused.
    reason: Option<&'static str>,
    /// The entry of the sender's list that holds the destination.
    source_entry: Option<String>,
    /// The entry of the receiver's list that holds the source.
    destination_entry: Option<String>,
    /// What to write where.
    remedies: Vec<String>,
    /// What the answer about an echo request does not say.
    notes: Vec<String>,
    /// What the configuration would answer instead, when the program in force answers otherwise.
    configured: Option<&'static str>,
    /// The packet that was asked about, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<String>,
}

/// Whom to ask, besides the configuration.
struct Kernel {
    running: Running,
    datapath: Datapath,
    host_addresses: Vec<IpAddr>,
}

impl Explain {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let subject = match self.config_only {
            true => Subject::Configured(config::load(config, Options { allow_empty: true })?),
            false => self.which.find(config)?,
        };
        let loaded = match &subject {
            Subject::Configured(loaded) => loaded,
            Subject::Bare { relay, .. } => {
                subject.warn();
                return self.ask_alone(relay, bpffs);
            }
        };
        let relay = &loaded.relay;
        let ends = [end(relay, &self.a)?, end(relay, &self.b)?];
        let kernel = if self.config_only { None } else { Some(observe(relay, bpffs)?) };
        let slots: Vec<u32> = (1..).take(relay.peers.len()).collect();
        let host_addresses = kernel.as_ref().map_or(&[][..], |kernel| &kernel.host_addresses);
        let sources = Sources { relay, host_addresses, slots: &slots };

        let mut directions = Vec::new();
        let mut is_asked = false;
        for (a, b) in self.pairs(&ends)? {
            let there = Explanation::of(&sources, a, b);
            // From and to the relay itself, and beyond the overlay, answers follow from the question.
            let back = Explanation::of(&sources, b, a).filter(|back| {
                let between = there.is_some_and(|there| there.is_between_peers());
                a != b && between && back.is_between_peers()
            });
            for explanation in there.into_iter().chain(back) {
                let packet = echo(explanation.source.address, explanation.destination.address);
                let answer = match &kernel {
                    Some(kernel) => {
                        is_asked |= explanation.sender == Sender::Peer;
                        kernel.answer(&explanation, &packet)?
                    }
                    None => explanation.verdict,
                };
                let place = |peer| loaded.place_of(peer);
                let mut direction = Direction::new(relay, &explanation, answer, place);
                if direction.allowed {
                    let absent = kernel.as_ref().and_then(|kernel| kernel.absent(&explanation));
                    direction.notes.extend(absent);
                }
                direction.packet = self.packet.then(|| super::running::hex(&packet));
                directions.push(direction);
            }
        }
        if directions.is_empty() {
            let (a, b) = (self.a.clone(), self.b.clone());
            return Err(UsageError::NoPeerAtEither { a, b }.into());
        }
        self.show(directions, kernel.as_ref().filter(|_| is_asked))
    }

    /// What the program in force answers about the one packet, where nothing else is known.
    fn ask_alone(&self, relay: &Relay, bpffs: &Path) -> Result<()> {
        let ends = [end(relay, &self.a)?, end(relay, &self.b)?];
        let kernel = observe(relay, bpffs)?;
        let mut directions = Vec::new();
        for (source, destination) in self.pairs(&ends)? {
            let packet = echo(source, destination);
            let answer = kernel.datapath.probe(&kernel.running.hooks, &packet)?;
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
                remedies: Vec::new(),
                notes: vec![format!("taken for a packet that a peer sends from {source}")],
                configured: None,
                packet: self.packet.then(|| super::running::hex(&packet)),
            });
        }
        self.show(directions, Some(&kernel))
    }

    fn show(&self, directions: Vec<Direction>, asked: Option<&Kernel>) -> Result<()> {
        let policy = asked.and_then(|kernel| kernel.running.policy());
        let shown = Shown {
            schema_version: 1,
            allowed: directions.iter().all(|direction| direction.allowed),
            generation: policy.map(|policy| policy.generation),
            directions,
        };
        let mut out = output::stdout();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &shown)?;
            writeln!(out)?;
        } else {
            render_into(&mut out, &shown)?;
        }
        out.flush()?;
        if shown.allowed { Ok(()) } else { Err(Denied.into()) }
    }

    /// Addresses of one family each.
    fn pairs(&self, [a, b]: &[End<'_>; 2]) -> Result<Vec<(IpAddr, IpAddr)>> {
        let pairs: Vec<_> = match (a, b) {
            (End::Address(a), End::Address(b)) => vec![(*a, *b)],
            (End::Address(a), End::Peer(b)) => {
                b.addresses.iter().map(|address| (*a, *address)).collect()
            }
            (End::Peer(a), End::Address(b)) => {
                a.addresses.iter().map(|address| (*address, *b)).collect()
            }
            (End::Peer(a), End::Peer(b)) => {
                [true, false].into_iter().flat_map(|is_v4| beside(a, b, is_v4)).collect()
            }
        };
        let pairs: Vec<_> = pairs.into_iter().filter(|(a, b)| a.is_ipv4() == b.is_ipv4()).collect();
        if pairs.is_empty() {
            let (a, b) = (&self.a, &self.b);
            return Err(UsageError::NoFamily { a: a.clone(), b: b.clone() }.into());
        }
        Ok(pairs)
    }
}

/// Pairs of addresses of one family in which each address occurs. A packet passes when each of two
/// lists holds one of its addresses, so these pass only if all pairs do.
fn beside(a: &Peer, b: &Peer, is_v4: bool) -> Vec<(IpAddr, IpAddr)> {
    let of = |peer: &Peer| -> Vec<IpAddr> {
        peer.addresses.iter().copied().filter(|address| address.is_ipv4() == is_v4).collect()
    };
    let (a, b) = (of(a), of(b));
    let (Some(last_a), Some(last_b)) = (a.last(), b.last()) else { return Vec::new() };
    let at = |place: usize| (*a.get(place).unwrap_or(last_a), *b.get(place).unwrap_or(last_b));
    (0..a.len().max(b.len())).map(at).collect()
}

fn end<'a>(relay: &'a Relay, text: &str) -> Result<End<'a>> {
    if let Some((_, peer)) = relay.named(text) {
        return Ok(End::Peer(peer));
    }
    if let Ok(address) = text.parse() {
        return Ok(End::Address(address));
    }
    let names = relay.peers.iter().map(|peer| peer.name.as_str());
    let nearest = names.max_by(|a, b| strsim::jaro(text, a).total_cmp(&strsim::jaro(text, b)));
    let hint = nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"));
    Err(UsageError::NoSuchEnd { end: text.to_owned(), hint }.into())
}

fn observe(relay: &Relay, bpffs: &Path) -> Result<Kernel> {
    host::require_capabilities("explain")?;
    let interface = relay.interface.as_str();
    let datapath = Datapath::open(bpffs, interface)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let handle = net::connect()?;
        let running = Running::observe(&handle, relay, &datapath).await?;
        if running.device.is_none() {
            return Err(HostError::NotUp { interface: interface.to_owned() }.into());
        }
        let host_addresses = plan::host_addresses(&handle, &relay.interface).await?;
        Ok(Kernel { running, datapath, host_addresses })
    })
}

impl Kernel {
    /// That the receiver never connected. Only its first handshake tells WireGuard where it is.
    fn absent(&self, explanation: &Explanation<'_>) -> Option<String> {
        let (_, receiver) = explanation.destination.peer?;
        let mut peers = self.running.device.iter().flat_map(|device| &device.peers);
        let peer = peers.find(|peer| peer.public_key == receiver.public_key)?;
        let name = &receiver.name;
        peer.endpoint.is_none().then(|| {
            format!(
                "{name} has never connected: what is sent to it is lost until it does, and its sender \
                 may not be told"
            )
        })
    }

    /// What becomes of the packet as things stand. A peer whose key WireGuard does not know neither
    /// sends nor gets anything, whatever the program says.
    fn answer(&self, explanation: &Explanation<'_>, packet: &[u8]) -> Result<Answer> {
        let is_known = |party: &Party<'_>| {
            let peers = self.running.device.iter().flat_map(|device| &device.peers);
            party.peer.is_none_or(|(_, peer)| {
                peers.into_iter().any(|known| known.public_key == peer.public_key)
            })
        };
        let answer = match explanation.sender {
            Sender::Peer => self.datapath.probe(&self.running.hooks, packet)?,
            Sender::Host | Sender::Outside => explanation.verdict,
        };
        Ok(match answer {
            // Where the host forwards nothing the program cannot tell its addresses from others;
            // what it passes up then the stack drops.
            Ok(Verdict::ToHost) if !explanation.destination.is_host => {
                Err(Reason::DestinationUnknown)
            }
            Ok(_) if !is_known(&explanation.source) => Err(Reason::SourceUnknown),
            Ok(_) if !is_known(&explanation.destination) => Err(Reason::DestinationUnknown),
            answer => answer,
        })
    }
}

impl Direction {
    fn new(
        relay: &Relay,
        explanation: &Explanation<'_>,
        answer: Answer,
        place: impl Fn(usize) -> Option<String>,
    ) -> Self {
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
        let short =
            explanation.short_lists().filter(|(party, _)| is_about_lists && !party.is_off());
        remedies.extend(short.filter_map(|(party, other)| {
            let (index, peer) = party.peer?;
            let entry = host_prefix(other);
            let at = place(index).map_or_else(String::new, |place| format!(" ({place})"));
            Some(format!("add \"{entry}\" to allowed_ips of {}{at}, and run `relay up`", peer.name))
        }));
        if answer == Err(Reason::HostAccess) {
            let text = "write host_access = \"ping\", a list of ports or \"all\" below [relay], and run \
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
            remedies,
            // They explain what is configured.
            notes: if answer == *verdict { explanation.notes(relay) } else { Vec::new() },
            configured: (answer != *verdict).then(|| verdict.map_or_else(Reason::label, way)),
            packet: None,
        }
    }
}

const fn way(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Relay => "peer",
        Verdict::ToHost => "host",
        Verdict::ToStack => "stack",
    }
}

fn render_into(out: &mut impl Write, shown: &Shown) -> io::Result<()> {
    for direction in &shown.directions {
        let Direction { source, destination, .. } = direction;
        let (from, to) = (named(direction.from.as_ref()), named(direction.to.as_ref()));
        let verdict = match (direction.way, direction.reason) {
            (Some("host"), _) => "allowed, to the relay itself".to_owned(),
            (Some("stack"), _) => "allowed, to the host's routing".to_owned(),
            (_, Some(reason)) => format!("denied: {reason}"),
            (_, None) if direction.from.is_none() && direction.to.is_some() => {
                "allowed, from the relay itself".to_owned()
            }
            (_, None) => "allowed".to_owned(),
        };
        writeln!(out, "{from}{source} → {to}{destination}: {verdict}")?;
        for (name, entry, other) in [
            (&direction.from, &direction.source_entry, destination),
            (&direction.to, &direction.destination_entry, source),
        ] {
            let Some(name) = name else { continue };
            match entry {
                Some(entry) => writeln!(out, "  {name} lists {other}: {entry}")?,
                None => writeln!(out, "  {name} does not list {other}")?,
            }
        }
        if let Some(reason) = direction.reason {
            let describe = Reason::ALL.iter().find(|known| known.label() == reason);
            writeln!(out, "  {}", describe.map_or("", |reason| reason.describe()))?;
        }
        for note in &direction.notes {
            writeln!(out, "  {note}")?;
        }
        if let Some(configured) = direction.configured {
            writeln!(
                out,
                "  the configuration on disk answers otherwise ({configured}); `relay up` puts it in \
                 force"
            )?;
        }
        if let Some(packet) = &direction.packet {
            writeln!(out, "  asked about an echo request of 84 bytes: {packet}")?;
        }
    }
    // Both directions want the same.
    let mut remedies: Vec<&String> = Vec::new();
    for remedy in shown.directions.iter().flat_map(|direction| &direction.remedies) {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
            writeln!(out, "to allow it: {remedy}")?;
        }
    }
    match shown.generation {
        Some(number) => writeln!(out, "as answered by the program in force, generation {number}"),
        None => writeln!(out, "as the configuration has it"),
    }
}

fn named(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!("{name} "))
}
