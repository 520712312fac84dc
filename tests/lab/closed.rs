//! All ways to lose the programs, on a host that forwards: packets that the policy drops do not pass,
//! `relay status` reports the problem, and `relay up` repairs it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use aya::{
    maps::{Array, MapData},
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        links::{FdLink, PinnedLink},
        tc::{NlOptions, TcAttachOptions, TcHandle},
    },
};
use relay::{
    datapath::{Direction, Loaded},
    policy::{self, Sources},
};
use relay_tests::{deadline, scenario, skip};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::siege::Siege;

const INGRESS: &str = "relay_ingress";
const EGRESS: &str = "relay_egress";

#[test]
fn a_recreated_interface_is_fenced_until_up_attaches_the_programs() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let before = siege.lab.relay().ledger()?;
        make_interface_again(&siege)?;
        siege.is_fenced()?;
        let attached = ["ingress: program relay_ingress is not attached", "egress: program"];
        siege.status_says(&attached)?;
        if siege_was_on_tcx(&siege)? {
            siege.status_says(&["deleted and recreated the interface"])?;
        }
        siege.is_repaired()?;
        siege.counted_on(&before)?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn removed_pins_pass_nothing_and_are_repaired() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let on_tcx = siege.on_tcx()?;
        let before = siege.lab.relay().ledger()?;

        // Without its pin, a link goes and detaches its program; first one of the two.
        for (link, program) in [("egress_link", EGRESS), ("ingress_link", INGRESS)] {
            if !on_tcx {
                ensure!(!pin(&siege, link)?.exists(), "{link} without TCX");
                continue;
            }
            fs::remove_file(pin(&siege, link)?)?;
            if program == INGRESS {
                siege.is_fenced().context(link)?;
            }
            siege.holds().context(link)?;
            siege.status_says(&[&format!("program {program} is not attached")])?;
            siege.is_repaired().context(link)?;
        }
        siege.counted_on(&before)?;

        // Programs keep their counters, pinned or not.
        let single = &["counters_0"][..];
        let both = &["counters_0", "dropped_0"];
        // Of several processors.
        let spread = pin(&siege, "spread_0")?.exists().then_some(&["spread_0"][..]);
        for lost in [single, &["dropped_0"], both].into_iter().chain(spread) {
            for name in lost {
                fs::remove_file(pin(&siege, name)?)?;
            }
            siege.flows()?;
            siege.holds()?;
            siege.status_says(&["counters in use are not pinned"])?;
            let changes = siege.is_repaired().with_context(|| format!("{lost:?}"))?;
            ensure!(changes == ["~ counters: pinned again"], "{changes:?}");
        }
        siege.counted_on(&before)?;

        fs::remove_dir_all(siege.lab.relay().pins("relay0")?.parent().context("a directory")?)?;
        if on_tcx {
            siege.is_fenced().context("all pins")?;
            siege.status_says(&["program relay_ingress is not attached"])?;
        } else {
            siege.holds()?;
            siege.status_says(&["counters in use are not pinned"])?;
        }
        siege.is_repaired().context("all pins")?;

        // Without bpffs, `up` says how to mount one.
        let bpffs = siege.lab.relay().bpffs().to_owned();
        unmount(&bpffs, UnmountFlags::empty()).context("unmount the bpffs")?;
        if on_tcx {
            siege.is_fenced().context("bpffs")?;
        }
        siege.holds()?;
        let remedy = format!("mount -t bpf -o mode=0700 bpf {}", bpffs.display());
        siege.status_says(&["found no BPF file system", &remedy])?;
        let outcome = siege.lab.relay().relay(&["up"])?;
        ensure!(outcome.failure(3)?.contains(&remedy), "{outcome:?}");
        mount("bpf", &bpffs, "bpf", MountFlags::empty(), c"mode=0700")?;
        siege.is_repaired().context("bpffs")?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn a_read_only_bpffs_keeps_the_policy_in_force_and_is_named() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let bpffs = siege.lab.relay().bpffs().to_owned();
        mount_remount(&bpffs, MountFlags::RDONLY, c"").context("remount the bpffs read-only")?;
        // The kernel does not even let pins be read.
        let says_so = |verb: &[&str]| -> Result<()> {
            let outcome = siege.lab.relay().relay(verb)?;
            let said = outcome.failure(3)?;
            let remedy = format!("run `mount -o remount,rw {}`", bpffs.display());
            ensure!(said.contains(&remedy), "{verb:?}: {outcome:?}");
            Ok(())
        };
        says_so(&["status", "--check"])?;
        let [a, _, c] = siege.lab.site().first()?;
        let mut changed = siege.lab.site().clone();
        changed.disallow(&a, &siege.lab.site().addresses(&c)?)?;
        siege.lab.relay().write_config(&changed.text()?)?;
        says_so(&["up"])?;
        siege.flows()?;
        siege.holds()?;
        mount_remount(&bpffs, MountFlags::empty(), c"").context("remount the bpffs")?;
        siege.is_repaired()?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn removed_qdiscs_and_filters_pass_nothing_and_are_repaired() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let interface = siege.lab.interface()?;
        let tc = |object: &str, verb: &str, place: &str| {
            let arguments = [object, verb, "dev", interface.as_str(), place];
            siege.lab.relay().namespace().run("tc", &arguments)
        };
        let before = siege.lab.relay().ledger()?;
        if siege.on_tcx()? {
            // TCX needs no qdisc.
            tc("qdisc", "add", "clsact")?;
            siege.is_sound()?;
            tc("qdisc", "del", "clsact")?;
            siege.is_sound()?;
        } else {
            tc("qdisc", "del", "clsact")?;
            siege.is_fenced()?;
            siege
                .status_says(&["ingress: program relay_ingress", "egress: program relay_egress"])?;
            siege.is_repaired().context("clsact")?;
            for (side, program) in [("ingress", INGRESS), ("egress", EGRESS)] {
                tc("filter", "del", side)?;
                if side == "ingress" {
                    siege.is_fenced().context(side)?;
                }
                siege.status_says(&[&format!("{side}: program {program} is not attached")])?;
                siege.is_repaired().context(side)?;
            }
        }
        siege.counted_on(&before)?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn a_stale_program_is_reported_and_detached() {
    scenario(skip::LAB, || {
        let mut siege = Siege::lay()?;
        let on_tcx = siege.on_tcx()?;
        if on_tcx {
            // The pin of a link is lost while another process holds the link.
            let ours = pin(&siege, "ingress_link")?;
            let elsewhere = siege.lab.relay().bpffs().join("elsewhere");
            FdLink::from(PinnedLink::from_pin(&ours)?).pin(&elsewhere)?;
            fs::remove_file(&ours)?;
            siege.status_says(&["relay_ingress is not attached", "a stale program"])?;
            siege.holds()?;
            // It enforces the old policy; a new one must remove it.
            let [a, b, c] = siege.lab.site().first()?;
            let listed = siege.lab.site().addresses(&c)?;
            siege.lab.site_mut().disallow(&a, &listed)?;
            siege.lab.write_config()?;
            let changes = siege.is_repaired()?;
            ensure!(changes.iter().any(|change| change.contains("stale program")), "{changes:?}");
            ensure!(programs(&siege)? == 1, "{b}: {} programs", programs(&siege)?);
            fs::remove_file(&elsewhere)?;
            siege.is_sound()?;
        }

        // A copy by another loader, after ours.
        let before = siege.lab.relay().ledger()?;
        let model = siege.lab.model()?;
        let slots: Vec<u32> = (1..).take(model.peers.len()).collect();
        let sources = Sources { relay: &model, host_addresses: &[], slots: &slots };
        let mut copy = Loaded::load(&policy::compile(&sources, &[])?, 1, None, 8)?;
        let program = copy.program(Direction::Ingress)?;
        let options = if on_tcx {
            TcAttachOptions::TcxOrder(LinkOrder::last())
        } else {
            TcAttachOptions::Netlink(NlOptions {
                priority: 2,
                handle: TcHandle::new(0, 1),
                classid: None,
            })
        };
        let interface = siege.lab.interface()?;
        let host = siege.lab.relay().namespace();
        let link = host.enter(|| {
            let id = program.attach_with_options(&interface, TcAttachType::Ingress, options)?;
            program.take_link(id)
        })??;
        siege.status_says(&["ingress relay_ingress (id ", "a stale program"])?;
        siege.flows()?;
        siege.holds()?;
        let changes = siege.is_repaired()?;
        ensure!(changes.len() == 1 && changes[0].starts_with("- stale program"), "{changes:?}");
        // It is detached; what is left is its file descriptor, or a filter that is no longer there.
        host.enter(|| drop(link))?;
        siege.counted_on(&before)?;
        siege.raise()?;
        Ok(())
    });
}

#[test]
fn a_pinned_map_of_another_size_is_replaced_or_an_error_with_its_remedy() {
    scenario(skip::LAB, || {
        let siege = Siege::lay()?;
        let path = pin(&siege, "counters_0")?;
        let before = siege.lab.relay().ledger()?;
        let replace = || -> Result<()> {
            fs::remove_file(&path)?;
            Array::<MapData, u64>::create(3, 0)?.pin(&path)?;
            Ok(())
        };

        // Running programs hold the right map.
        replace()?;
        siege.status_says(&["counters in use are not pinned"])?;
        siege.flows()?;
        siege.holds()?;
        let changes = siege.is_repaired()?;
        ensure!(changes == ["~ counters: pinned again"], "{changes:?}");
        siege.counted_on(&before)?;

        // Without programs, no one does.
        let interface = siege.lab.interface()?;
        if siege.on_tcx()? {
            for link in ["ingress_link", "egress_link"] {
                fs::remove_file(pin(&siege, link)?)?;
            }
        } else {
            let arguments = ["qdisc", "del", "dev", interface.as_str(), "clsact"];
            siege.lab.relay().namespace().run("tc", &arguments)?;
        }
        replace()?;
        siege.is_fenced()?;
        let remedy = format!("`rm {}`", path.display());
        siege.status_says(&["found a map of Array", &remedy, "is not attached"])?;
        let outcome = siege.lab.relay().relay(&["up"])?;
        ensure!(outcome.failure(1)?.contains(&remedy), "{outcome:?}");
        siege.is_fenced()?;
        fs::remove_file(&path)?;
        siege.is_repaired()?;
        siege.raise()?;
        Ok(())
    });
}

/// Deletes the relay's interface and makes another one with its name and configuration, as a script
/// with `wg setconf` would.
fn make_interface_again(siege: &Siege) -> Result<()> {
    let model = siege.lab.model()?;
    let interface = siege.lab.interface()?;
    let host = siege.lab.relay().namespace();
    let saved = siege.lab.directory().join("saved.conf");
    fs::write(&saved, host.run("wg", &["showconf", &interface])?)?;
    let mut lines =
        format!("link del {interface}\nlink add {interface} mtu {} type wireguard\n", model.mtu);
    host.ip_batch(&lines)?;
    host.run("wg", &["setconf", &interface, saved.to_str().context("a path in UTF-8")?])?;
    lines = model
        .addresses
        .iter()
        .map(|address| format!("address add {address} dev {interface} nodad\n"))
        .collect();
    lines.push_str(&format!("link set {interface} up\n"));
    host.ip_batch(&lines)?;
    // Peers still use sessions of the deleted interface; sending to them starts new ones.
    for peer in siege.lab.peers() {
        let address = peer.address(relay_tests::Family::V4).to_string();
        let ping = ["-c", "1", "-W", "1", &address];
        host.output(std::process::Command::new("ping").args(ping))?;
        let key = siege.lab.site().private_key(peer.name())?.public_key().to_string();
        deadline::until(&format!("a new session of {}", peer.name()), || {
            let handshakes = siege.lab.relay().wg(&interface, "latest-handshakes")?;
            Ok(handshakes.get(&key).is_some_and(|seconds| seconds != "0").then_some(()))
        })?;
    }
    Ok(())
}

/// Whether links are pinned, on an interface without programs.
fn siege_was_on_tcx(siege: &Siege) -> Result<bool> {
    Ok(pin(siege, "ingress_link")?.exists())
}

fn pin(siege: &Siege, name: &str) -> Result<PathBuf> {
    Ok(siege.lab.relay().pins(&siege.lab.interface()?)?.join(name))
}

/// Number of programs on ingress.
fn programs(siege: &Siege) -> Result<usize> {
    let interface = siege.lab.interface()?;
    let query = || SchedClassifier::query_tcx(&interface, TcAttachType::Ingress);
    Ok(siege.lab.relay().namespace().enter(query)??.1.len())
}
