//! The tunnels between the relays come and go with the relay.

use anyhow::{Context as _, Result, ensure};
use relay_tests::{
    MeshLab, Site, deadline,
    footprint::Footprint,
    mesh::{NAMES, address},
    scenario, skip,
};

use super::await_health;

#[test]
fn the_tunnels_come_with_up_and_go_with_down() {
    scenario(skip::LAB, || {
        let mesh = MeshLab::build(Site::one_to_many()?)?;
        let empty = mesh.relays().map(Footprint::read).collect::<Result<Vec<_>>>()?;
        mesh.up()?;
        let _agents = mesh.agents()?;
        await_health(&mesh)?;
        for (place, relay) in mesh.relays().enumerate() {
            let again = relay.up()?;
            ensure!(!again.changed, "a second up changes {:?}", again.changes);
            let fence = relay.namespace().run("nft", &["list", "ruleset"])?;
            for (other, name) in NAMES.iter().enumerate().filter(|(other, _)| *other != place) {
                let interface = format!("relay0-{name}");
                ensure!(fence.contains(&interface), "{interface} is not in the fence:\n{fence}");
                let endpoints = relay.wg(&interface, "endpoints")?;
                let port = 51830 + place;
                let expected = format!("{}:{port}", address(other));
                ensure!(endpoints.values().eq([&expected]), "{endpoints:?}, not {expected}");
            }
        }
        // What belongs to the relays goes with them.
        for relay in mesh.relays() {
            relay.down()?;
        }
        for (relay, empty) in mesh.relays().zip(&empty) {
            let mut left = String::new();
            deadline::within(deadline::SETTLING, "the kernel to be as it was", || {
                let now = Footprint::read(relay)?;
                left = now.difference(empty);
                Ok((now == *empty).then_some(()))
            })
            .with_context(|| format!("after relay down:\n{left}"))?;
        }
        Ok(())
    });
}
