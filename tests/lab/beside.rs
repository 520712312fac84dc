//! Other relays on the host: one of the same name in another network namespace, the state of another
//! version; and a guard that cannot be attached.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, MapData};
use relay::{
    datapath::{Classifier, Datapath, Direction, GuardPlace, GuardSettings, Pins, Slots},
    model::PublicKey,
    policy::{self, Sources},
};
use relay_tests::{
    Lab, Ledger, Namespace, Peer, guard::bed::Bed, relay_host::Outcome, scenario, skip,
};

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
fn policy_and_guard_of_another_version_are_taken_over_without_their_key() {
    scenario(skip::LAB, || {
        let lab = Lab::start(guarded(&[])?)?;
        let [a, b] = lab.first()?;
        let before = lab.relay().ledger()?;
        let dir = another_version_takes_over(&lab)?;
        talk(a, b)?;
        let status = lab.relay().relay(&["status", "--check"])?;
        let said = [
            "ingress: program relay_ingress is of another version of relay",
            "egress: program relay_egress is of another version of relay",
            "found pins of another version of relay",
            "~ guard on eth0: this version",
        ];
        ensure!(status.code == 1, "{status:?}");
        for said in said {
            ensure!(status.stderr.contains(said), "no {said:?} in {status:?}");
        }

        let report = lab.relay().up()?;
        let taken = format!("~ pins in {}: taken over; counters continue", dir.display());
        ensure!(report.changes.contains(&taken), "{report:?}");
        ensure!(!report.changes.iter().any(|line| line.contains("stale")), "{report:?}");
        ensure!(!dir.exists() && !lab.relay().up()?.changed);
        goes_on(&lab, [a, b], &before)?;
        reconnect(&lab, [a, b])
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
fn reconnect(lab: &Lab, peers: [&Peer; 2]) -> Result<()> {
    for peer in peers {
        peer.namespace().run("ip", &["link", "del", peer.name()])?;
    }
    lab.connect(peers)?;
    talk(peers[0], peers[1])
}

/// Acts as another version of relay, with the same policy and a guard for another key; returns its
/// pins.
fn another_version_takes_over(lab: &Lab) -> Result<std::path::PathBuf> {
    let host = lab.relay().namespace();
    let pins = host.enter(|| Pins::of_version(lab.relay().bpffs(), RELAY, 999))??;
    let dir = pins.dir().to_owned();
    let datapath = Datapath::new(pins, RELAY);
    let (classifiers, programs) = (classifiers(host)?, Bed::programs_in(host)?);
    let model = lab.model()?;
    let settings = GuardSettings {
        port: model.listen_port,
        public_key: PublicKey::from_bytes([9; 32]),
        initiations_per_second: 1,
        burst: 1,
        sources: 1024,
        overlay: Vec::new(),
    };
    host.enter(|| -> Result<_> {
        let observed = datapath.observe(datapath.hooks(&classifiers)?)?;
        ensure!(observed.heritage.len() == 1, "{observed:?}");
        let slots = Slots::assign(&model.peers, &observed.slots)?;
        let sources = Sources { relay: &model, host_addresses: &[], slots: slots.as_slice() };
        datapath.keep_counters(&observed)?;
        datapath.switch(&policy::compile(&sources)?, &slots, &observed, observed.next_number())?;
        datapath.detach_stale(&observed)?;
        let hooks = datapath.guards(&["eth0"], &programs)?;
        let places = [GuardPlace { interface: "eth0", mode: None }];
        let errors = datapath.guard(&settings, &places, &hooks)?;
        ensure!(errors.is_empty(), "{errors:?}");
        Ok(())
    })??;
    Ok(dir)
}

/// The filters of the relay's interface, on kernels without TCX.
fn classifiers(host: &Namespace) -> Result<Vec<Classifier>> {
    let mut found = Vec::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        let side = direction.label();
        let text = host.run("tc", &["-json", "filter", "show", "dev", RELAY, side])?;
        let filters: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        for filter in filters {
            let Some(program) = filter["options"]["prog"]["id"].as_u64() else { continue };
            let handle = filter["options"]["handle"].as_str().context("a handle")?;
            let Some(Ok(handle)) =
                handle.strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16))
            else {
                bail!("{text}")
            };
            found.push(Classifier {
                direction,
                priority: u16::try_from(filter["pref"].as_u64().context("a priority")?)?,
                handle,
                program_id: u32::try_from(program)?,
            });
        }
    }
    Ok(found)
}
