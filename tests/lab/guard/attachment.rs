//! Where the guard is attached, and how it follows the configuration.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use aya::programs::xdp::XdpMode;
use relay::{
    datapath::{GuardSettings, LoadedGuard},
    model::PublicKey,
};
use relay_tests::{Lab, guard::message, relay_host::UNDERLAY, scenario, skip};

use super::{attached, await_seen, guarded, has_xdp, relay_key, seen, send, talk};

#[test]
fn with_another_key_of_the_relay_the_guard_has_it_too() {
    scenario(skip::LAB, || {
        let lab = Lab::start(guarded(&[])?)?;
        let [a, b] = lab.first()?;
        let old = relay_key(&lab)?;
        fs::remove_file(lab.directory().join("private.key"))?;
        let report = lab.up()?;
        let line = "~ guard on eth0: new key".to_owned();
        ensure!(report.changes.contains(&line), "{report:?}");
        ensure!(!lab.up()?.changed);
        let new = relay_key(&lab)?;
        ensure!(old != new);

        let (bad, right) = (seen(&lab, "bad_mac1")?, seen(&lab, "initiation")?);
        let of = |key: PublicKey| (0..20).map(move |number| message::initiation(&key, number));
        send(lab.internet(), UNDERLAY.parse()?, of(old))?;
        await_seen(&lab, "bad_mac1", bad + 20)?;
        send(lab.internet(), UNDERLAY.parse()?, of(new))?;
        await_seen(&lab, "initiation", right + 20)?;

        for peer in [a, b] {
            peer.namespace().run("ip", &["link", "del", peer.name()])?;
        }
        lab.connect([a, b])?;
        talk(a, b)
    });
}

#[test]
fn without_its_table_the_guard_is_detached_and_counts_continue_with_it() {
    scenario(skip::LAB, || {
        let mut lab = Lab::start(guarded(&[])?)?;
        let counted = seen(&lab, "initiation")?;
        ensure!(counted >= 2 && has_xdp(&lab)?);

        lab.site_mut().without_guard();
        lab.write_config()?;
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.contains("- guard on eth0"), "{status:?}");
        let report = lab.up()?;
        ensure!(report.changes == ["- guard on eth0"] && !has_xdp(&lab)?, "{report:?}");
        ensure!(!lab.up()?.changed);
        let stats = lab.relay().stats()?;
        ensure!(stats.guard.interfaces.is_empty(), "{stats:?}");
        ensure!(seen(&lab, "initiation")? == counted, "counts are kept");

        lab.site_mut().guard_mut()?.insert("mode".to_owned(), "driver".into());
        let report = lab.up()?;
        ensure!(report.changes == ["+ guard on eth0 (mode driver)"], "{report:?}");
        send(lab.internet(), UNDERLAY.parse()?, [message::initiation(&relay_key(&lab)?, 1)])?;
        await_seen(&lab, "initiation", counted + 1)?;

        lab.site_mut().guard_mut()?.insert("enabled".to_owned(), false.into());
        let report = lab.up()?;
        ensure!(report.changes == ["- guard on eth0"], "{report:?}");
        lab.site_mut().guard_mut()?.insert("enabled".to_owned(), true.into());
        lab.up()?;
        let report = lab.relay().down()?;
        ensure!(report.changes.iter().any(|line| line == "- guard on eth0"), "{report:?}");
        ensure!(!has_xdp(&lab)?, "down left it");
        Ok(())
    });
}

#[test]
fn a_foreign_xdp_program_stays_and_the_relay_works_without_guard() {
    scenario(skip::LAB, || {
        let lab = Lab::build(guarded(&[])?)?;
        let settings = GuardSettings {
            port: 1,
            public_key: PublicKey::from_bytes([9; 32]),
            initiations_per_second: 1,
            burst: 1,
            sources: 1024,
            overlay: Vec::new(),
        };
        let mut other = LoadedGuard::load(&settings, None)?;
        let host = lab.relay().namespace();
        let attached_there =
            host.enter(|| -> Result<_> { Ok(other.program()?.attach("eth0", XdpMode::Driver)?) })??;
        let report = lab.up()?;
        let said = "interface eth0: found XDP program relay_guard (id ";
        ensure!(report.warnings.iter().any(|warning| warning.starts_with(said)), "{report:?}");
        ensure!(!report.changes.iter().any(|change| change.contains(" guard on ")), "{report:?}");
        ensure!(attached(&lab)? == "none");
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.starts_with(said), "{status:?}");
        let doctor = lab.relay().relay(&["doctor"])?;
        ensure!(doctor.stdout.contains("eth0 has XDP program relay_guard (id "), "{doctor:?}");
        ensure!(doctor.stdout.contains("→ remove it with `bpftool link detach id "), "{doctor:?}");
        let peers = lab.first::<2>()?;
        lab.connect(peers)?;
        talk(peers[0], peers[1])?;
        ensure!(has_xdp(&lab)?, "the other program was taken off");

        other.program()?.detach(attached_there)?;
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.contains("+ guard on eth0"), "{status:?}");
        lab.up()?;
        ensure!(attached(&lab)? == "driver");
        talk(peers[0], peers[1])
    });
}

#[test]
fn a_guard_that_cannot_run_is_reported_and_the_relay_comes_up() {
    scenario(skip::LAB, || {
        let mut site = guarded(&[])?;
        site.guard_mut()?.insert("mode".to_owned(), "generic".into());
        let mut lab = Lab::start(site)?;
        ensure!(attached(&lab)? == "generic");
        ensure!(seen(&lab, "initiation")? >= 2);
        let before = seen(&lab, "bad_mac1")?;
        let forged = message::initiation(&PublicKey::from_bytes([9; 32]), 1);
        send(lab.internet(), UNDERLAY.parse()?, [forged])?;
        await_seen(&lab, "bad_mac1", before + 1)?;

        lab.site_mut().guard_mut()?.insert("mode".to_owned(), "driver".into());
        let report = lab.up()?;
        ensure!(report.changes == ["~ guard on eth0: mode generic → driver"], "{report:?}");
        ensure!(attached(&lab)? == "driver");

        // The dummy driver has no XDP.
        let ip = |arguments: &[&str]| lab.relay().namespace().run("ip", arguments);
        ip(&["link", "add", "dummy7", "type", "dummy"])?;
        let named = toml::Value::from(vec!["eth0", "dummy7", "eth7"]);
        let mut site = lab.site().clone();
        site.guard_mut()?.insert("interfaces".to_owned(), named);
        lab.relay().write_config(&site.text()?)?;
        let absent = "found no interface eth7";
        let unsupported = "no guard on dummy7: interface dummy7: cannot run program relay_guard in mode \
                       driver";
        // With and without a running relay.
        for is_down in [false, true] {
            if is_down {
                lab.relay().down()?;
            }
            let report = lab.relay().up()?;
            ensure!(report.changed == is_down, "{report:?}");
            for said in [absent, unsupported] {
                let is_reported = report.warnings.iter().any(|warning| warning.contains(said));
                ensure!(is_reported, "no {said:?} in {report:?}");
            }
            ensure!(!report.changes.iter().any(|line| line.contains("dummy7")), "{report:?}");
            let plain = lab.relay().relay(&["up"])?;
            ensure!(plain.code == 0 && plain.stderr.contains(unsupported), "{plain:?}");
            let status = lab.relay().relay(&["status", "--check"])?;
            ensure!(status.code == 1 && status.stderr.contains(absent), "{status:?}");
            ensure!(status.stderr.contains("+ guard on dummy7"), "{status:?}");
            let doctor = lab.relay().relay(&["doctor"])?;
            ensure!(doctor.stdout.contains(absent) && doctor.code == 0, "{doctor:?}");
        }
        let peers = lab.first::<2>()?;
        for peer in peers {
            peer.namespace().run("ip", &["link", "del", peer.name()])?;
        }
        lab.connect(peers)?;
        talk(peers[0], peers[1])?;
        ensure!(attached_to(&lab, "eth0")? == "driver");

        // An interface that appears later is guarded by the next `up`.
        ip(&["link", "add", "eth7", "type", "veth", "peer", "name", "eth8"])?;
        let reload = lab.relay().relay(&["reload"])?.success("reload")?;
        ensure!(reload.contains("+ guard on eth7 (mode driver)"), "{reload}");
        ensure!(attached_to(&lab, "eth7")? == "driver");
        ip(&["link", "del", "eth7"])?;

        let named = toml::Value::from(vec!["eth0", "dummy7"]);
        site.guard_mut()?.insert("interfaces".to_owned(), named);
        site.guard_mut()?.insert("mode".to_owned(), "auto".into());
        lab.relay().write_config(&site.text()?)?;
        lab.relay().up()?;
        let status = lab.relay().relay(&["status"])?.success("status")?;
        ensure!(status.contains("  guard: eth0 by driver, dummy7 by generic\n"), "{status}");

        // Deleted and made again, it is another interface.
        ip(&["link", "del", "dummy7"])?;
        ip(&["link", "add", "dummy7", "type", "dummy"])?;
        let report = lab.relay().up()?;
        let line = "+ guard on dummy7, which was made again (mode auto)";
        ensure!(report.changes == [line], "{report:?}");
        ensure!(!lab.relay().up()?.changed);
        let [a, b] = lab.first()?;
        talk(a, b)
    });
}

/// The mode of the guard on an interface.
fn attached_to(lab: &Lab, interface: &str) -> Result<String> {
    let interfaces = lab.relay().stats()?.guard.interfaces;
    let found = interfaces.iter().find(|it| it.interface == interface);
    Ok(found.with_context(|| format!("no {interface} in {interfaces:?}"))?.attached.clone())
}
