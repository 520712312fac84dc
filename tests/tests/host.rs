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

#[test]
fn a_guard_is_planned_where_a_default_route_leads_and_told_of_where_there_is_nothing() {
    scenario(&[Need::Root, Need::Tools, Need::Relay, Need::Bpf, Need::NoWireGuard], || {
        let mut site = Site::node_to_node()?;
        site.guard_mut()?.insert("mode".to_owned(), "driver".into());
        let mut lab = Lab::relay_alone(site)?;
        let plan = |lab: &Lab| lab.relay().relay(&["up", "--dry-run"]);
        let lines = plan(&lab)?.success("up --dry-run")?;
        let planned: Vec<_> = lines.lines().filter(|line| line.contains("guard on")).collect();
        ensure!(planned == ["+ guard on eth0 (mode driver)"], "{lines}");
        let status = lab.relay().relay(&["status"])?.success("status")?;
        ensure!(status.contains("  guard: eth0 NOT GUARDED\n"), "{status}");

        lab.relay().namespace().run("ip", &["route", "del", "default"])?;
        let outcome = plan(&lab)?;
        ensure!(outcome.stderr.contains("guard: no interface has a default route"), "{outcome:?}");
        ensure!(outcome.code == 0 && !outcome.stdout.contains("guard on"), "{outcome:?}");

        for (name, said) in [("eth7", "found no interface eth7"), ("lo", "no Ethernet frames")] {
            let named = vec![toml::Value::from(name)];
            lab.site_mut().guard_mut()?.insert("interfaces".to_owned(), named.into());
            lab.write_config()?;
            let outcome = plan(&lab)?;
            ensure!(outcome.stderr.contains(said), "{outcome:?}");
            ensure!(outcome.code == 0 && outcome.stdout.contains("+ interface"), "{outcome:?}");
        }
        Ok(())
    });
}
