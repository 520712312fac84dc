//! A relay of the same name in another network namespace, and a guard that cannot be attached.

use std::fs;

use anyhow::{Result, ensure};
use aya::maps::{Array, MapData};
use relay_tests::{Lab, Ledger, Namespace, Peer, relay_host::Outcome, scenario, skip};

use crate::guard::{guarded, has_xdp, talk};

const RELAY: &str = "relay0";

#[test]
fn a_relay_of_the_same_name_in_another_namespace_leaves_the_first_alone() {
    scenario(skip::LAB, || {
        let lab = Lab::start(guarded(&[])?)?;
        let [a, b] = lab.first()?;
        let second = Namespace::create("second")?;
        second.ip_batch(
            "link add eth0 type veth\n\
             link set eth0 up\n\
             address add 198.51.100.1/24 dev eth0\n\
             route add default via 198.51.100.254\n",
        )?;
        let there = |arguments: &[&str]| -> Result<Outcome> {
            Outcome::of(&second.output(&mut lab.relay().command(arguments))?)
        };
        let before = lab.relay().ledger()?;

        let up = there(&["up"])?.success("up in the second namespace")?;
        ensure!(up.contains("+ policy generation 1\n"), "{up}");
        ensure!(up.contains("+ guard on eth0 (mode auto)\n"), "{up}");
        ensure!(there(&["status", "--check"])?.code == 0);
        goes_on(&lab, [a, b], &before)?;

        let stats = there(&["stats", "--json"])?.success("stats")?;
        let stats: relay_tests::stats::Stats = serde_json::from_str(&stats)?;
        let none = Ledger::of(&stats);
        ensure!(none.get(&format!("{} relayed rx packets", a.name())) == 0, "{none}");

        let down = there(&["down"])?.success("down in the second namespace")?;
        ensure!(down.contains("- policy and counters"), "{down}");
        ensure!(down.contains("- guard on eth0"), "{down}");
        goes_on(&lab, [a, b], &before)?;
        ensure!(has_xdp(&lab)?, "the first guard is gone");
        ensure!(!lab.relay().up()?.changed);
        Ok(())
    });
}

#[test]
fn a_guard_that_cannot_take_the_new_key_is_detached_and_reported() {
    scenario(skip::LAB, || {
        let lab = Lab::start(guarded(&[])?)?;
        let [a, b] = lab.first()?;
        let sources = lab.relay().pins(RELAY)?.join("guard_sources");
        fs::remove_file(&sources)?;
        Array::<MapData, u64>::create(3, 0)?.pin(&sources)?;
        fs::remove_file(lab.directory().join("private.key"))?;

        let report = lab.up()?;
        let is_reported = |warning: &String| {
            warning.starts_with("no guard on eth0: ")
                && warning.ends_with("; the previous guard is detached")
        };
        ensure!(report.changed && report.warnings.iter().any(is_reported), "{report:?}");
        ensure!(!has_xdp(&lab)?);
        let status = lab.relay().relay(&["status", "--check"])?;
        ensure!(status.code == 1 && status.stderr.contains("+ guard on eth0"), "{status:?}");
        reconnect(&lab, [a, b])?;

        // The last guard takes its tables with it.
        ensure!(!sources.exists());
        let report = lab.up()?;
        ensure!(report.changes == ["+ guard on eth0 (mode auto)"], "{report:?}");
        ensure!(has_xdp(&lab)?);
        reconnect(&lab, [a, b])
    });
}

/// Checks that peers talk and are counted, and that `relay status --check` finds no problem.
fn goes_on(lab: &Lab, [a, b]: [&Peer; 2], before: &Ledger) -> Result<()> {
    let name = format!("{} relayed rx packets", a.name());
    let counted = lab.relay().ledger()?.since(before)?.get(&name);
    talk(a, b)?;
    ensure!(lab.relay().ledger()?.since(before)?.get(&name) > counted, "{name} does not move");
    let status = lab.relay().relay(&["status", "--check"])?;
    ensure!(status.code == 0, "{status:?}");
    Ok(())
}

/// Reconnects the peers, with new handshakes.
pub(crate) fn reconnect(lab: &Lab, peers: [&Peer; 2]) -> Result<()> {
    for peer in peers {
        peer.namespace().run("ip", &["link", "del", peer.name()])?;
    }
    lab.connect(peers)?;
    talk(peers[0], peers[1])
}
