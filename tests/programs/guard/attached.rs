//! The guard on interfaces: attached, switched, observed, detached.

use anyhow::{Context as _, Result, ensure};
use aya::programs::xdp::XdpMode as AyaMode;
use relay::{
    datapath::{DatapathError, GuardPlace, GuardSettings, LoadedGuard, XdpMode},
    model::PublicKey,
};
use relay_common::guard::Outcome;
use relay_tests::{
    guard::{
        bed::{Bed, NEEDS, UNDERLAY},
        key, message, settings,
    },
    scenario,
};

fn rekeyed() -> GuardSettings {
    GuardSettings { public_key: PublicKey::from_bytes([9; 32]), ..settings(1000) }
}

#[test]
fn a_new_key_is_one_step_of_the_link_and_counts_stay() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-rekey")?;
        ensure!(bed.observe(UNDERLAY)?.mode.is_none());
        let hook = bed.put(UNDERLAY, None, &settings(1000))??;
        ensure!(hook.mode == Some(XdpMode::Driver), "{hook:?}");
        ensure!(hook.carries_out(&settings(1000)) && !hook.carries_out(&rekeyed()));
        let genuine = message::initiation(&key(), 1);
        let counted = bed.send(&genuine, Outcome::Initiation)?;
        let link = bed.link_id()?;
        let hook = bed.put(UNDERLAY, None, &rekeyed())??;
        ensure!(hook.carries_out(&rekeyed()), "{hook:?}");
        ensure!(bed.link_id()? == link, "the link was made anew");
        bed.send(&genuine, Outcome::BadMac1)?;
        let counts = bed.datapath.guard_counts()?;
        ensure!(counts[Outcome::Initiation.index() as usize] >= counted, "{counts:?}");
        Ok(())
    });
}

#[test]
fn the_guard_runs_in_the_desired_mode_or_fails() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-modes")?;
        // The loopback interface has no driver.
        let hook = bed.put("lo", None, &settings(1))??;
        ensure!(hook.mode == Some(XdpMode::Generic), "{hook:?}");
        ensure!(bed.relay.enter(|| bed.datapath.unguard("lo"))??);
        let error = bed.put("lo", Some(XdpMode::Driver), &settings(1))?.expect_err("no driver");
        let said = error.to_string();
        ensure!(said.starts_with("interface lo: cannot run program relay_guard in mode driver"));
        ensure!(error.is_lack() && bed.observe("lo")?.mode.is_none());

        for mode in [XdpMode::Driver, XdpMode::Generic, XdpMode::Driver] {
            let hook = bed.put(UNDERLAY, Some(mode), &settings(1000))??;
            ensure!(hook.mode == Some(mode), "{hook:?}");
            bed.send(&message::initiation(&key(), 1), Outcome::Initiation)?;
            let hook = bed.put(UNDERLAY, None, &settings(1000))??;
            ensure!(hook.mode == Some(mode), "without a desired mode, it stays: {hook:?}");
        }
        let error = bed.put("eth9", None, &settings(1))?.expect_err("no such interface");
        ensure!(matches!(error, DatapathError::NoUnderlay { .. }), "{error}");
        Ok(())
    });
}

#[test]
fn with_jumbo_frames_it_runs_in_either_mode_and_judges_every_message() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-jumbo")?;
        for (place, interface) in [(&bed.relay, UNDERLAY), (&bed.other, "eth0")] {
            place.run("ip", &["link", "set", interface, "mtu", "9000"])?;
        }
        for mode in [XdpMode::Driver, XdpMode::Generic] {
            let hook = bed.put(UNDERLAY, Some(mode), &settings(1000))??;
            ensure!(hook.mode == Some(mode), "{hook:?}");
            bed.send(&message::initiation(&key(), 1), Outcome::Initiation)?;
            bed.send(&message::forged(&key()), Outcome::BadMac1)?;
            // The largest that comes in one frame: headers take 28 of its bytes.
            bed.send(&message::data(8972, 1), Outcome::Data)?;
            bed.send(&vec![1; 8972], Outcome::Malformed)?;
        }
        Ok(())
    });
}

#[test]
fn a_foreign_program_is_left_in_place() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-foreign")?;
        let mut other = LoadedGuard::load(&settings(1), None)?;
        let attached = bed
            .relay
            .enter(|| -> Result<_> { Ok(other.program()?.attach(UNDERLAY, AyaMode::Skb)?) })??;
        let before = bed.programs()?;
        let hook = bed.observe(UNDERLAY)?;
        let foreign = format!("XDP program relay_guard (id {})", before[0].program_id);
        let obstacle = hook.obstacle.as_ref().context("nothing in the way")?;
        ensure!(obstacle.found == foreign && hook.mode.is_none(), "{hook:?}");
        let links = aya::programs::loaded_links().filter_map(Result::ok);
        let link = links.into_iter().find(|link| link.program_id() == before[0].program_id);
        let link = link.context("aya attaches by links")?.id();
        let remedy = format!("remove it with `bpftool link detach id {link}`");
        ensure!(obstacle.remedy == remedy, "{obstacle:?}");
        for mode in [None, Some(XdpMode::Driver), Some(XdpMode::Generic)] {
            let error = bed.put(UNDERLAY, mode, &settings(1))?.expect_err("occupied");
            ensure!(error.to_string().contains(&foreign), "{error}");
            // A program attached after the observation.
            let places = [GuardPlace { interface: UNDERLAY, mode }];
            let put = bed.relay.enter(|| bed.datapath.guard(&settings(1), &places, &[]))?;
            let (_interface, error) = put?.into_iter().next().context("occupied")?;
            ensure!(matches!(error, DatapathError::Obstructed { .. }), "{error:?}");
            ensure!(bed.programs()? == before);
        }
        other.program()?.detach(attached)?;
        ensure!(bed.put(UNDERLAY, None, &settings(1))??.carries_out(&settings(1)));
        Ok(())
    });
}

#[test]
fn a_lost_pin_or_interface_is_observed_and_repaired() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-lost")?;
        bed.put(UNDERLAY, None, &settings(1000))??;
        let genuine = message::initiation(&key(), 1);
        let counted = bed.send(&genuine, Outcome::Initiation)?;

        // Without the pin of the counts.
        std::fs::remove_file(bed.pins()?.join("guard_counts"))?;
        let hook = bed.observe(UNDERLAY)?;
        ensure!(!hook.is_counted && !hook.carries_out(&settings(1000)), "{hook:?}");
        let hook = bed.put(UNDERLAY, None, &settings(1000))??;
        ensure!(hook.carries_out(&settings(1000)), "{hook:?}");
        ensure!(bed.datapath.guard_counts()?[Outcome::Initiation.index() as usize] >= counted);

        // On another interface of that name.
        bed.disconnect()?;
        let hook = bed.observe(UNDERLAY)?;
        ensure!(hook.is_orphaned && hook.mode.is_none(), "{hook:?}");
        bed.connect()?;
        let hook = bed.observe(UNDERLAY)?;
        ensure!(hook.is_orphaned && hook.mode.is_none(), "{hook:?}");
        let hook = bed.put(UNDERLAY, None, &settings(1000))??;
        ensure!(hook.carries_out(&settings(1000)) && !hook.is_orphaned, "{hook:?}");
        bed.send(&genuine, Outcome::Initiation)?;

        // With another size of the table of sources, which starts empty.
        let larger = GuardSettings { sources: 100, ..settings(1000) };
        ensure!(bed.put(UNDERLAY, None, &larger)??.carries_out(&larger));
        bed.send(&genuine, Outcome::Initiation)?;
        Ok(())
    });
}

#[test]
fn a_detached_guard_is_gone_at_once() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-off")?;
        let pins = bed.pins()?;
        for place in ["lo", UNDERLAY] {
            bed.put(place, None, &settings(1000))??;
        }
        let counted = bed.send(&message::initiation(&key(), 1), Outcome::Initiation)?;
        ensure!(bed.programs()?.len() == 2);
        // A guard on an interface that is not configured is observed too.
        let programs = bed.programs()?;
        let hooks = bed.relay.enter(|| bed.datapath.guards(&["lo"], &programs))??;
        let names: Vec<String> = hooks.into_iter().map(|hook| hook.interface).collect();
        ensure!(names == ["lo", UNDERLAY], "{names:?}");
        let off = |interface| bed.relay.enter(|| bed.datapath.unguard(interface));
        ensure!(off(UNDERLAY)?? && !off(UNDERLAY)??);
        ensure!(bed.programs()?.len() == 1 && pins.join("guard_sources").exists());
        ensure!(off("lo")?? && bed.programs()?.is_empty());
        ensure!(!pins.join("guard_sources").exists() && !pins.join("guard_flows").exists());
        ensure!(bed.datapath.guard_counts()?[Outcome::Initiation.index() as usize] >= counted);

        for place in ["lo", UNDERLAY] {
            bed.put(place, None, &settings(1000))??;
        }
        ensure!(bed.datapath.remove()? && bed.programs()?.is_empty() && !pins.exists());
        ensure!(bed.datapath.guard_counts()? == [0; Outcome::COUNT]);
        Ok(())
    });
}
