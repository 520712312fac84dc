//! The address that peers dial, moved by keepalived with deploy/keepalived/relay.conf.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    MeshLab, Site, deadline, mesh::Keepalived, relay_host::UNDERLAY, scenario, skip, traffic::Pings,
};

/// Longest time without the address after its host is gone: three intervals of 0.3 s, the time that the
/// next host waits, and what it takes to have it.
const GONE: Duration = Duration::from_millis(1500);

/// The same if its host gives it up.
const GIVEN_UP: Duration = Duration::from_millis(500);

#[test]
fn the_address_moves_and_does_not_come_back() {
    scenario(skip::TIMED, || {
        let mesh = MeshLab::build(Site::node_to_node()?)?;
        mesh.up()?;
        // The first has the highest priority, and no other to find.
        let mut running = vec![mesh.keepalived(0)?];
        at(&mesh, 0, &running)?;
        running.push(mesh.keepalived(1)?);
        running.push(mesh.keepalived(2)?);
        let drained = mesh.lab().directory().join("r2/run/relay0.drain");
        deadline::until("keepalived to make the file", || Ok(drained.is_file().then_some(())))?;

        let silence = during(&mesh, || {
            mesh.unplug(0)?;
            at(&mesh, 1, &running)
        })?;
        ensure!(silence < GONE, "{silence:?} without the address after its host was gone");
        println!("mesh: host gone: {} ms without the address", silence.as_millis());
        let silence = during(&mesh, || {
            mesh.plug(0)?;
            deadline::pass(Duration::from_secs(3));
            at(&mesh, 1, &running)
        })?;
        ensure!(silence < Duration::from_millis(100), "the host that came back: {silence:?}");
        let silence = during(&mesh, || {
            fs::write(&drained, "1\n")?;
            at(&mesh, 0, &running)
        })?;
        ensure!(silence < GIVEN_UP, "{silence:?} without the address that was given up");
        println!("mesh: drained: {} ms without the address", silence.as_millis());
        fs::write(&drained, "0\n")?;
        let silence = during(&mesh, || {
            mesh.relay(0)?.down()?;
            at(&mesh, 1, &running)
        })?;
        ensure!(silence < GIVEN_UP, "{silence:?} without the address after `relay down`");
        println!("mesh: relay down: {} ms without the address", silence.as_millis());
        Ok(())
    });
}

/// Waits until this relay has the address, and checks that what its WireGuard sends comes from there.
fn at(mesh: &MeshLab, place: usize, running: &[Keepalived]) -> Result<()> {
    let moved = deadline::until(&format!("the address at relay {place}"), || {
        Ok((mesh.holder()? == Some(place)).then_some(()))
    });
    if moved.is_err() {
        let logs: Result<Vec<String>> = running.iter().map(Keepalived::log).collect();
        return moved.with_context(|| logs.unwrap_or_default().join("\n"));
    }
    let route = ["-j", "route", "get", "198.51.100.2", "ipproto", "udp", "sport", "51820"];
    let text = mesh.relay(place)?.namespace().run("ip", &route)?;
    let routes: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(routes[0]["prefsrc"] == UNDERLAY, "WireGuard would send from elsewhere: {text}");
    Ok(())
}

/// The longest time without an answer of the address.
fn during(mesh: &MeshLab, work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let internet = mesh.lab().internet();
    let pings = Pings::start(internet, "192.0.2.254".parse()?, UNDERLAY.parse()?)?;
    let answered = || deadline::until("an answer", || Ok((pings.answers() > 0).then_some(())));
    answered()?;
    work()?;
    let before = pings.answers();
    deadline::until("answers", || Ok((pings.answers() > before).then_some(())))?;
    Ok(pings.stop()?.silence)
}
