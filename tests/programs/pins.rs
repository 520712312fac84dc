//! Pins beside pins of relays of the same name in other network namespaces, and of other versions.
//! Uses plain interfaces instead of WireGuard, on kernels with TCX.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::PathBuf,
};

use anyhow::{Context as _, Result, ensure};
use aya::{
    maps::{Array, MapData, MapInfo},
    programs::links::{FdLink, PinnedLink},
};
use relay::{
    datapath::{
        Datapath, DatapathError, GuardHook, GuardPlace, GuardSettings, Hook, Observed, Pins,
        Repair, Slots, XdpMode,
    },
    model::Relay as Model,
    policy::{self, Sources},
};
use relay_common::names::ABI_VERSION;
use relay_tests::{
    Namespace,
    guard::{
        bed::{Bed, NEEDS, UNDERLAY},
        settings,
    },
    scenario,
};

const RELAY: &str = "relay0";

/// The pin of the guard's link on [`UNDERLAY`].
const GUARD: &str = "guard_link_eth0%2e7";

/// A version that does not exist.
const OTHER: u32 = 999;

#[test]
fn relays_of_one_name_in_two_namespaces_share_a_bpffs_and_nothing_else() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-two")?;
        interface(&bed.other)?;
        let first = Relay::guarded(&bed, ABI_VERSION)?;
        let second = Relay::at(&bed, &bed.other)?;
        let (links, guard) = (first.links()?, first.link(GUARD)?);

        ensure!(second.observe()?.hooks.iter().all(|hook| !hook.is_orphaned));
        second.switch()?;
        second.guard("eth0", &settings(1))?;
        for relay in [&first, &second] {
            relay.is_sound()?;
        }
        ensure!(first.links()? == links && first.link(GUARD)? == guard);
        ensure!(first.guarding(UNDERLAY)?.carries_out(&settings(1000)));

        ensure!(second.remove()? && Bed::programs_in(&bed.other)?.is_empty());
        ensure!(first.links()? == links && first.guarding(UNDERLAY)?.mode.is_some());
        first.is_sound()?;
        ensure!(first.remove()? && !bed.bpffs().join("relay").exists());
        Ok(())
    });
}

#[test]
fn a_link_without_interface_is_an_orphan_and_a_moved_one_is_reported() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-moved")?;
        let relay = Relay::up(&bed, ABI_VERSION)?;
        let before = relay.links()?;
        let ip = |place: &Namespace, arguments: &[&str]| place.run("ip", arguments).map(drop);
        let fails = |place: &str| -> Result<()> {
            let hooks = bed.relay.enter(|| relay.datapath.hooks(&[]))??;
            ensure!(hooks.iter().all(|hook| hook.mode.is_none() && !hook.is_orphaned), "{hooks:?}");
            let error = relay.datapath.observe(hooks).expect_err("elsewhere");
            ensure!(matches!(error, DatapathError::Elsewhere { .. }), "{error}");
            ensure!(error.to_string().contains(place), "{error}");
            ensure!(relay.links()? == before);
            Ok(())
        };

        ip(&bed.relay, &["link", "set", RELAY, "name", "other0"])?;
        fails("found its programs on interface other0")?;
        ip(&bed.relay, &["link", "set", "other0", "name", RELAY])?;
        relay.is_sound()?;

        // With another interface of that name here.
        let (here, there) = (bed.relay.name(), bed.other.name());
        ip(&bed.relay, &["link", "set", RELAY, "netns", there])?;
        interface(&bed.relay)?;
        fails("of another network namespace")?;
        ip(&bed.relay, &["link", "del", RELAY])?;
        ip(&bed.other, &["link", "set", RELAY, "netns", here])?;
        relay.is_sound()?;

        ip(&bed.relay, &["link", "del", RELAY])?;
        interface(&bed.relay)?;
        let hooks = bed.relay.enter(|| relay.datapath.hooks(&[]))??;
        ensure!(hooks.iter().all(|hook| hook.is_orphaned), "{hooks:?}");
        relay.switch()?;
        relay.is_sound()
    });
}

#[test]
fn a_guard_follows_its_interface_to_another_name_and_not_to_another_namespace() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-renamed")?;
        bed.put(UNDERLAY, None, &settings(1000))??;
        let link = bed.link_id()?;
        let ip = |arguments: &[&str]| bed.relay.run("ip", arguments).map(drop);
        ip(&["link", "set", UNDERLAY, "down"])?;
        ip(&["link", "set", UNDERLAY, "name", "wan0"])?;
        let hook = bed.observe("wan0")?;
        ensure!(hook.carries_out(&settings(1000)), "{hook:?}");
        let hook = bed.put("wan0", None, &settings(7))??;
        ensure!(hook.carries_out(&settings(7)), "{hook:?}");
        let renamed = bed.pins()?.join("guard_link_wan0");
        ensure!(FdLink::from(PinnedLink::from_pin(&renamed)?).info()?.id() == link);

        ip(&["link", "set", "wan0", "netns", bed.other.name()])?;
        ip(&["link", "add", "wan0", "type", "veth", "peer", "name", "wan1"])?;
        let error = bed.put("wan0", None, &settings(7))?.expect_err("its link is elsewhere");
        let said = error.to_string();
        ensure!(said.contains("of another network namespace"), "{said}");
        ensure!(said.contains(&format!("`bpftool link detach id {link}`")), "{said}");
        ensure!(renamed.exists() && bed.programs()?.is_empty());
        // A guard that is not desired is removed wherever it is.
        ensure!(bed.relay.enter(|| bed.datapath.unguard("wan0"))?? && !renamed.exists());
        ensure!(bed.put("wan0", None, &settings(7))??.carries_out(&settings(7)));
        Ok(())
    });
}

#[test]
fn another_version_is_taken_over_with_its_counters_in_both_directions() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-versions")?;
        let mut before = Relay::guarded(&bed, ABI_VERSION)?;
        let (hooks, guard, maps) = (before.links()?, before.link(GUARD)?, before.maps()?);

        for version in [OTHER, ABI_VERSION] {
            let next = Relay::of_version(&bed, &bed.relay, version)?;
            let observed = next.observe()?;
            let [left] = &observed.heritage[..] else { anyhow::bail!("{observed:?}") };
            ensure!(left.to_string().ends_with("taken over; counters continue"), "{left}");
            let is_attached = |hook: &Hook| hook.mode.is_some() && hook.generation.is_none();
            ensure!(observed.hooks.iter().all(is_attached), "{observed:?}");
            ensure!(
                !observed.slots.peers.is_empty()
                    && observed.hooks.iter().all(|h| h.stale.is_empty())
            );
            let found = next.guarding(UNDERLAY)?;
            ensure!(found.mode == Some(XdpMode::Driver) && found.settings_hash.is_none());

            // Another version does not take equal settings for its own.
            next.switch()?;
            next.guard(UNDERLAY, &settings(1000))?;
            next.is_sound()?;
            ensure!(next.links()? == hooks, "a link was made anew");
            ensure!(next.link(GUARD)? == guard, "the guard's link was made anew");
            ensure!(next.maps()? == maps, "counts were begun anew");
            ensure!(!before.dir.exists(), "{} is left", before.dir.display());
            before = next;
        }
        ensure!(
            before.remove()? && !bed.bpffs().join("relay").exists() && bed.programs()?.is_empty()
        );
        Ok(())
    });
}

#[test]
fn counters_of_another_layout_restart_and_that_is_reported() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-layout")?;
        let older = Relay::guarded(&bed, OTHER)?;
        let (guard, dir) = (older.link(GUARD)?, &older.dir);
        for name in ["counters_0", "dropped_0", "guard_counts", "of_the_future"] {
            let path = dir.join(name);
            if path.exists() {
                fs::remove_file(&path)?;
            }
            Array::<MapData, [u8; 24]>::create(3, 0)?.pin(&path)?;
        }
        // Running programs would cause their counters to be pinned again.
        bed.relay.run("ip", &["link", "del", RELAY])?;
        interface(&bed.relay)?;

        let mine = Relay::at(&bed, &bed.relay)?;
        let observed = mine.observe()?;
        let repairs: Vec<_> = observed.repairs().iter().map(Repair::to_string).collect();
        let counters = "taken over; some counters restart at zero: their layout differs";
        ensure!(repairs == [format!("~ pins in {}: {counters}", dir.display())], "{repairs:?}");
        ensure!(!observed.counters_are_lost() && mine.datapath.slots()?.len() == 1);
        mine.switch()?;
        mine.guard(UNDERLAY, &settings(1000))?;
        ensure!(mine.link(GUARD)? == guard && !dir.exists());
        mine.is_sound()?;
        ensure!(mine.datapath.guard_counts()?.iter().all(|count| *count == 0));
        Ok(())
    });
}

#[test]
fn a_map_under_another_name_restarts_and_the_others_continue() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-names")?;
        let older = Relay::up(&bed, OTHER)?;
        let (counters, dropped) = (older.map("counters_0")?, older.map("dropped_0")?);
        fs::rename(older.dir.join("dropped_0"), older.dir.join("refused_0"))?;
        // Running programs would cause their counters to be pinned again.
        bed.relay.run("ip", &["link", "del", RELAY])?;
        interface(&bed.relay)?;

        let mine = Relay::at(&bed, &bed.relay)?;
        let observed = mine.observe()?;
        let [left] = &observed.heritage[..] else { anyhow::bail!("{observed:?}") };
        ensure!(left.to_string().contains("some counters restart at zero"), "{left}");
        mine.switch()?;
        mine.is_sound()?;
        ensure!(mine.map("counters_0")? == counters && mine.map("dropped_0")? != dropped);
        ensure!(!older.dir.exists(), "{} is left", older.dir.display());
        Ok(())
    });
}

#[test]
fn pins_without_a_namespace_belong_to_where_their_links_run() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-early")?;
        let early = bed.bpffs().join("relay").join(RELAY).join("v1");
        interface(&bed.other)?;
        let theirs = Relay::guarded(&bed, ABI_VERSION)?;
        let hooks = theirs.links()?;
        fs::rename(&theirs.dir, &early)?;

        // A relay in another namespace does not touch them.
        let other = Relay::at(&bed, &bed.other)?;
        ensure!(other.observe()?.heritage.is_empty());
        other.switch()?;
        ensure!(other.remove()? && early.join("ingress_link").exists());

        let mine = Relay::at(&bed, &bed.relay)?;
        let observed = mine.observe()?;
        ensure!(observed.heritage.len() == 1 && observed.generation().is_some(), "{observed:?}");
        bed.relay.enter(|| mine.datapath.keep_counters(&observed))??;
        mine.is_sound()?;
        ensure!(mine.links()? == hooks && !early.exists());
        ensure!(mine.guarding(UNDERLAY)?.carries_out(&settings(1000)));

        // Without running programs, the first relay takes them over.
        fs::rename(&mine.dir, &early)?;
        bed.relay.run("ip", &["link", "del", RELAY])?;
        ensure!(Relay::at(&bed, &bed.other)?.observe()?.heritage.len() == 1);
        Ok(())
    });
}

#[test]
fn the_running_link_of_a_version_that_ignored_our_pins_is_taken_over() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-unaware")?;
        let mine = Relay::guarded(&bed, ABI_VERSION)?;
        // An early version ignores our pins and applies a policy of its own.
        let aside = bed.bpffs().join("aside");
        fs::rename(&mine.dir, &aside)?;
        let early = Relay::at(&bed, &bed.relay)?;
        early.switch()?;
        let hooks = early.links()?;
        fs::rename(&early.dir, bed.bpffs().join("relay").join(RELAY).join("v1"))?;
        fs::rename(&aside, &mine.dir)?;

        let mine = Relay::at(&bed, &bed.relay)?;
        let observed = mine.observe()?;
        let [left] = &observed.heritage[..] else { anyhow::bail!("{observed:?}") };
        ensure!(left.to_string().contains("counters restart at zero"), "{left}");
        mine.switch()?;
        mine.is_sound()?;
        ensure!(mine.links()? == hooks, "the link that ran was not taken over");
        ensure!(mine.guarding(UNDERLAY)?.carries_out(&settings(1000)));
        Ok(())
    });
}

#[test]
fn a_directory_that_is_not_roots_alone_is_an_error() {
    scenario(NEEDS, || {
        let bed = Bed::make("pins-trust")?;
        let relay = bed.bpffs().join("relay");
        let fails = |found: &str| -> Result<()> {
            let opened = bed.relay.enter(|| Datapath::open(bed.bpffs(), RELAY))?;
            let error = opened.err().context("it was taken")?;
            ensure!(error.is_lack() && error.to_string().contains(found), "{error}");
            Ok(())
        };
        symlink(bed.bpffs(), &relay)?;
        fails("found a symbolic link")?;
        fs::remove_file(&relay)?;
        fs::create_dir(&relay)?;
        chown(&relay, Some(1234), None)?;
        fails("found a directory of user 1234")?;
        chown(&relay, Some(0), None)?;
        fs::set_permissions(&relay, fs::Permissions::from_mode(0o777))?;
        fails("found mode 0777")?;
        fs::set_permissions(&relay, fs::Permissions::from_mode(0o700))?;
        Relay::at(&bed, &bed.relay)?;
        fs::set_permissions(bed.bpffs(), fs::Permissions::from_mode(0o777))?;
        fails("found mode 0777")
    });
}

/// A relay in one of the namespaces.
struct Relay<'a> {
    place: &'a Namespace,
    dir: PathBuf,
    datapath: Datapath,
}

impl<'a> Relay<'a> {
    /// Creates the relay's interface and switches to a policy.
    fn up(bed: &'a Bed, version: u32) -> Result<Self> {
        interface(&bed.relay)?;
        let relay = Self::of_version(bed, &bed.relay, version)?;
        relay.switch()?;
        Ok(relay)
    }

    /// The same with the guard on the underlay.
    fn guarded(bed: &'a Bed, version: u32) -> Result<Self> {
        let relay = Self::up(bed, version)?;
        relay.guard(UNDERLAY, &settings(1000))?;
        Ok(relay)
    }

    fn at(bed: &Bed, place: &'a Namespace) -> Result<Self> {
        Self::of_version(bed, place, ABI_VERSION)
    }

    fn of_version(bed: &Bed, place: &'a Namespace, version: u32) -> Result<Self> {
        let pins = place.enter(|| Pins::of_version(bed.bpffs(), RELAY, version))??;
        let dir = pins.dir().to_owned();
        Ok(Self { place, dir, datapath: Datapath::new(pins, RELAY) })
    }

    fn observe(&self) -> Result<Observed> {
        let Self { place, datapath, .. } = self;
        Ok(place.enter(|| datapath.observe(datapath.hooks(&[])?))??)
    }

    /// Checks that a policy is in force and nothing needs repair.
    fn is_sound(&self) -> Result<()> {
        let observed = self.observe()?;
        ensure!(observed.generation().is_some() && observed.repairs().is_empty(), "{observed:?}");
        Ok(())
    }

    /// Switches to the policy as `relay up` does.
    fn switch(&self) -> Result<()> {
        let observed = self.observe()?;
        let four = crate::four();
        let relay = Model { peers: four.peers[..1].to_vec(), ..four };
        let slots = Slots::assign(&relay, &observed.slots)?;
        let sources = Sources { relay: &relay, host_addresses: &[], slots: slots.as_slice() };
        let compiled = policy::compile(&sources, slots.rules())?;
        let Self { place, datapath, .. } = self;
        place.enter(|| {
            datapath.keep_counters(&observed)?;
            let (number, nothing) = (observed.next_number(), BTreeMap::new());
            datapath.switch(&compiled, &slots, &observed, number, &nothing)?;
            datapath.detach_stale(&observed)
        })??;
        Ok(())
    }

    /// Attaches the guard as `relay up` does.
    fn guard(&self, interface: &str, settings: &GuardSettings) -> Result<()> {
        let (observed, places) =
            ([self.guarding(interface)?], [GuardPlace { interface, mode: None }]);
        let errors = self.place.enter(|| self.datapath.guard(settings, &places, &observed))??;
        ensure!(errors.is_empty(), "{errors:?}");
        let hook = self.guarding(interface)?;
        ensure!(hook.carries_out(settings), "{hook:?}");
        Ok(())
    }

    fn guarding(&self, interface: &str) -> Result<GuardHook> {
        let programs = Bed::programs_in(self.place)?;
        let hooks = self.place.enter(|| self.datapath.guards(&[interface], &programs))??;
        hooks.into_iter().next().context("the interface that was named")
    }

    fn remove(&self) -> Result<bool> {
        Ok(self.place.enter(|| self.datapath.remove())??)
    }

    /// Kernel ids of its links.
    fn links(&self) -> Result<Vec<u32>> {
        ["ingress_link", "egress_link"].iter().map(|name| self.link(name)).collect()
    }

    fn link(&self, name: &str) -> Result<u32> {
        Ok(FdLink::from(PinnedLink::from_pin(self.dir.join(name))?).info()?.id())
    }

    /// Kernel ids of the maps that outlive generations and guards.
    fn maps(&self) -> Result<Vec<u32>> {
        let names = ["slots", "counters_0", "dropped_0", "events", "guard_counts"];
        names.iter().map(|name| self.map(name)).collect()
    }

    fn map(&self, name: &str) -> Result<u32> {
        Ok(MapInfo::from_pin(self.dir.join(name))?.id())
    }
}

/// Creates the relay's interface.
fn interface(place: &Namespace) -> Result<()> {
    place.run("ip", &["link", "add", RELAY, "type", "veth"]).map(drop)
}
