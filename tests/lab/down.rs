//! `relay down`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, ensure};
use relay_tests::{Family, Lab, Site, deadline, footprint::Footprint, scenario, skip};

use crate::watch::Watch;

#[test]
fn down_leaves_nothing_behind_and_can_be_repeated() {
    scenario(skip::LAB, || {
        let mut site = Site::node_to_node()?;
        let [a, _b] = site.first()?;
        site.set(&a, "routes", toml::Value::from(vec!["192.168.40.0/24"]))?;
        let lab = Lab::build(site)?;
        let empty = Footprint::read(lab.relay())?;
        let key_file = lab.directory().join("private.key");

        lab.relay().up()?;
        let mode = fs::metadata(&key_file).context("the key that up makes")?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "the key's mode is {mode:o}");
        let key = fs::read(&key_file)?;
        let routes = lab.relay().namespace().run("ip", &["-4", "route"])?;
        let interface = lab.interface()?;
        ensure!(routes.contains("192.168.40.0/24"), "no route to what {a} routes:\n{routes}");
        lab.connect(lab.peers())?;
        let [a, b] = lab.first()?;
        Watch::start(&lab)?.delivers(a, b, Family::V4)?;
        let up = Footprint::read(lab.relay())?;
        ensure!(up != empty, "a relay that is up shows nothing in the kernel");

        for _ in 0..2 {
            lab.relay().down()?;
            // The kernel frees programs and maps after a grace period.
            let mut left = String::new();
            deadline::within(deadline::SETTLING, "the kernel to be as it was", || {
                let now = Footprint::read(lab.relay())?;
                left = now.difference(&empty);
                Ok((now == empty).then_some(()))
            })
            .with_context(|| format!("after relay down:\n{left}"))?;
            ensure!(fs::read(&key_file)? == key, "the key was touched");
            ensure!(lab.relay().config().is_file(), "the config was touched");
        }

        lab.relay().up().context("up after down")?;
        let again = lab.relay().stats()?;
        ensure!(again.interface == interface);
        lab.relay().down()?;
        Ok(())
    });
}
