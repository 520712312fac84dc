//! Half an hour of traffic, a change a second, verbs at random and kills: nothing of an unchanged pair
//! is lost, nothing is opened, and nothing is left behind.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use relay_tests::{Lab, Site, deadline, footprint::Footprint, scenario, skip, traffic::Streams};

use crate::random::Random;

/// How long, and how long until memory is first read: what is allocated once is there by then.
const LONG: Duration = Duration::from_secs(30 * 60);
const SETTLED: Duration = Duration::from_secs(5 * 60);

/// Between two changes, at least.
const BETWEEN: Duration = Duration::from_secs(1);

/// By how much the kernel's memory may differ, KiB: caches and buffers of its own.
const SLACK_KIB: u64 = 8 << 10;

/// What is run beside the changes.
const VERBS: [&[&str]; 12] = [
    &["status"],
    &["status", "--check"],
    &["stats"],
    &["stats", "--json"],
    &["flows"],
    &["explain", "node-a", "node-b"],
    &["graph"],
    &["diff"],
    &["doctor"],
    &["check"],
    &["up"],
    &["trace", "--seconds", "1"],
];

#[test]
fn half_an_hour_of_changes_and_kills_loses_nothing_and_leaves_nothing() {
    scenario(skip::LAB, || {
        let site = Site::one_to_many()?;
        let present = ["node-a", "node-b", "node-c"].map(str::to_owned);
        let mut lab = Lab::start_with(site, &present)?;
        for name in ["node-b", "node-c"] {
            lab.widen(lab.peer(name)?)?;
        }
        let host = lab.relay().namespace();
        host.forward()?;
        let plain = lab.site().clone();
        let before = objects(&lab)?;
        let allowed = Streams::start(&lab, &[("node-a", "node-b"), ("node-b", "node-a")])?;
        let dropped = Streams::start(&lab, &[("node-b", "node-c")])?;
        let counted = lab.relay().ledger()?;

        let mut random = Random::new(7);
        let started = Instant::now();
        let (mut changes, mut kills, mut memory) = (0, 0, None);
        while started.elapsed() < LONG {
            let begun = Instant::now();
            *lab.site_mut() = plain.clone();
            change(lab.site_mut(), &mut random)?;
            lab.write_config()?;
            if random.below(4) == 0 {
                kills += u32::from(kill(&lab, &mut random)?);
            }
            let words = random.one_of(&VERBS);
            lab.relay().relay(words).with_context(|| format!("{words:?}"))?;
            lab.relay().relay(&["reload"])?.success("relay reload")?;
            lab.relay().require_sound().with_context(|| format!("after change {changes}"))?;
            changes += 1;
            if memory.is_none() && started.elapsed() > SETTLED {
                memory = Some(used_kib()?);
            }
            deadline::pass(BETWEEN.saturating_sub(begun.elapsed()));
        }
        println!("soak: {changes} changes, {kills} kills");
        let (then, now) = (memory.context("it was short")?, used_kib()?);
        println!("soak: {then} KiB of the kernel's memory became {now}");

        let flown = dropped.stop()?;
        ensure!(flown.iter().all(|one| one.received == 0), "packets passed: {flown:?}");
        let sent = allowed.stop_without_loss()?;
        let moved = lab.relay().ledger()?.since(&counted)?;
        for (name, sent) in [("node-b", sent[0]), ("node-a", sent[1])] {
            let relayed = moved.get(&format!("{name} relayed tx packets"));
            ensure!(relayed == sent, "{sent} packets to {name}, counted {relayed}");
        }
        ensure!(now <= then + SLACK_KIB, "the kernel's memory grew from {then} to {now} KiB");
        *lab.site_mut() = plain;
        lab.up()?;
        let mut after = Vec::new();
        // The kernel frees programs and maps after a grace period.
        deadline::within(deadline::SETTLING, "programs, maps and links as before", || {
            after = objects(&lab)?;
            Ok((after == before).then_some(()))
        })
        .with_context(|| format!("{before:?} became {after:?}"))
    });
}

/// Changes the policy, but nothing between the first two peers.
fn change(site: &mut Site, random: &mut Random) -> Result<()> {
    let of_c = site.addresses("node-c")?;
    let of_a = site.addresses("node-a")?;
    if random.is() {
        site.disallow("node-c", &of_a)?;
    }
    if random.below(3) == 0 {
        site.add_rule("files", "node-d", "node-c", &["tcp/22", "udp/53"])?;
    }
    if random.below(3) == 0 {
        site.set("node-c", "rate_to", "10Mbit")?;
    }
    for guest in 0..random.below(4) {
        let octet = u8::try_from(100 + guest * 25 + random.below(25))?;
        let name = format!("guest-{guest}");
        let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 3, 2, octet.into());
        site.add_peer(&name, &[IpAddr::from([10, 3, 2, octet]), IpAddr::from(v6)])?;
        if random.is() {
            site.allow(&name, &of_c)?;
        }
    }
    Ok(())
}

/// Kills `up` in the middle. Whether it was still at work.
fn kill(lab: &Lab, random: &mut Random) -> Result<bool> {
    let mut command = lab.relay().command(&["up"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut up = lab.relay().namespace().enter(|| command.spawn())??;
    deadline::pass(Duration::from_millis(u64::try_from(random.below(1500))?));
    up.kill()?;
    Ok(!up.wait()?.success())
}

/// How many of each of the kernel's objects there are.
fn objects(lab: &Lab) -> Result<Vec<(&'static str, usize)>> {
    let footprint = Footprint::read(lab.relay())?;
    let parts = ["programs", "maps", "pins", "links", "tables", "qdiscs"];
    Ok(parts.map(|part| (part, footprint.lines(part).len())).to_vec())
}

/// Memory that the kernel has allocated for itself, KiB (`/proc/meminfo`).
fn used_kib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let field = |name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
        Ok(value.with_context(|| format!("{name} in /proc/meminfo"))?.parse()?)
    };
    Ok(field("SUnreclaim")? + field("VmallocUsed")? + field("Percpu")? + field("KernelStack")?)
}
