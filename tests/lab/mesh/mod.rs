//! Three relays that are one to their peers.

mod across;
mod address;
mod failover;
mod moves;
mod notices;
mod repeated;
mod split;
mod up;
mod wrong;

use std::time::Duration;

use anyhow::{Result, ensure};
use relay_tests::{MeshLab, Site, deadline, mesh::Agent};

/// Time limit for what all relays are to know.
const KNOWN: Duration = Duration::from_secs(10);

/// The administrator and the last node at the first relay, one node at each of the others, and all
/// relays know it.
fn spread(site: Site) -> Result<(MeshLab, Vec<Agent>)> {
    let mesh = MeshLab::start(site)?;
    let agents = mesh.agents()?;
    for (peer, place) in mesh.lab().peers().iter().zip([0, 1, 2, 0]) {
        mesh.move_to(peer, place)?;
    }
    mesh.await_homes(KNOWN, [2, 1, 1])?;
    Ok((mesh, agents))
}

/// Waits until no relay knows of a problem.
fn await_health(mesh: &MeshLab) -> Result<()> {
    for (place, relay) in mesh.relays().enumerate() {
        let mut said = String::new();
        let sound = deadline::until("status --check to find nothing", || {
            let outcome = relay.relay(&["status", "--check"])?;
            said = format!("{}{}", outcome.stdout, outcome.stderr);
            Ok((outcome.code == 0).then_some(()))
        });
        ensure!(sound.is_ok(), "relay {place}: {said}");
        let problems = mesh.status(place)?.problems;
        ensure!(problems.is_empty(), "relay {place}: {problems:?}");
    }
    Ok(())
}
