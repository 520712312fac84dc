use std::{
    io::{self, Write as _},
    net::IpAddr,
    path::Path,
    time::SystemTime,
};

use anyhow::Result;
use clap::Args;

use super::{exit, exit::NotAsConfigured, facts, host, output, plan::Plan, running::Running};
use crate::{
    config::{self, Loaded, Options, Secrets},
    datapath::{Datapath, Observed},
    doctor,
    model::Relay,
    net::{
        self, NetError,
        fence::{self, FenceState},
        link::Link,
    },
    stats::{Findings, Hooks, Snapshot, Status as Shown, Style, render_status_into},
};

/// `relay status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: with --check 1 if there is a problem.\n\nExamples:\n  relay status                \
                  one screen\n  relay status --check        for health probes: silent when all is well\n  \
                  relay status --json         the same for machines"
)]
pub(super) struct Status {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print nothing when everything is as the configuration says; otherwise exit with 1 and a line
    /// for each problem.
    #[arg(long)]
    check: bool,
}

impl Status {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let loaded = config::load(config, Options { allow_empty: true })?;
        let secrets = Secrets::read(&loaded)?;
        host::require_capabilities("status")?;
        let interface = loaded.relay.interface.as_str();
        let datapath = Datapath::open(bpffs, interface)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let now = SystemTime::now();
        let status = runtime.block_on(look(&loaded, &secrets, datapath, now))?;
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &status)?;
            writeln!(out)?;
        } else if !self.check {
            render_status_into(&mut out, &status, Style { color: output::color(), now })?;
        }
        out.flush()?;
        match self.check && !status.ok {
            true => Err(NotAsConfigured(status.problems).into()),
            false => Ok(()),
        }
    }
}

async fn look(
    loaded: &Loaded,
    secrets: &Secrets,
    datapath: Datapath,
    now: SystemTime,
) -> Result<Shown> {
    let relay = &loaded.relay;
    let handle = net::connect()?;
    let running = Running::observe(&handle, relay, &datapath).await?;
    let counters = datapath.counters();
    let guard_counts = datapath.guard_counts();
    let guard_attempts = datapath.guard_attempts();
    let snapshot = Snapshot::new(&running.observation(
        relay,
        counters.as_ref().unwrap_or(&Default::default()),
        *guard_counts.as_ref().unwrap_or(&Default::default()),
        guard_attempts.as_deref().unwrap_or_default(),
    ));
    let mut warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(running.warnings());
    warnings.extend(doctor::unforwarded(facts::forwarding(), relay));
    warnings.extend(inbound(relay, &net::host_addresses(&handle).await?));
    let mut problems = problems(&running, loaded);
    problems.extend(guard_counts.err().map(|error| exit::chain(&error)));
    problems.extend(guard_attempts.err().map(|error| exit::chain(&error)));
    let mut findings = Findings {
        state: state(running.link.as_ref()),
        as_configured: false,
        hooks: {
            let [ingress, egress] =
                running.hooks.each_ref().map(|hook| hook.mode.map_or("none", |mode| mode.label()));
            Hooks { ingress, egress }
        },
        fence: fence_label(&running.fence, relay.fence),
        foreign: running.hooks.iter().flat_map(|hook| hook.foreign.clone()).collect(),
        stale: running.hooks.iter().flat_map(|h| &h.twins).map(ToString::to_string).collect(),
        problems: Vec::new(),
        warnings,
    };
    let (is_there, in_force) = (running.link.is_some(), running.policy());
    match Plan::make(&handle, loaded, secrets, datapath, running).await {
        Ok(plan) => {
            findings.as_configured = !plan.changes_policy();
            if let Some(policy) = in_force.filter(|_| plan.changes_policy()) {
                problems.push(format!(
                    "policy generation {} ({}) is in force, not the one that the configuration and \
                     the host's addresses in peers' networks make; `relay up` puts that in force",
                    policy.generation, policy.hash
                ));
                problems.extend(plan.contested());
            }
            if is_there {
                let drift = plan.drift().into_iter();
                problems.extend(drift.map(|change| format!("`relay up` would change: {change}")));
            }
        }
        // Said already where it is what could not be read.
        Err(error) if problems.is_empty() => problems.push(exit::causes(&error)),
        Err(_said) => {}
    }
    findings.problems = problems;
    let attendance = snapshot.attendance(now);
    if attendance.online == 0 && attendance.offline > 0 {
        findings.warnings.push(format!(
            "no peer has completed a handshake lately; if some should be there, see whether UDP \
             port {} is let in on the way here, and `relay doctor` on this host",
            relay.listen_port
        ));
    }
    Ok(Shown::new(findings, snapshot, attendance))
}

/// What the host's own firewall keeps from the relay.
fn inbound(relay: &Relay, host_addresses: &[IpAddr]) -> Option<String> {
    let has_v6 = facts::reaches_v6(relay, host_addresses);
    match net::inbound::read(relay.listen_port) {
        Ok(found) => {
            let told = found.told(relay.listen_port, has_v6)?;
            Some(format!("{told}; let it in where that chain is configured"))
        }
        Err(NetError::NetfilterMissing { .. }) => None,
        Err(error) => Some(format!("the host's firewall: {}", exit::chain(&error))),
    }
}

/// What is wrong with what is running, the causes before what follows from them.
fn problems(running: &Running, loaded: &Loaded) -> Vec<String> {
    let interface = &loaded.relay.interface;
    let mut problems = Vec::new();
    match &running.link {
        None => problems.push(format!("interface {interface} is not there; `relay up` creates it")),
        Some(link) if !link.up => {
            problems.push(format!("interface {interface} is down; `relay up` sets it up"));
        }
        Some(_) => {}
    }
    if let Err(error) = &running.datapath {
        problems.push(exit::chain(error));
    }
    let attached = running.link.iter().flat_map(|_| &running.hooks);
    for hook in attached.filter(|hook| hook.mode.is_none()) {
        let (direction, program) = (hook.direction.label(), hook.direction.program());
        let why = match hook.is_orphaned {
            true => "the interface was deleted and made again by something else",
            false => "something took it off",
        };
        problems.push(format!(
            "{direction}: program {program} is not attached to {interface}: {why}; `relay up` \
             attaches it"
        ));
    }
    if let [Some(ingress), Some(egress)] = running.hooks.each_ref().map(|hook| hook.generation)
        && ingress != egress
    {
        problems.push(format!(
            "ingress carries out policy generation {} and egress {}; `relay up` brings them together",
            ingress.number, egress.number
        ));
    }
    if running.datapath.as_ref().is_ok_and(Observed::counters_are_lost) {
        problems.push(
            "the counters in use are not pinned, so they end with the programs; `relay up` pins \
             them again"
                .to_owned(),
        );
    }
    for hook in running.hooks.iter().filter(|h| h.mode.is_some() && h.generation.is_none()) {
        problems.push(format!(
            "{}: program {} is of another version of relay; `relay up` puts this version's in its \
             place",
            hook.direction.label(),
            hook.direction.program()
        ));
    }
    let heritage = running.datapath.iter().flat_map(|observed| &observed.heritage);
    problems.extend(heritage.map(|left| {
        let dir = left.dir().display();
        format!("{dir}: found pins of another version of relay; `relay up` takes them over")
    }));
    for twin in running.hooks.iter().flat_map(|hook| &hook.twins) {
        problems.push(format!(
            "{twin} is attached besides relay's own, a stale copy; `relay up` takes it off"
        ));
    }
    let table = fence::table_name(interface);
    match (&running.fence, loaded.relay.fence) {
        (Ok(FenceState::Intact), true) | (Ok(FenceState::Absent), false) => {}
        (Ok(FenceState::Absent), true) => {
            problems.push(format!("fence inet {table} is not there; `relay up` puts it up"));
        }
        (Ok(FenceState::Different), true) => {
            problems.push(format!("fence inet {table} was changed; `relay up` puts it up anew"));
        }
        (Ok(FenceState::Intact | FenceState::Different), false) => {
            problems.push(format!("fence inet {table} is there; `relay up` takes it down"));
        }
        (Err(NetError::NetfilterMissing { .. }), false) => {}
        (Err(error), _) => problems.push(exit::chain(error)),
    }
    // What `relay up` puts right of the guard the plan tells.
    problems.extend(running.guard_obstacles());
    problems
}

fn state(link: Option<&Link>) -> &'static str {
    match link {
        None => "absent",
        Some(link) if link.up => "up",
        Some(_) => "down",
    }
}

fn fence_label(fence: &Result<FenceState, NetError>, wanted: bool) -> &'static str {
    match fence {
        _ if !wanted => "off",
        Ok(FenceState::Intact) => "intact",
        Ok(FenceState::Absent) => "absent",
        Ok(FenceState::Different) => "different",
        Err(_unread) => "unknown",
    }
}
