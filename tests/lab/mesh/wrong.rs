//! Relays that do not fit each other: what is wrong has a name.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use relay_tests::{MeshLab, Site, deadline, scenario, skip};

use super::{await_health, spread};

#[test]
fn what_does_not_fit_is_named_by_status_and_doctor() {
    scenario(skip::LAB, || {
        let (mesh, agents) = spread(Site::one_to_many()?)?;
        await_health(&mesh)?;

        // A policy that differs.
        let mut other = mesh.lab().site().clone();
        let [_a, b, c] = other.first()?;
        let address = other.addresses(&c)?;
        other.allow(&b, &address)?;
        mesh.relay(1)?.write_config(&other.text()?)?;
        mesh.relay(1)?.up()?;
        named(&mesh, 0, "r2 has another policy")?;
        named(&mesh, 2, "r2 has another policy")?;
        named(&mesh, 1, "r1 has another policy")?;
        sound_alone(&mesh, 0)?;
        sound_alone(&mesh, 1)?;
        mesh.up()?;
        await_health(&mesh)?;

        // An agent that does not run.
        let mut agents = agents.into_iter();
        agents.next().context("an agent")?.kill()?;
        named(&mesh, 0, "the agent does not run")?;
        named(&mesh, 1, "the agent of r1 is silent")?;
        sound_alone(&mesh, 1)?;
        let said = mesh.relay(0)?.relay(&["status", "--check", "--local"])?;
        ensure!(said.code == 1 && said.stderr.contains("the agent does not run"), "{said:?}");
        let again = mesh.agent(0)?;
        await_health(&mesh)?;

        // A relay that the others do not know.
        let mut without = mesh.lab().site().clone();
        without.remove_relay("r3")?;
        for place in [0, 1] {
            mesh.relay(place)?.write_config(&without.text()?)?;
            mesh.relay(place)?.up()?;
        }
        named(&mesh, 2, "the agent of r1 is silent")?;
        let listed = mesh.relay(0)?.relay(&["mesh", "status"])?.success("relay mesh status")?;
        ensure!(!listed.contains("r3"), "{listed}");
        drop(again);
        Ok(())
    });
}

#[test]
fn keys_that_do_not_fit_are_named() {
    scenario(skip::LAB, || {
        let mesh = MeshLab::build(Site::one_to_many()?)?;
        let file = |name: &str| mesh.lab().directory().join(name);
        // The second relay has the first one's key of the tunnels: two are the first.
        let key = fs::read(file("r2/mesh.key"))?;
        fs::copy(file("r1/mesh.key"), file("r2/mesh.key"))?;
        mesh.up()?;
        let agents = mesh.agents()?;
        named(&mesh, 0, "transit to r2 is down")?;
        named(&mesh, 2, "transit to r2 is down")?;
        sound_alone(&mesh, 2)?;
        drop(agents);
        fs::write(file("r2/mesh.key"), key)?;
        mesh.relay(1)?.up()?;
        let agents = mesh.agents()?;
        await_health(&mesh)?;

        // A key of the tunnels that is in no file.
        let key = fs::read(file("r2/mesh.key"))?;
        let stranger = mesh.relay(1)?.relay(&["genkey"])?.success("relay genkey")?;
        fs::write(file("r2/mesh.key"), &stranger)?;
        let said = mesh.relay(1)?.relay(&["up"])?;
        ensure!(said.code != 0 && said.stderr.contains("mesh.key"), "{said:?}");
        fs::write(file("r2/mesh.key"), key)?;

        // Another key towards the peers.
        fs::write(file("r2/private.key"), &stranger)?;
        mesh.relay(1)?.up()?;
        named(&mesh, 0, "r2 has another key")?;
        named(&mesh, 1, "r1 has another key")?;
        drop(agents);
        Ok(())
    });
}

/// Waits until `mesh status`, `status --check` and `doctor` of a relay say this.
fn named(mesh: &MeshLab, place: usize, problem: &str) -> Result<()> {
    let relay = mesh.relay(place)?;
    for (verb, code) in
        [(&["mesh", "status"][..], 0), (&["status", "--check"][..], 1), (&["doctor"][..], 3)]
    {
        let mut said = String::new();
        deadline::until(problem, || {
            let outcome = relay.relay(verb)?;
            said = format!("exit code {}\n{}{}", outcome.code, outcome.stdout, outcome.stderr);
            Ok((outcome.code == code && said.contains(problem)).then_some(()))
        })
        .with_context(|| format!("relay {place}: {verb:?}: {said}"))?;
    }
    Ok(())
}

/// Checks that `status --check --local` of a relay finds nothing wrong.
fn sound_alone(mesh: &MeshLab, place: usize) -> Result<()> {
    let said = mesh.relay(place)?.relay(&["status", "--check", "--local"])?;
    said.success("relay status --check --local").map(drop)
}
