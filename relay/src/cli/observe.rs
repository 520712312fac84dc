use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use relay_common::{Reason, counters::UNATTRIBUTED_SLOT, header::protocol};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::{
    exit::{HostError, UsageError},
    host, output,
    subject::Which,
};
use crate::{
    datapath::{Datapath, Direction, Inner, Recorder, Refusal},
    model::{Owners, Peer, PublicKey, Relay},
};

/// Between two looks when following.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Events that are shown where nothing else is asked for.
const LAST: u64 = 20;

/// `relay observe`.
#[derive(Debug, Args)]
#[command(
    after_help = "The relay keeps the last 4096 refused packets, whether or not anybody looks.\n\n\
                        Examples:\n  relay observe                      the last 20 refused packets\n  \
                        relay observe -f                   as they come, until Ctrl-C\n  \
                        relay observe --since 5m --from node-b\n  \
                        relay observe -f -o json --reason host_access"
)]
pub(super) struct Observe {
    /// Go on with what comes, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last N; 20, or none with --follow.
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Only what is no older: 90s, 5m, 2h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// Only from this peer or address.
    #[arg(long, value_name = "PEER")]
    from: Option<String>,
    /// Only to this peer or address.
    #[arg(long, value_name = "PEER")]
    to: Option<String>,
    /// Only for this reason (may be given more than once).
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Vec<Reason>,
    /// How to print.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line each.
    Text,
    /// A JSON object a line each.
    Json,
}

/// A refused packet with the names that the configuration has for its ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    time: String,
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
}

/// What turns a refusal into what is shown.
struct Names<'a> {
    relay: &'a Relay,
    peers: HashMap<PublicKey, &'a Peer>,
    owners: Owners<'a>,
    slots: BTreeMap<u32, PublicKey>,
    boot: SystemTime,
}

impl Observe {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let subject = self.which.find(config)?;
        let relay = subject.relay();
        host::require_capabilities("observe")?;
        subject.warn();
        let interface = relay.interface.as_str();
        let datapath = Datapath::open(bpffs, interface)?;
        if !datapath.exists() {
            return Err(HostError::NotUp { interface: interface.to_owned() }.into());
        }
        for end in [&self.from, &self.to].into_iter().flatten() {
            if relay.named(end).is_none() && end.parse::<IpAddr>().is_err() {
                return Err(UsageError::NoSuchEnd { end: end.clone(), hint: String::new() }.into());
            }
        }
        let everything = self.since.is_some().then_some(u64::MAX);
        let last = self.last.or(everything).unwrap_or(if self.follow { 0 } else { LAST });
        // Those that a filter leaves out do not count.
        let has_filter = self.from.is_some() || self.to.is_some() || !self.reason.is_empty();
        let mut recorder =
            datapath.recorder(if has_filter && last > 0 { u64::MAX } else { last })?;
        let names = Names::read(relay, &datapath)?;
        let recorded = recorder.read();
        let mut kept: Vec<_> = recorded.refusals.iter().filter(|r| self.wants(&names, r)).collect();
        let surplus = kept.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
        kept.drain(..surplus);
        let mut out = io::stdout().lock();
        for refusal in kept {
            self.print(&mut out, &names.show(refusal))?;
        }
        out.flush()?;
        if self.follow { self.follow(&mut out, &datapath, names, recorder) } else { Ok(()) }
    }

    fn follow(
        &self,
        out: &mut impl Write,
        datapath: &Datapath,
        mut names: Names<'_>,
        mut recorder: Recorder,
    ) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let end = tokio::signal::ctrl_c();
            tokio::pin!(end);
            loop {
                tokio::select! {
                    ended = &mut end => return Ok(ended?),
                    () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                }
                let recorded = recorder.read();
                if recorded.lost > 0 {
                    let lost = recorded.lost;
                    output::say(format_args!("{lost} refused packets were overwritten unread"));
                }
                if !datapath.exists() {
                    let interface = names.relay.interface.to_string();
                    return Err(HostError::NotUp { interface }.into());
                }
                // Once a look, and not for what has no sender: reading them takes longer than the rest.
                if recorded.refusals.iter().any(|refusal| names.lack(refusal.slot)) {
                    names = Names::read(names.relay, datapath)?;
                }
                for refusal in &recorded.refusals {
                    if self.wants(&names, refusal) {
                        self.print(out, &names.show(refusal))?;
                    }
                }
                out.flush()?;
            }
        })
    }

    fn wants(&self, names: &Names<'_>, refusal: &Refusal) -> bool {
        let is = |wanted: &Option<String>, name: Option<String>, address: Option<IpAddr>| {
            wanted.as_ref().is_none_or(|wanted| {
                name.as_ref() == Some(wanted) || address.is_some_and(|a| wanted.parse() == Ok(a))
            })
        };
        let headers = refusal.headers;
        is(&self.from, names.sender(refusal), headers.map(|headers| headers.source))
            && is(&self.to, names.receiver(refusal), headers.map(|headers| headers.destination))
            && (self.reason.is_empty() || self.reason.contains(&refusal.reason))
            && self
                .since
                .is_none_or(|since| names.time(refusal).elapsed().is_ok_and(|age| age <= since))
    }

    fn print(&self, out: &mut impl Write, shown: &Shown) -> Result<()> {
        match self.output {
            Format::Json => {
                serde_json::to_writer(&mut *out, shown)?;
                writeln!(out)?;
            }
            Format::Text => writeln!(out, "{shown}")?,
        }
        Ok(())
    }
}

impl<'a> Names<'a> {
    fn read(relay: &'a Relay, datapath: &Datapath) -> Result<Self> {
        let slots = datapath.slots()?.into_iter().map(|(key, slot)| (slot, key)).collect();
        let up = clock_gettime(ClockId::Boottime);
        let up = Duration::new(u64::try_from(up.tv_sec)?, u32::try_from(up.tv_nsec)?);
        let boot = SystemTime::now().checked_sub(up).context("the clock stands before 1970")?;
        let peers = relay.peers.iter().map(|peer| (peer.public_key, peer)).collect();
        Ok(Self { relay, peers, owners: Owners::of(relay), slots, boot })
    }

    /// Whether a peer has come since they were read.
    fn lack(&self, slot: u32) -> bool {
        slot != UNATTRIBUTED_SLOT && !self.slots.contains_key(&slot)
    }

    fn time(&self, refusal: &Refusal) -> SystemTime {
        self.boot + Duration::from_nanos(refusal.time_ns)
    }

    /// By its slot: also of a sender whose address was not read.
    fn sender(&self, refusal: &Refusal) -> Option<String> {
        let key = self.slots.get(&refusal.slot)?;
        let peer = self.peers.get(key);
        Some(peer.map_or_else(|| key.to_string(), |peer| peer.name.to_string()))
    }

    fn receiver(&self, refusal: &Refusal) -> Option<String> {
        let peer = self.owners.owner(refusal.headers?.destination)?;
        Some(peer.name.to_string())
    }

    fn show(&self, refusal: &Refusal) -> Shown {
        let headers = refusal.headers;
        let has_ports = |headers: &Inner| {
            matches!(headers.protocol, protocol::TCP | protocol::UDP) && headers.ports != (0, 0)
        };
        let ports = headers.filter(has_ports).map(|headers| headers.ports);
        Shown {
            time: humantime::format_rfc3339_millis(self.time(refusal)).to_string(),
            number: refusal.number,
            verdict: "refused",
            reason: refusal.reason.label(),
            direction: match refusal.direction {
                Direction::Ingress => "from_peer",
                Direction::Egress => "to_peer",
            },
            from: self.sender(refusal),
            source: headers.map(|headers| headers.source),
            source_port: ports.map(|(source, _)| source),
            to: self.receiver(refusal),
            destination: headers.map(|headers| headers.destination),
            destination_port: ports.map(|(_, destination)| destination),
            protocol: headers.map(|headers| protocol_name(headers.protocol)),
            length: refusal.len,
        }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
            "{} {} → {} {} {} bytes refused: {}",
            self.time,
            end(&self.from, &self.source, self.source_port),
            end(&self.to, &self.destination, self.destination_port),
            self.protocol.as_deref().unwrap_or("?"),
            self.length,
            self.reason
        )
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

fn reason(text: &str) -> Result<Reason, String> {
    let found = Reason::ALL.iter().find(|reason| reason.label() == text);
    found.copied().ok_or_else(|| {
        let labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        format!("expected one of {}", labels.join(", "))
    })
}
