//! What only a kernel without WireGuard can show.

use anyhow::ensure;
use relay_tests::{Lab, Site, footprint::Footprint, scenario, skip::Need};

#[test]
fn without_wireguard_in_the_kernel_up_says_so_and_does_nothing() {
    scenario(&[Need::Root, Need::Tools, Need::Relay, Need::NoWireGuard], || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let before = Footprint::read(lab.relay())?;
        let outcome = lab.relay().relay(&["up"])?;
        let said = outcome.refusal(3)?;
        ensure!(said.contains("WireGuard"), "{said:?} does not name WireGuard");
        let after = Footprint::read(lab.relay())?;
        ensure!(after == before, "left behind:\n{}", after.difference(&before));
        ensure!(!lab.directory().join("private.key").exists(), "a key was left behind");
        Ok(())
    });
}
