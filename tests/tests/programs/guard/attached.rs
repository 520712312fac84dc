//! The guard on interfaces: put there, switched, observed, taken off.

use std::{
    ffi::CStr,
    net::{SocketAddr, UdpSocket},
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{
    links::{FdLink, PinnedLink},
    xdp::XdpMode as AyaMode,
};
use relay::{
    datapath::{
        Datapath, DatapathError, GuardHook, GuardPlace, GuardSettings, LoadedGuard, Pins, XdpMode,
        XdpProgram,
    },
    model::PublicKey,
};
use relay_common::guard::Outcome;
use relay_tests::{
    Namespace, deadline,
    guard::{PORT, key, message, settings},
    namespace::ip_batch,
    scenario,
    skip::Need,
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

const NEEDS: &[Need] = &[Need::Root, Need::Tools, Need::Bpf];

/// An interface name with a dot, which bpffs does not take.
const UNDERLAY: &str = "eth0.7";

/// A relay with one underlay interface, somebody on the other side of it, and a bpffs.
struct Bed {
    datapath: Datapath,
    relay: Namespace,
    other: Namespace,
    directory: TempDir,
}

impl Bed {
    fn make(role: &str) -> Result<Self> {
        let relay = Namespace::create(&format!("{role}-relay"))?;
        let other = Namespace::create(&format!("{role}-other"))?;
        let directory = TempDir::new()?;
        mount("bpf", directory.path(), "bpf", MountFlags::empty(), None::<&CStr>)?;
        let datapath = Datapath::new(Pins::new(directory.path(), "relay0"), "relay0");
        let bed = Self { datapath, relay, other, directory };
        bed.relay.run("ip", &["link", "set", "lo", "up"])?;
        bed.connect()?;
        Ok(bed)
    }

    /// Makes the interface.
    fn connect(&self) -> Result<()> {
        let (relay, other) = (self.relay.name(), self.other.name());
        ip_batch(&format!(
            "link add {UNDERLAY} netns {relay} type veth peer name eth0 netns {other}\n"
        ))?;
        for (namespace, interface, address) in
            [(&self.relay, UNDERLAY, "192.0.2.1/24"), (&self.other, "eth0", "192.0.2.2/24")]
        {
            namespace.run("ip", &["address", "add", address, "dev", interface])?;
            namespace.run("ip", &["link", "set", interface, "up"])?;
        }
        Ok(())
    }

    fn disconnect(&self) -> Result<()> {
        self.relay.run("ip", &["link", "delete", UNDERLAY]).map(drop)
    }

    /// What netlink says of XDP programs.
    fn programs(&self) -> Result<Vec<XdpProgram>> {
        let text = self.relay.run("ip", &["-json", "link", "show"])?;
        let links: Vec<serde_json::Value> = serde_json::from_str(&text)?;
        let found = links.iter().filter_map(|link| {
            let xdp = link.get("xdp")?;
            // XDP_ATTACHED_* of include/uapi/linux/if_link.h.
            let mode = match xdp["mode"].as_u64()? {
                1 => XdpMode::Driver,
                2 => XdpMode::Generic,
                _ => XdpMode::Hardware,
            };
            let program_id = u32::try_from(xdp["prog"]["id"].as_u64()?).ok()?;
            Some(XdpProgram { interface: link["ifname"].as_str()?.to_owned(), mode, program_id })
        });
        Ok(found.collect())
    }

    fn observe(&self, interface: &str) -> Result<GuardHook> {
        let hooks = self.datapath.guards(&[interface], &self.programs()?)?;
        hooks.into_iter().next().context("the interface that was named")
    }

    fn put(
        &self,
        interface: &str,
        mode: Option<XdpMode>,
        settings: &GuardSettings,
    ) -> Result<Result<GuardHook, DatapathError>> {
        let observed = [self.observe(interface)?];
        let places = [GuardPlace { interface, mode }];
        let put = self.relay.enter(|| self.datapath.guard(settings, &places, &observed))?;
        Ok(match put {
            Ok(()) => Ok(self.observe(interface)?),
            Err(error) => Err(error),
        })
    }

    /// Sends a message over the wire until the guard has counted one more as this.
    fn send(&self, message: &[u8], outcome: Outcome) -> Result<u64> {
        let at = outcome.index() as usize;
        let before = self.datapath.guard_counts()?[at];
        let relay = SocketAddr::from(([192, 0, 2, 1], PORT));
        let socket = self.other.enter(|| UdpSocket::bind("192.0.2.2:0"))??;
        deadline::until("a message at the guard", || {
            socket.send_to(message, relay)?;
            let after = self.datapath.guard_counts()?[at];
            Ok((after > before).then_some(after))
        })
    }

    fn link_id(&self) -> Result<u32> {
        let path = self.directory.path().join("relay/relay0/v1/guard_link_eth0%2e7");
        Ok(FdLink::from(PinnedLink::from_pin(path)?).info()?.id())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _unmounted = unmount(self.directory.path(), UnmountFlags::DETACH);
    }
}

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
fn it_goes_where_and_how_it_is_asked_for() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-modes")?;
        // Loopback has no driver.
        let hook = bed.put("lo", None, &settings(1))??;
        ensure!(hook.mode == Some(XdpMode::Generic), "{hook:?}");
        ensure!(bed.datapath.unguard("lo")?);
        let error = bed.put("lo", Some(XdpMode::Driver), &settings(1))?.expect_err("no driver");
        let said = error.to_string();
        ensure!(said.starts_with("interface lo: cannot run program relay_guard in mode driver"));
        ensure!(error.is_lack() && bed.observe("lo")?.mode.is_none());

        for mode in [XdpMode::Driver, XdpMode::Generic, XdpMode::Driver] {
            let hook = bed.put(UNDERLAY, Some(mode), &settings(1000))??;
            ensure!(hook.mode == Some(mode), "{hook:?}");
            bed.send(&message::initiation(&key(), 1), Outcome::Initiation)?;
            let hook = bed.put(UNDERLAY, None, &settings(1000))??;
            ensure!(hook.mode == Some(mode), "asked for none, it stays: {hook:?}");
        }
        let error = bed.put("eth9", None, &settings(1))?.expect_err("no such interface");
        ensure!(matches!(error, DatapathError::NoUnderlay { .. }), "{error}");
        Ok(())
    });
}

#[test]
fn somebody_elses_program_is_left_alone() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-foreign")?;
        let mut other = LoadedGuard::load(&settings(1), None)?;
        let attached = bed
            .relay
            .enter(|| -> Result<_> { Ok(other.program()?.attach(UNDERLAY, AyaMode::Skb)?) })??;
        let before = bed.programs()?;
        let hook = bed.observe(UNDERLAY)?;
        let foreign = format!("relay_guard (id {})", before[0].program_id);
        ensure!(hook.foreign.as_deref() == Some(&*foreign) && hook.mode.is_none(), "{hook:?}");
        for mode in [None, Some(XdpMode::Driver), Some(XdpMode::Generic)] {
            let error = bed.put(UNDERLAY, mode, &settings(1))?.expect_err("occupied");
            ensure!(error.to_string().contains(&foreign), "{error}");
            // One that came after the look.
            let places = [GuardPlace { interface: UNDERLAY, mode }];
            let put = bed.relay.enter(|| bed.datapath.guard(&settings(1), &places, &[]))?;
            ensure!(matches!(put, Err(DatapathError::ForeignXdp { .. })), "{put:?}");
            ensure!(bed.programs()? == before);
        }
        other.program()?.detach(attached)?;
        ensure!(bed.put(UNDERLAY, None, &settings(1))??.carries_out(&settings(1)));
        Ok(())
    });
}

#[test]
fn what_was_lost_is_seen_and_repaired() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-lost")?;
        bed.put(UNDERLAY, None, &settings(1000))??;
        let genuine = message::initiation(&key(), 1);
        let counted = bed.send(&genuine, Outcome::Initiation)?;

        // The pin of the counts.
        std::fs::remove_file(bed.directory.path().join("relay/relay0/v1/guard_counts"))?;
        let hook = bed.observe(UNDERLAY)?;
        ensure!(!hook.is_counted && !hook.carries_out(&settings(1000)), "{hook:?}");
        let hook = bed.put(UNDERLAY, None, &settings(1000))??;
        ensure!(hook.carries_out(&settings(1000)), "{hook:?}");
        ensure!(bed.datapath.guard_counts()?[Outcome::Initiation.index() as usize] >= counted);

        // The interface.
        bed.disconnect()?;
        let hook = bed.observe(UNDERLAY)?;
        ensure!(hook.is_orphaned && hook.mode.is_none(), "{hook:?}");
        bed.connect()?;
        let hook = bed.observe(UNDERLAY)?;
        ensure!(hook.is_orphaned && hook.mode.is_none(), "{hook:?}");
        let hook = bed.put(UNDERLAY, None, &settings(1000))??;
        ensure!(hook.carries_out(&settings(1000)) && !hook.is_orphaned, "{hook:?}");
        bed.send(&genuine, Outcome::Initiation)?;

        // The room for sources, which begins anew.
        let larger = GuardSettings { sources: 100, ..settings(1000) };
        ensure!(bed.put(UNDERLAY, None, &larger)??.carries_out(&larger));
        bed.send(&genuine, Outcome::Initiation)?;
        Ok(())
    });
}

#[test]
fn taken_off_it_is_gone_at_once() {
    scenario(NEEDS, || {
        let bed = Bed::make("guard-off")?;
        let pins = bed.directory.path().join("relay/relay0/v1");
        for place in ["lo", UNDERLAY] {
            bed.put(place, None, &settings(1000))??;
        }
        let counted = bed.send(&message::initiation(&key(), 1), Outcome::Initiation)?;
        ensure!(bed.programs()?.len() == 2);
        // One that is no longer named is seen as well.
        let names: Vec<String> = bed
            .datapath
            .guards(&["lo"], &bed.programs()?)?
            .into_iter()
            .map(|hook| hook.interface)
            .collect();
        ensure!(names == ["lo", UNDERLAY], "{names:?}");
        ensure!(bed.datapath.unguard(UNDERLAY)? && !bed.datapath.unguard(UNDERLAY)?);
        ensure!(bed.programs()?.len() == 1 && pins.join("guard_sources").exists());
        ensure!(bed.datapath.unguard("lo")? && bed.programs()?.is_empty());
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
