//! Whether a relay is what its configuration says.

mod problems;

use std::{collections::BTreeMap, net::IpAddr, time::SystemTime};

use self::problems::{fence_problem, misplaced, problems};
use super::{
    Context, Result, Subject, chain, claim,
    desired::Desired,
    facts,
    instant::{local, rfc3339, seconds},
    mesh::{self, Extent, transit::SeenTransit},
    observe::Running,
    plan::Plan,
    quotas,
};
use crate::{
    config::{Loaded, Secrets},
    datapath::{Observed, Trial},
    doctor,
    model::{PrivateKey, PublicKey, Relay, Rule},
    net::{self, NetError, fence::FenceState, link::Link, route},
    stats::{Findings, Hooks, RuleEnd, RuleEnds, Snapshot, Status},
    wireguard::{self, Device},
};

/// The status of a relay. With [`Extent::Relay`], problems that other relays of its site may have caused
/// are left out.
///
/// # Errors
/// The kernel does not answer. What else cannot be read is a problem of the status.
pub async fn status(context: &Context, now: SystemTime, extent: Extent) -> Result<Status> {
    let (relay, handle, datapath) = (context.relay(), context.handle(), context.datapath());
    let running = Running::observe(handle, relay, datapath).await?;
    let transits = SeenTransit::all(handle, relay, datapath).await?;
    // What cannot be read is a problem of the counters, which are pinned beside it.
    let slots = running.slots(datapath).unwrap_or_default();
    let counters = datapath.counters(&slots).unwrap_or_default();
    let guard_counts = datapath.guard_counts();
    let guard_attempts = datapath.guard_attempts();
    let snapshot = Snapshot::new(running.observation(
        relay,
        (&slots, &counters),
        *guard_counts.as_ref().unwrap_or(&Default::default()),
        guard_attempts.as_deref().unwrap_or_default(),
    ));
    let compared = comparison(context.subject());
    let mut warnings = running.warnings();
    warnings.extend(doctor::unforwarded(facts::forwarding(), relay));
    warnings.extend(datapath.used(&slots).iter().flat_map(|used| quotas::used_up(relay, used)));
    if running.datapath.as_ref().is_ok_and(|observed| observed.trial() == Trial::Running) {
        warnings.push(
            "a candidate is tried, so that each packet costs more; `relay try --report` shows what \
             differs, `relay try --stop` ends it"
                .to_owned(),
        );
    }
    if running.datapath.as_ref().is_ok_and(Observed::learns) {
        warnings.push(
            "what peers use is learnt, so that each packet costs more; `relay learn status` shows \
             since when, `relay learn off` ends it"
                .to_owned(),
        );
    }
    let mut problems = problems(&running, relay);
    match &compared {
        Ok((loaded, secrets)) => {
            let key = secrets.private_key().map(PrivateKey::public_key);
            let Running { link, device, hooks, .. } = &running;
            let (link, device) = (link.as_ref(), device.as_ref());
            let foreign = claim::require_consent(&relay.interface, link, hooks, device, key);
            problems.extend(foreign.err().map(|error| error.to_string()));
            let foreign = claim::require_consent_for_transits(relay, secrets.mesh(), &transits);
            problems.extend(foreign.err().map(|error| error.to_string()));
            warnings.splice(0..0, loaded.warnings.iter().map(ToString::to_string));
            problems.extend(misplaced(&running, relay));
            problems.extend(fence_problem(&running, relay));
            warnings.extend(inbound(relay, &net::host_addresses(handle).await?));
        }
        Err(why) => problems.insert(0, why.clone()),
    }
    problems.extend(running.guard_obstacles());
    if let (Some(_), Ok((loaded, _))) = (&running.link, &compared) {
        problems.extend(mesh::problems(loaded, datapath, &transits, now, extent));
    }
    problems.extend(guard_counts.err().map(|error| chain(&error)));
    problems.extend(guard_attempts.err().map(|error| chain(&error)));
    let mut findings = Findings {
        state: state(running.link.as_ref()),
        as_configured: false,
        hooks: {
            let [ingress, egress] =
                running.hooks.each_ref().map(|hook| hook.mode.map_or("none", |mode| mode.label()));
            Hooks { ingress, egress }
        },
        fence: fence_label(&running.fence, compared.is_ok().then_some(relay.fence)),
        foreign: running.hooks.iter().flat_map(|hook| hook.foreign.clone()).collect(),
        stale: running.hooks.iter().flat_map(|h| &h.stale).map(ToString::to_string).collect(),
        problems: Vec::new(),
        warnings,
    };
    let attendance = snapshot.attendance(now);
    findings.warnings.extend(clock_set_back(attendance.unknown));
    let received = received(running.device.as_ref());
    if let Ok((loaded, secrets)) = &compared {
        let (exists, in_force) = (running.link.is_some(), running.policy());
        match plan(context, loaded, secrets, running, &transits).await {
            Ok(plan) => {
                findings.as_configured = !plan.changes_policy();
                let retimed = plan.retimed().map(|why| format!("{why}; `relay up` corrects it"));
                findings.warnings.extend(retimed);
                if let Some(policy) = in_force.filter(|_| plan.changes_policy()) {
                    problems.push(format!(
                        "policy generation {} ({}) is in force, but the configuration and the host's \
                         addresses in peers' networks give another; `relay up` puts that in force",
                        policy.generation, policy.hash
                    ));
                    problems.extend(plan.contested());
                }
                if exists {
                    let drift = plan.drift().into_iter();
                    problems
                        .extend(drift.map(|change| format!("`relay up` would change: {change}")));
                }
            }
            // If there are problems, what could not be read is among them.
            Err(error) if problems.is_empty() => problems.push(error.chain()),
            Err(_reported) => {}
        }
    }
    findings.problems = problems;
    // Peers of a site may all be at home at its other relays.
    if attendance.online == 0 && attendance.offline > 0 && relay.mesh.is_none() {
        // Sessions end after three minutes: who sends has had a handshake since.
        let now = self::received(wireguard::read(&relay.interface)?.as_ref());
        let sends =
            |(key, before): &(&PublicKey, &u64)| now.get(key).is_some_and(|now| now > before);
        let forward = clock_set_forward(received.iter().filter(sends).count());
        findings.warnings.push(forward.unwrap_or_else(|| {
            format!(
                "no peer has completed a handshake recently; if one should have, check whether UDP \
                 port {} is open on the way here, and run `relay doctor` on this host",
                relay.listen_port
            )
        }));
    }
    let ends = rule_ends(relay, now);
    Ok(Status::new(findings, snapshot, attendance, ends))
}

/// The rules that have an end.
fn rule_ends(relay: &Relay, now: SystemTime) -> RuleEnds {
    let signed = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
    let now = signed(seconds(now));
    let end = |rule: &Rule| {
        let until = rule.until?;
        Some(RuleEnd {
            rule: rule.name.to_string(),
            until: rfc3339(until),
            local: local(until),
            seconds_left: signed(until) - now,
        })
    };
    RuleEnds::new(relay.rules.iter().filter_map(end).collect())
}

async fn plan(
    context: &Context,
    loaded: &Loaded,
    secrets: &Secrets,
    running: Running,
    transits: &[SeenTransit],
) -> Result<Plan> {
    let handle = context.handle();
    let desired = Desired::of(handle, loaded, secrets, context.mark()).await?;
    Plan::new(&desired, running, transits, &route::read(handle).await?)
}

/// Bytes received from each peer.
fn received(device: Option<&Device>) -> BTreeMap<PublicKey, u64> {
    let peers = device.into_iter().flat_map(|device| &device.peers);
    peers.map(|peer| (peer.public_key, peer.rx_bytes)).collect()
}

/// A warning if the host's own firewall drops what is for the relay.
fn inbound(relay: &Relay, host_addresses: &[IpAddr]) -> Option<String> {
    let has_v6 = facts::reaches_v6(relay, host_addresses);
    match net::inbound::read(relay.listen_port) {
        Ok(found) => {
            let dropped = found.describe(relay.listen_port, has_v6)?;
            Some(format!("{dropped}; accept it where that chain is configured"))
        }
        Err(NetError::NetfilterMissing { .. }) => None,
        Err(error) => Some(format!("the host's firewall: {}", chain(&error))),
    }
}

/// What the relay is compared with, or why with nothing.
fn comparison(subject: &Subject) -> Result<(&Loaded, Secrets), String> {
    match subject {
        Subject::Bare { why, .. } => Err(why.clone()),
        Subject::Configured(loaded) => match Secrets::read(loaded) {
            Ok(secrets) => Ok((loaded, secrets)),
            Err(problems) => Err(format!(
                "the keys of {} cannot be read, so there is nothing to compare it with: {}",
                loaded.relay.interface,
                problems.to_string().trim_end()
            )),
        },
    }
}

fn clock_set_back(peers: usize) -> Option<String> {
    (peers > 0).then(|| {
        format!(
            "the latest handshakes of {peers} peers lie in the future, so this host's clock was set \
             back; whether those peers are online is unknown until their next handshake"
        )
    })
}

fn clock_set_forward(peers: usize) -> Option<String> {
    (peers > 0).then(|| {
        format!(
            "{peers} peers send although their latest handshakes are too old, so this host's clock \
             was set forward; they are online"
        )
    })
}

fn state(link: Option<&Link>) -> &'static str {
    match link {
        None => "absent",
        Some(link) if link.up => "up",
        Some(_) => "down",
    }
}

/// Without a configuration, whether a fence is desired is unknown, and so is which one.
fn fence_label(fence: &Result<FenceState, NetError>, is_desired: Option<bool>) -> &'static str {
    match (fence, is_desired) {
        (_, Some(false)) => "off",
        (Ok(FenceState::Absent), _) => "absent",
        (Err(_), _) | (Ok(_), None) => "unknown",
        (Ok(FenceState::Intact), Some(true)) => "intact",
        (Ok(FenceState::Different), Some(true)) => "different",
    }
}
