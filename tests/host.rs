//! Behaviour on a kernel without WireGuard.

use anyhow::{Result, ensure};
use relay_tests::{Lab, Site, footprint::Footprint, scenario, skip::Need};

#[test]
fn up_without_wireguard_reports_that_and_changes_nothing() {
    scenario(&[Need::Root, Need::Tools, Need::Relay, Need::NoWireGuard], || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let before = Footprint::read(lab.relay())?;
        let outcome = lab.relay().relay(&["up"])?;
        let said = outcome.failure(3)?;
        ensure!(said.contains("WireGuard"), "{said:?} does not name WireGuard");
        let after = Footprint::read(lab.relay())?;
        ensure!(after == before, "left behind:\n{}", after.difference(&before));
        ensure!(!lab.directory().join("private.key").exists(), "a key was left behind");
        Ok(())
    });
}

#[test]
fn nothing_is_measured_without_wireguard_and_nothing_is_left_behind() {
    scenario(&[Need::Root, Need::Tools, Need::Relay, Need::NoWireGuard], || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let before = Footprint::read(lab.relay())?;
        let outcome = lab.relay().relay(&["bench"])?;
        let said = outcome.failure(3)?;
        ensure!(said.contains("WireGuard"), "{said:?} does not name WireGuard");
        let after = Footprint::read(lab.relay())?;
        ensure!(after == before, "left behind:\n{}", after.difference(&before));
        Ok(())
    });
}

#[test]
fn a_guard_is_planned_on_the_default_route_and_its_absence_is_reported() {
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

#[test]
fn disabled_ipv6_is_reported_before_anything_is_changed() {
    scenario(&[Need::Root, Need::Tools, Need::Relay, Need::Bpf, Need::NoWireGuard], || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        lab.relay().namespace().set_sysctl("ipv6/conf/default/disable_ipv6", 1)?;
        let before = Footprint::read(lab.relay())?;
        for arguments in [&["up"][..], &["up", "--dry-run"]] {
            let outcome = lab.relay().relay(arguments)?;
            let said = outcome.failure(3)?;
            let off = "IPv6 is off (net.ipv6.conf.default.disable_ipv6 = 1)";
            ensure!(said.contains(off) && said.contains("fd00::3:2:1/120"), "{said}");
        }
        let doctor = lab.relay().relay(&["doctor"])?;
        let said = doctor.stdout.lines().find(|line| line.contains("  ipv6  "));
        ensure!(said.is_some_and(|line| line.starts_with("problem")), "{doctor:?}");
        let after = Footprint::read(lab.relay())?;
        ensure!(after == before, "left behind:\n{}", after.difference(&before));
        Ok(())
    });
}

#[test]
fn forwarding_that_is_off_and_needed_is_reported_by_up_and_status() {
    scenario(&[Need::Root, Need::Tools, Need::Relay, Need::Bpf, Need::NoWireGuard], || {
        let mut lab = Lab::relay_alone(Site::node_to_node()?)?;
        let reports = |lab: &Lab| -> Result<[String; 2]> {
            let up = lab.relay().relay(&["up", "--dry-run"])?;
            ensure!(up.code == 0, "{up:?}");
            Ok([up.stderr, lab.relay().relay(&["status"])?.success("status")?])
        };
        for said in reports(&lab)? {
            ensure!(!said.contains("ip_forward"), "on the fast path nothing is forwarded: {said}");
        }
        lab.site_mut().relay_mut()?.insert("fast_path".to_owned(), false.into());
        lab.write_config()?;
        let (v4, v6) = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding");
        for said in reports(&lab)? {
            let expected = format!(
                "fast_path = false needs {v4} and {v6} = 1, found 0; sysctl -w {v4}=1; sysctl -w {v6}=1"
            );
            ensure!(said.contains(&expected), "{said}");
        }
        lab.relay().namespace().set_sysctl("ipv4/ip_forward", 1)?;
        for said in reports(&lab)? {
            let expected = format!("fast_path = false needs {v6} = 1, found 0");
            ensure!(said.contains(&expected), "{said}");
        }
        lab.relay().namespace().set_sysctl("ipv6/conf/all/forwarding", 1)?;
        for said in reports(&lab)? {
            ensure!(!said.contains("fast_path = false needs"), "{said}");
        }
        Ok(())
    });
}

#[test]
fn a_firewall_that_lets_nothing_in_is_named_by_doctor_and_status() {
    scenario(&[Need::Root, Need::Tools, Need::Relay, Need::Bpf, Need::NoWireGuard], || {
        let lab = Lab::relay_alone(Site::node_to_node()?)?;
        let host = lab.relay().namespace();
        let rules = "table inet filter {
            chain input {
                type filter hook input priority 0; policy drop;
                ct state established,related accept
                iif lo accept
                tcp dport 22 accept
            }
        }\n";
        host.feed("nft", &["-f", "-"], rules)?;
        let closed = "chain inet filter input drops every handshake to UDP port 51820";
        for verb in ["doctor", "status"] {
            let outcome = lab.relay().relay(&[verb])?;
            ensure!(outcome.stdout.contains(closed), "{outcome:?}");
        }
        host.run("nft", &["add rule inet filter input udp dport 51820 accept"])?;
        for verb in ["doctor", "status"] {
            let outcome = lab.relay().relay(&[verb])?;
            ensure!(!outcome.stdout.contains("drops every handshake"), "{outcome:?}");
        }
        Ok(())
    });
}
