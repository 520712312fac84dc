//! What peers notice when a relay goes: they dial one address, which keepalived moves.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    Family, MeshLab, Site, deadline,
    mesh::{Agent, Keepalived, NAMES},
    nat::UdpTimeout,
    scenario, skip,
    traffic::{Pings, Stream, Streams, Transfer},
};

use super::{KNOWN, spread};

/// Time-out of the NATs, longer than a keepalive and shorter than WireGuard's other timers.
const NAT_TIMEOUT: UdpTimeout = UdpTimeout(30);

/// Longest time without an answer after a host is gone.
const GONE: Duration = Duration::from_secs(3);

/// The same after a host gave its peers up.
const DRAINED: Duration = Duration::from_secs(1);

/// Longest time between two answers while nothing happens, on an emulated machine.
const CALM: Duration = Duration::from_millis(200);

/// How long traffic is looked at after a host came back.
const WHILE: Duration = Duration::from_secs(5);

/// A site whose peers are all at the relay that has the address.
pub(super) struct Running {
    mesh: MeshLab,
    agents: Vec<Agent>,
    _keepalived: Vec<Keepalived>,
}

/// Pings from the administrator to the nodes, a connection and a stream of datagrams.
struct Traffic {
    pings: Vec<Pings>,
    transfer: Transfer,
    stream: Stream,
}

/// The longest silences.
#[derive(Debug)]
pub(super) struct Silences {
    pub(super) pings: Duration,
    pub(super) transfer: Duration,
    pub(super) stream: Duration,
}

#[test]
fn killed_agents_lose_no_packet_and_begin_with_what_was_known() {
    scenario(skip::TIMED, || {
        let (mesh, mut agents) = spread(Site::one_to_many()?)?;
        let streams = Streams::start(
            mesh.lab(),
            &[("node-a", "node-b"), ("node-b", "node-a"), ("node-c", "node-a")],
        )?;
        for _ in 0..3 {
            agents.drain(..).try_for_each(Agent::kill)?;
            deadline::pass(WHILE);
            agents = mesh.agents()?;
            mesh.await_homes(KNOWN, [2, 1, 1])?;
            deadline::pass(WHILE);
        }
        streams.stop_without_loss()?;
        Ok(())
    });
}

#[test]
fn peers_are_back_within_three_seconds_after_their_host_is_gone() {
    scenario(skip::TIMED, || {
        let mut running = Running::start()?;
        running.host_goes_and_comes()?;
        // Without the agent of the one that takes over.
        running.agents.remove(2).kill()?;
        running.agents.remove(0).kill()?;
        let silences = running.host_goes()?;
        println!("mesh: without agents: {silences:?}");
        Ok(())
    });
}

#[test]
fn a_drained_relay_cuts_no_connection() {
    scenario(skip::TIMED, || {
        let running = Running::start()?;
        let mesh = &running.mesh;
        let traffic = Traffic::start(mesh)?;
        mesh.relay(0)?.relay(&["drain"])?.success("relay drain")?;
        mesh.await_address(1)?;
        mesh.await_homes(KNOWN, [0, 4, 0])?;
        traffic.flows()?;
        // Work on the host, after which it may have peers again, and has none.
        mesh.relay(0)?.down()?;
        mesh.relay(0)?.up()?;
        mesh.relay(0)?.relay(&["drain", "--undo"])?.success("relay drain --undo")?;
        deadline::pass(WHILE);
        let silences = traffic.stop()?;
        println!("mesh: drained: {silences:?}");
        ensure!(silences.pings.max(silences.stream) < DRAINED, "{silences:?}");
        ensure!(mesh.holder()? == Some(1), "the address came back");
        Ok(())
    });
}

impl Running {
    pub(super) fn start() -> Result<Self> {
        let mesh = MeshLab::build(Site::one_to_many()?)?;
        for peer in mesh.lab().peers() {
            peer.nat().forget_udp_after(NAT_TIMEOUT)?;
        }
        mesh.up()?;
        let agents = mesh.agents()?;
        let keepalived = mesh.keepalived_everywhere()?;
        mesh.lab().connect(mesh.lab().peers())?;
        let running = Self { mesh, agents, _keepalived: keepalived };
        Traffic::start(&running.mesh)?.stop()?;
        running.mesh.await_homes(KNOWN, [4, 0, 0])?;
        Ok(running)
    }

    /// The host with the address goes without a word, and comes back after its peers are.
    pub(super) fn host_goes_and_comes(&self) -> Result<Silences> {
        let mesh = &self.mesh;
        let gone = mesh.holder()?.context("nobody has the address")?;
        let silences = self.host_goes()?;
        let holder = mesh.holder()?.context("nobody has the address")?;
        let traffic = Traffic::start(mesh)?;
        mesh.plug(gone)?;
        deadline::pass(WHILE);
        let after = traffic.stop()?;
        ensure!(after.pings.max(after.stream) < CALM, "interrupted again: {after:?}");
        ensure!(mesh.holder()? == Some(holder), "the address came back");
        let mut homes = [0; NAMES.len()];
        homes[holder] = mesh.lab().peers().len();
        mesh.await_homes(KNOWN, homes)?;
        Ok(silences)
    }

    fn host_goes(&self) -> Result<Silences> {
        let mesh = &self.mesh;
        let gone = mesh.holder()?.context("nobody has the address")?;
        let traffic = Traffic::start(mesh)?;
        mesh.unplug(gone)?;
        deadline::until("another host to have the address", || {
            Ok(mesh.holder()?.is_some_and(|holder| holder != gone).then_some(()))
        })?;
        traffic.flows()?;
        let silences = traffic.stop()?;
        println!("mesh: {} gone: {silences:?}", NAMES[gone]);
        ensure!(silences.pings.max(silences.stream) < GONE, "{silences:?}");
        Ok(silences)
    }
}

impl Traffic {
    /// Starts it, and waits until it flows.
    fn start(mesh: &MeshLab) -> Result<Self> {
        let [a, b, c, d] = mesh.lab().first()?;
        let source = a.address(Family::V4);
        let pings = [b, c, d]
            .map(|to| Pings::start(a.namespace(), source, to.address(Family::V4)))
            .into_iter()
            .collect::<Result<_>>()?;
        let transfer = Transfer::start(a, b, Family::V6)?;
        let stream = Stream::start(c, a, Family::V6)?;
        let traffic = Self { pings, transfer, stream };
        traffic.flows()?;
        Ok(traffic)
    }

    /// Waits until all of it flows, from now on.
    fn flows(&self) -> Result<()> {
        let counts = || {
            let pings = self.pings.iter().map(Pings::answers);
            pings.chain([self.transfer.arrived(), self.stream.received()]).collect::<Vec<_>>()
        };
        let before = counts();
        let more = |now: Vec<u64>| now.iter().zip(&before).all(|(now, before)| now > before);
        deadline::until("all traffic to flow", || Ok(more(counts()).then_some(())))
            .with_context(|| format!("from {before:?} to {:?}", counts()))
    }

    fn stop(self) -> Result<Silences> {
        let pings = self.pings.into_iter().map(|pings| Ok(pings.stop()?.silence));
        let pings = pings.collect::<Result<Vec<_>>>()?.into_iter().max();
        Ok(Silences {
            pings: pings.context("no pings")?,
            transfer: self.transfer.stop()?.silence,
            stream: self.stream.stop()?.silence,
        })
    }
}
