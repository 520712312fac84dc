use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::SystemTime,
};

use anyhow::Result;
use clap::Args;

use super::{
    claim, exit,
    exit::NotAsConfigured,
    facts, host, output,
    plan::Plan,
    running::Running,
    subject::{Subject, Which},
};
use crate::{
    config::{Loaded, Secrets},
    datapath::{Datapath, Observed},
    doctor,
    model::{Peer, PrivateKey, PublicKey, Relay},
    net::{
        self, NetError,
        fence::{self, FenceState},
        link::Link,
    },
    stats::{Findings, Hooks, Snapshot, Status as Shown, Style, render_status_into},
    wireguard,
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
    #[command(flatten)]
    which: Which,
}

impl Status {
    pub(super) fn run(&self, config: &Path, bpffs: &Path) -> Result<()> {
        let subject = self.which.find(config)?;
        host::require_capabilities("status")?;
        let interface = subject.relay().interface.as_str();
        let datapath = Datapath::open(bpffs, interface)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let now = SystemTime::now();
        let status = runtime.block_on(look(&subject, &claim::mark(config), datapath, now))?;
        let mut out = output::stdout();
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

async fn look(subject: &Subject, mark: &str, datapath: Datapath, now: SystemTime) -> Result<Shown> {
    let relay = subject.relay();
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
    let compared = comparison(subject);
    let mut warnings = running.warnings();
    warnings.extend(doctor::unforwarded(facts::forwarding(), relay));
    let mut problems = problems(&running, relay);
    match &compared {
        Ok((loaded, secrets)) => {
            let key = secrets.private_key().map(PrivateKey::public_key);
            let Running { link, device, hooks, .. } = &running;
            let (link, device) = (link.as_ref(), device.as_ref());
            let foreign = claim::require_consent(&relay.interface, link, hooks, device, key);
            problems.extend(foreign.err().map(|error| error.to_string()));
            warnings.splice(0..0, loaded.warnings.iter().map(ToString::to_string));
            problems.extend(misplaced(&running, relay));
            problems.extend(fence_problem(&running, relay));
            warnings.extend(inbound(relay, &net::host_addresses(&handle).await?));
        }
        Err(why) => problems.insert(0, why.clone()),
    }
    // What `relay up` puts right of the guard the plan tells.
    problems.extend(running.guard_obstacles());
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
        fence: match compared {
            Ok(_) => fence_label(&running.fence, relay.fence),
            // Which one is wanted is not known.
            Err(_) => match running.fence {
                Ok(FenceState::Absent) => "absent",
                Ok(_) | Err(_) => "unknown",
            },
        },
        foreign: running.hooks.iter().flat_map(|hook| hook.foreign.clone()).collect(),
        stale: running.hooks.iter().flat_map(|h| &h.twins).map(ToString::to_string).collect(),
        problems: Vec::new(),
        warnings,
    };
    let attendance = snapshot.attendance(now);
    findings.warnings.extend(clock_set_back(attendance.unknown));
    let received: Vec<_> = running
        .device
        .iter()
        .flat_map(|device| &device.peers)
        .map(|peer| (peer.public_key, peer.rx_bytes))
        .collect();
    let (is_there, in_force) = (running.link.is_some(), running.policy());
    let plan = match &compared {
        Ok((loaded, secrets)) => {
            Some(Plan::make(&handle, loaded, secrets, mark, datapath, running).await)
        }
        Err(_) => None,
    };
    match plan {
        None => {}
        Some(Ok(plan)) => {
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
        Some(Err(error)) if problems.is_empty() => problems.push(exit::causes(&error)),
        Some(Err(_said)) => {}
    }
    findings.problems = problems;
    if attendance.online == 0 && attendance.offline > 0 {
        // A session ends after three minutes: what still receives has had a handshake since.
        let device = wireguard::read(&relay.interface)?;
        let now: BTreeMap<_, _> = device
            .iter()
            .flat_map(|device| &device.peers)
            .map(|peer| (peer.public_key, peer.rx_bytes))
            .collect();
        let more = |(key, before): &&(PublicKey, u64)| now.get(key).is_some_and(|it| it > before);
        let forward = clock_set_forward(received.iter().filter(more).count());
        findings.warnings.push(forward.unwrap_or_else(|| {
            format!(
                "no peer has completed a handshake lately; if some should be there, see whether \
                 UDP port {} is let in on the way here, and `relay doctor` on this host",
                relay.listen_port
            )
        }));
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

/// What the relay is compared with, or why it is not.
fn comparison(subject: &Subject) -> Result<(&Loaded, Secrets), String> {
    match subject {
        Subject::Bare { why, .. } => Err(why.clone()),
        Subject::Configured(loaded) => match Secrets::read(loaded) {
            Ok(secrets) => Ok((loaded, secrets)),
            Err(problems) => Err(format!(
                "{} is compared with nothing, since its keys cannot be read: {}",
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
            "{peers} peers send although their latest handshakes are too old for it, so this host's \
             clock was set forward; they are online"
        )
    })
}

/// What is wrong with what is running, the causes before what follows from them.
fn problems(running: &Running, relay: &Relay) -> Vec<String> {
    let interface = &relay.interface;
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
    problems
}

/// What is wrong with the fence.
fn fence_problem(running: &Running, relay: &Relay) -> Option<String> {
    let table = fence::table_name(&relay.interface);
    match (&running.fence, relay.fence) {
        (Ok(FenceState::Intact), true) | (Ok(FenceState::Absent), false) => None,
        (Ok(FenceState::Absent), true) => {
            Some(format!("fence inet {table} is not there; `relay up` puts it up"))
        }
        (Ok(FenceState::Different), true) => {
            Some(format!("fence inet {table} was changed; `relay up` puts it up anew"))
        }
        (Ok(FenceState::Intact | FenceState::Different), false) => {
            Some(format!("fence inet {table} is there; `relay up` takes it down"))
        }
        (Err(NetError::NetfilterMissing { .. }), false) => None,
        (Err(error), _) => Some(exit::chain(error)),
    }
}

/// Peers that nothing reaches, because their messages came from an address of the overlay.
fn misplaced(running: &Running, relay: &Relay) -> Vec<String> {
    let names: HashMap<_, _> = relay.peers.iter().map(|peer| (peer.public_key, peer)).collect();
    let owned: HashSet<_> = relay.peers.iter().flat_map(|peer| &peer.addresses).collect();
    let is_inside = |address: &IpAddr| {
        owned.contains(address) || relay.addresses.iter().any(|net| net.trunc().contains(address))
    };
    let peers = running.device.iter().flat_map(|device| &device.peers);
    let inside = peers.filter_map(|peer| {
        let endpoint = peer.endpoint.filter(|endpoint| is_inside(&endpoint.ip()))?;
        Some((names.get(&peer.public_key)?, endpoint))
    });
    let problem = |(peer, endpoint): (&&Peer, SocketAddr)| {
        format!(
            "peer {}: its endpoint {endpoint} is inside the overlay, so what the relay sends it is \
             dropped; that ends when the peer sends from an address outside",
            peer.name
        )
    };
    inside.map(problem).collect()
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
