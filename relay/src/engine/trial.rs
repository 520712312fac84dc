//! `relay try`: a candidate decides beside the policy in force, and what differs is counted.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use relay_common::{counters::UNATTRIBUTED_SLOT, header::protocol};
use serde::{Deserialize, Serialize};

use super::{
    Classified, Context, ErrorContext as _, HostError, Kind, Result, Site, desired,
    expectations::judge,
    explain::way,
    in_force::InForce,
    instant::{self, booted, rfc3339, seconds},
    lock::{DIRECTORY, namespace},
    observe, record,
};
use crate::{
    config::{self, Options},
    datapath::{Answer, Differing, Inner, Slots, Trial},
    model::{InterfaceName, PublicKey, Relay},
    policy::{self, Sources},
    stats::{TrialChange, TrialDifference, TrialPacket, TrialReport},
};

const OPTIONS: Options = Options { allow_empty: true };

#[derive(Debug, thiserror::Error)]
enum TrialError {
    #[error(
        "{}: found interface {found}, expected {interface}, which {} describes: a candidate is tried \
         beside the policy in force of the same interface", candidate.display(), config.display()
    )]
    OtherInterface {
        candidate: PathBuf,
        found: InterfaceName,
        config: PathBuf,
        interface: InterfaceName,
    },
    #[error(
        "{interface}: what peers use is learnt, and one program cannot do both; run `relay learn off` \
         first, which keeps what was learnt"
    )]
    Learning { interface: InterfaceName },
    #[error("{interface}: no candidate is tried; `relay try FILE` begins that")]
    None { interface: InterfaceName },
    #[error(
        "{interface}: a trial was started or stopped only in part; `relay try --stop` or `relay up` \
         ends it"
    )]
    Broken { interface: InterfaceName },
}

impl Classified for TrialError {
    fn kind(&self) -> Kind {
        match self {
            Self::OtherInterface { .. } => Kind::Usage,
            Self::Learning { .. } | Self::None { .. } | Self::Broken { .. } => Kind::Failed,
        }
    }
}

/// What is kept of a trial beside the kernel.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    candidate: PathBuf,
    /// Seconds since 1970-01-01T00:00:00Z.
    since: u64,
    /// Names of the candidate's peers, by slot.
    peers: BTreeMap<u32, String>,
}

/// Tries a candidate beside the policy in force, in place of one that is tried already.
///
/// # Errors
/// The candidate is invalid, one of its tests fails, or it is for another interface. The relay is not
/// up, or the configuration of its policy is not known. A step fails; what was begun is taken back then.
pub async fn start_trial(site: Site<'_>, candidate: &Path) -> Result<()> {
    let loaded = config::load(candidate, OPTIONS)?;
    config::require_trusted(&loaded)?;
    judge(&loaded)?;
    let context = Context::change(site, OPTIONS)?;
    let (handle, datapath) = (context.handle(), context.datapath());
    let interface = &context.relay().interface;
    if loaded.relay.interface != *interface {
        return Err(TrialError::OtherInterface {
            candidate: candidate.to_owned(),
            found: loaded.relay.interface,
            config: site.config.to_owned(),
            interface: interface.clone(),
        }
        .into());
    }
    let observed = observe::datapath(handle, interface, datapath).await?;
    if observed.generation().is_none() {
        return Err(HostError::NotUp { interface: interface.clone() }.into());
    }
    if observed.trial() == Trial::Broken {
        return Err(TrialError::Broken { interface: interface.clone() }.into());
    }
    if observed.learns() {
        return Err(TrialError::Learning { interface: interface.clone() }.into());
    }
    let in_force = InForce::require(&context, &observed, site.config, "to compare").await?;
    let slots = Slots::assign(&loaded.relay, &observed.slots)?;
    let host_addresses = desired::host_addresses(handle, &loaded.relay).await?;
    let sources =
        Sources { relay: &loaded.relay, host_addresses: &host_addresses, slots: slots.as_slice() };
    let compiled = policy::compile(&sources, slots.rules())?;
    let begun =
        datapath.start_trial((&in_force.compiled, &in_force.slots), (&compiled, &slots), &observed);
    let names = slots.as_slice().iter().zip(&loaded.relay.peers);
    let recorded = Recorded {
        candidate: candidate.to_owned(),
        since: instant::now(),
        peers: names.map(|(slot, peer)| (*slot, peer.name.to_string())).collect(),
    };
    let begun = match begun {
        Ok(()) => keep(interface, &recorded),
        Err(error) => Err(error.into()),
    };
    if begun.is_err() {
        // What failed says more than that it could not be taken back.
        if let Err(error) = take_back(&context, &in_force).await {
            tracing::warn!("{interface}: {}", error.chain());
        }
    }
    begun
}

/// Ends a trial. Whether there was one, or part of one.
///
/// # Errors
/// The relay is not up, the configuration of its policy is not known, or a step fails.
pub async fn stop_trial(site: Site<'_>) -> Result<bool> {
    let context = Context::change(site, OPTIONS)?;
    let (handle, datapath) = (context.handle(), context.datapath());
    let interface = &context.relay().interface;
    let observed = observe::datapath(handle, interface, datapath).await?;
    if observed.trial() == Trial::None {
        forget(interface)?;
        return Ok(false);
    }
    let in_force = InForce::require(&context, &observed, site.config, "to compare").await?;
    take_back(&context, &in_force).await?;
    Ok(true)
}

/// What the trial of a relay has found so far.
///
/// # Errors
/// No candidate is tried; the kernel does not answer, or a pin or the record cannot be read.
pub async fn trial_report(context: &Context) -> Result<TrialReport> {
    context.require_up()?;
    let (handle, datapath) = (context.handle(), context.datapath());
    let relay = context.relay();
    let interface = &relay.interface;
    let observed = observe::datapath(handle, interface, datapath).await?;
    match observed.trial() {
        Trial::Running => {}
        Trial::None => return Err(TrialError::None { interface: interface.clone() }.into()),
        Trial::Broken => return Err(TrialError::Broken { interface: interface.clone() }.into()),
    }
    let recorded = recorded(interface)?;
    let found = datapath.differences()?;
    let names = Names::new(relay, &observed.slots.peers, &recorded);
    let differences = found.differences.iter().map(|one| names.show(one)).collect();
    let since = rfc3339(recorded.since);
    let Recorded { candidate, .. } = recorded;
    Ok(TrialReport::new(interface.as_str(), candidate, since, differences, found.others))
}

/// Forgets what is kept of a trial that another policy has ended.
///
/// # Errors
/// The record cannot be removed.
pub(super) fn forget(interface: &InterfaceName) -> Result<()> {
    record::discard(&file(interface)?)
}

/// Puts the policy in force in force again, without comparing, and takes off the trial.
async fn take_back(context: &Context, in_force: &InForce) -> Result<()> {
    let (handle, datapath) = (context.handle(), context.datapath());
    let interface = &context.relay().interface;
    let observed = observe::datapath(handle, interface, datapath).await?;
    if observed.compares() {
        let (number, nothing) = (observed.next_number(), BTreeMap::new());
        datapath.switch(&in_force.compiled, &in_force.slots, &observed, number, &nothing)?;
    } else {
        datapath.end_trial(&observed)?;
    }
    forget(interface)
}

fn keep(interface: &InterfaceName, recorded: &Recorded) -> Result<()> {
    let text = serde_json::to_vec(recorded).map_err(io::Error::other);
    record::store(&file(interface)?, &text.context("write the record of the trial")?)
}

/// The record of the trial that runs.
fn recorded(interface: &InterfaceName) -> Result<Recorded> {
    let path = Path::new(DIRECTORY).join(file(interface)?);
    let failed = || format!("read {}", path.display());
    let text = fs::read(&path).with_context(failed)?;
    serde_json::from_slice(&text).map_err(io::Error::other).with_context(failed)
}

fn file(interface: &InterfaceName) -> Result<String> {
    Ok(format!("{}-{interface}.trial.json", namespace()?))
}

/// What the slots of a difference stand for, and its times.
struct Names<'a> {
    slots: BTreeMap<u32, PublicKey>,
    peers: BTreeMap<PublicKey, String>,
    recorded: &'a Recorded,
    boot: SystemTime,
}

impl<'a> Names<'a> {
    fn new(relay: &Relay, slots: &BTreeMap<PublicKey, u32>, recorded: &'a Recorded) -> Self {
        let peers = relay.peers.iter().map(|peer| (peer.public_key, peer.name.to_string()));
        Self {
            slots: slots.iter().map(|(key, slot)| (*slot, *key)).collect(),
            peers: peers.collect(),
            recorded,
            boot: booted(),
        }
    }

    fn show(&self, found: &Differing) -> TrialDifference {
        let time = |ns| rfc3339(seconds(self.boot + Duration::from_nanos(ns)));
        TrialDifference {
            change: match (found.in_force, found.candidate) {
                (_, Err(_)) => TrialChange::Drops,
                (Err(_), Ok(_)) => TrialChange::Passes,
                (Ok(_), Ok(_)) => TrialChange::Moves,
            },
            from: self.peer(found.source),
            to: self.peer(found.destination),
            service: found.service.map(|service| service.to_string()),
            in_force: outcome(found.in_force),
            candidate: outcome(found.candidate),
            packets: found.packets,
            bytes: found.bytes,
            first: time(found.first_ns),
            last: time(found.last_ns),
            example: found.example.map(packet),
        }
    }

    /// The peer of a slot: by the relay's names, or those of the candidate for a peer that it adds.
    fn peer(&self, slot: u32) -> Option<String> {
        if slot == UNATTRIBUTED_SLOT {
            return None;
        }
        let Some(key) = self.slots.get(&slot) else {
            return self.recorded.peers.get(&slot).cloned();
        };
        Some(self.peers.get(key).cloned().unwrap_or_else(|| key.to_string()))
    }
}

fn outcome(answer: Answer) -> &'static str {
    answer.map_or_else(|reason| reason.label(), way)
}

fn packet(headers: Inner) -> TrialPacket {
    let has_ports = matches!(headers.protocol, protocol::TCP | protocol::UDP);
    let port = |port| (has_ports && headers.ports != (0, 0)).then_some(port);
    TrialPacket {
        source: headers.source,
        source_port: port(headers.ports.0),
        destination: headers.destination,
        destination_port: port(headers.ports.1),
        protocol: headers.protocol,
    }
}
