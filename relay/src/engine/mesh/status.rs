//! A site of relays, as this one sees it.

use std::time::SystemTime;

use relay_common::mesh::Home;

use super::{
    super::{Context, Result, observe::hex},
    drain::is_drained,
    homes::of_peers,
    site::{Site, canonical_hash},
    state::{AgentRelay, AgentState},
    transit::{SeenTransit, is_dead},
};
use crate::{
    config::Loaded,
    datapath::Datapath,
    model::{MeshRelay, Relay},
    stats::{Ignored, MeshRelayStatus, MeshStatus, Traffic},
};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The relay alone.
    Relay,
    /// All relays of its site.
    Site,
}

/// What is wrong in a site.
struct Problem {
    text: String,
    /// Where the cause may be: at this relay alone, or also at another.
    cause: Extent,
}

impl Problem {
    const fn here(text: String) -> Self {
        Self { text, cause: Extent::Relay }
    }

    const fn elsewhere(text: String) -> Self {
        Self { text, cause: Extent::Site }
    }
}

/// The relays of the site, with what is wrong.
///
/// # Errors
/// The relay has no mesh or does not run with it, or the kernel does not answer.
pub async fn mesh_status(context: &Context, now: SystemTime) -> Result<MeshStatus> {
    let site = Site::of(context)?;
    context.require_up()?;
    let seen = SeenTransit::all(context.handle(), context.relay(), context.datapath()).await?;
    let (mut status, problems) = of(context.relay(), context.datapath(), &site, &seen, now)?;
    status.problems = problems.into_iter().map(|problem| problem.text).collect();
    Ok(status)
}

/// What is wrong with the relays of the site, or with this one's part in it; nothing without a mesh.
pub(in crate::engine) fn problems(
    loaded: &Loaded,
    datapath: &Datapath,
    seen: &[SeenTransit],
    now: SystemTime,
    extent: Extent,
) -> Vec<String> {
    if loaded.relay.mesh.is_none() {
        return Vec::new();
    }
    let found =
        Site::of_loaded(loaded).and_then(|site| of(&loaded.relay, datapath, &site, seen, now));
    match found {
        Ok((_, problems)) => problems
            .into_iter()
            .filter(|problem| extent == Extent::Site || problem.cause == Extent::Relay)
            .map(|problem| problem.text)
            .collect(),
        Err(error) => vec![error.chain()],
    }
}

fn of(
    relay: &Relay,
    datapath: &Datapath,
    site: &Site<'_>,
    seen: &[SeenTransit],
    now: SystemTime,
) -> Result<(MeshStatus, Vec<Problem>)> {
    let homes = site.homes(datapath)?;
    let slots = datapath.slots()?;
    let counters = datapath.counters(&slots)?;
    let agent = AgentState::read(site.interface)?;
    let mut status = MeshStatus::new(site.interface.as_str(), site.own().name.as_str());
    status.agent_running = agent.is_some();
    status.drained = is_drained(site.interface);
    status.policy_hash = hex(&canonical_hash(relay)?);
    let at: Vec<Home> = of_peers(&relay.peers, &slots, &homes).collect();
    status.unknown_peers = at.iter().filter(|home| **home == Home::UNKNOWN).count();
    let own = site.key.place;
    let mut problems = Vec::new();
    for (place, other) in site.mesh.relays.iter().enumerate() {
        let slot = slots.get(&other.public_key).copied();
        let mut shown = MeshRelayStatus {
            name: other.name.to_string(),
            own: place == own,
            peers: at
                .iter()
                .filter(|home| match place == own {
                    true => **home == Home::HERE,
                    false => home.is_elsewhere() && Some(home.slot) == slot,
                })
                .count(),
            ..MeshRelayStatus::default()
        };
        if place != own {
            if let Some(slot) = slot {
                shown.transit = Traffic::relayed(&counters.of(slot).0);
            }
            let known = agent.iter().flat_map(|agent| &agent.relays);
            if let Some(known) = known.into_iter().find(|known| known.name == shown.name) {
                shown.alive = Some(known.alive);
                shown.heard_age_milliseconds = known.heard_age_ms;
                shown.delay_microseconds = known.delay_us;
                shown.policy_hash = known.policy_hash.clone();
            }
            problems.extend(tunnel(&mut shown, other, seen, now));
        }
        status.relays.push(shown);
    }
    problems.extend(agent.iter().flat_map(keys).map(Problem::elsewhere));
    problems.extend(gossip(&status));
    let ignored = agent.map(|agent| agent.ignored).unwrap_or_default();
    status.ignored = ignored.into_iter().map(|(reason, count)| Ignored { reason, count }).collect();
    Ok((status, problems))
}

/// Fills in the tunnel to a relay, and says what is wrong with it.
fn tunnel(
    shown: &mut MeshRelayStatus,
    other: &MeshRelay,
    seen: &[SeenTransit],
    now: SystemTime,
) -> Option<Problem> {
    let name = &other.name;
    let found = seen.iter().find(|seen| seen.peer(&other.public_key).is_some());
    let Some(found) = found else {
        let text = format!("transit to {name}: found no tunnel; `relay up` makes it");
        return Some(Problem::here(text));
    };
    shown.interface = Some(found.interface.to_string());
    let peer = found.peer(&other.public_key)?;
    shown.endpoint = peer.endpoint.map(|endpoint| endpoint.to_string());
    shown.handshake_age_seconds =
        peer.latest_handshake.and_then(|at| now.duration_since(at).ok()).map(|age| age.as_secs());
    if found.hook.settings_hash.is_none() {
        return Some(Problem::here(format!(
            "transit to {name}: its program is not attached to {}, so that what comes from there is \
             dropped; `relay up` attaches it",
            found.interface
        )));
    }
    if !is_dead(peer, now) {
        return None;
    }
    let since = match shown.handshake_age_seconds {
        Some(age) => format!("the latest handshake is {age} seconds old"),
        None => "there was no handshake yet".to_owned(),
    };
    let port = found.device.listen_port;
    Some(Problem::elsewhere(format!(
        "transit to {name} is down: {since}; check that {} is up, that its [[mesh.relay]] has the key of \
         its mesh.key, and that UDP port {port} is open on the way from there",
        other.host
    )))
}

/// Relays with another key than this one, which peers take for another relay.
fn keys(agent: &AgentState) -> Vec<String> {
    let is_other = |relay: &&AgentRelay| {
        let keys = agent.public_key.as_ref().zip(relay.public_key.as_ref());
        keys.is_some_and(|(own, theirs)| own != theirs)
    };
    let problem = |relay: &AgentRelay| {
        format!(
            "{} has another key towards peers, so that a peer of one cannot be at home at the other; \
             copy relay.private_key_file of one to the other, and run `relay up` there",
            relay.name
        )
    };
    agent.relays.iter().filter(is_other).map(problem).collect()
}

/// What is wrong with what the agents say.
fn gossip(status: &MeshStatus) -> Vec<Problem> {
    if !status.agent_running {
        let text = "the agent does not run, so that the other relays do not hear who is at home here; \
                    `systemctl start relay-mesh` starts it";
        return vec![Problem::here(text.to_owned())];
    }
    let others = status.relays.iter().filter(|relay| !relay.own);
    let problem = |relay: &MeshRelayStatus| {
        let name = &relay.name;
        match (&relay.policy_hash, relay.alive) {
            (Some(hash), _) if *hash != status.policy_hash => Some(format!(
                "{name} has another policy ({hash}, this relay {}): what only one of them allows is \
                 dropped between peers of both; bring the same files up on both, with the same version \
                 of relay",
                status.policy_hash
            )),
            (_, Some(false) | None) => {
                Some(format!("the agent of {name} is silent; `relay mesh status` there says more"))
            }
            _ => None,
        }
    };
    others.filter_map(problem).map(Problem::elsewhere).collect()
}
