//! Traffic, a change a second, commands and kills at random moments: nothing of an unchanged pair is
//! lost, nothing is opened, and nothing is left behind.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use relay_tests::{
    Family, Lab, RelayHost, Site, deadline,
    footprint::{self, Footprint},
    memory,
    relay_host::Outcome,
    scenario, setting, skip,
    traffic::{Streams, Transfer},
};

use crate::{random::Random, serve::Serving};

/// How long it takes if [`setting::SOAK_MINUTES`] does not say.
const MINUTES: u32 = 30;

/// Memory is read each time that this part of it has passed. The first time, what is allocated once
/// is there.
const PARTS: u32 = 6;

/// Between two changes, at least.
const BETWEEN: Duration = Duration::from_secs(1);

/// Between two datagrams of a stream: most of an emulated processor is left for the changes.
const PACE: Duration = Duration::from_millis(50);

/// By how much memory may differ, KiB: caches and buffers of the kernel's own, an allocator's.
const SLACK_KIB: u64 = 8 << 10;

/// How often a relay comes and goes.
const TIMES: u32 = 100;

/// A configuration that is tried beside the one in force, in the lab's directory.
const CANDIDATE: &str = "candidate.toml";

/// What is run while the policy changes, and succeeds whenever it is.
const SUCCEEDING: [&[&str]; 12] = [
    &["check"],
    &["flows"],
    &["graph"],
    &["quota"],
    &["reload"],
    &["stats", "--json"],
    &["stats", "--pairs"],
    &["status"],
    &["trace", "--seconds", "1"],
    &["try", "--stop"],
    &["up"],
    &["up", "--json"],
];

/// The same of which an exit code is the answer.
const ANSWERING: [&[&str]; 5] = [
    &["diff"],
    &["doctor"],
    &["explain", "node-a", "node-c"],
    &["status", "--check"],
    &["try", "--report"],
];

#[test]
fn changes_commands_and_kills_lose_nothing_and_leave_nothing() {
    scenario(skip::LAB, || {
        let minutes = setting::number(setting::SOAK_MINUTES, MINUTES)?;
        let long = Duration::from_secs(60) * minutes;
        let lab = Lab::start(site()?)?;
        for name in ["node-b", "node-c"] {
            lab.widen(lab.peer(name)?)?;
        }
        lab.relay().namespace().forward()?;
        let serving = Serving::start(&lab)?;
        serving.get("/metrics")?;
        let before = objects(lab.relay())?;
        let counted = lab.relay().ledger()?;
        let pairs = [("node-a", "node-b"), ("node-b", "node-a")];
        let allowed = Streams::start_every(PACE, &lab, &pairs)?;
        let dropped = Streams::start_every(PACE, &lab, &[("node-b", "node-c")])?;
        let transfer = Transfer::start(lab.peer("node-a")?, lab.peer("node-d")?, Family::V6)?;

        let mut random = Random::new(7);
        let (mut changes, mut kills, mut memory) = (0, 0, Vec::new());
        let started = Instant::now();
        while started.elapsed() < long {
            let begun = Instant::now();
            kills += u32::from(round(&lab, &mut random).with_context(|| {
                format!("change {changes}, after {} s", started.elapsed().as_secs())
            })?);
            serving.get("/metrics")?;
            changes += 1;
            let parts = u32::try_from(memory.len())? + 1;
            if started.elapsed() >= long / PARTS * parts {
                let now = Memory::at_rest(&lab, &serving, &before)?;
                println!("soak: {changes} changes, {kills} kills, {now:?}");
                memory.push(now);
            }
            deadline::pass(BETWEEN.saturating_sub(begun.elapsed()));
        }

        let flown = dropped.stop()?;
        ensure!(flown.iter().all(|one| one.received == 0), "packets passed: {flown:?}");
        let sent = allowed.stop_without_loss()?;
        println!("soak: TCP: {:?}", transfer.stop()?);
        let moved = lab.relay().ledger()?.since(&counted)?;
        println!("soak: UDP: {sent:?} packets; counters:\n{moved}");
        for (direction, sent) in [("tx", sent[0]), ("rx", sent[1])] {
            let relayed = moved.get(&format!("node-b relayed {direction} packets"));
            ensure!(
                relayed == sent,
                "node-b {direction}: {sent} packets were counted as {relayed}"
            );
        }

        ensure!(kills > 0, "no command was killed at work");
        let mut now = Memory::at_rest(&lab, &serving, &before)?;
        ensure!(memory.len() > 1, "it was too short: memory was read once");
        let grown = |now: &Memory| memory.iter().any(|then| now.has_grown(then));
        deadline::within(deadline::SETTLING, "memory to be as before", || {
            now = Memory::read(&serving)?;
            Ok((!grown(&now)).then_some(()))
        })
        .with_context(|| format!("{memory:?} became {now:?}"))?;
        println!("soak: {changes} changes, {kills} kills, {now:?}");
        Ok(())
    });
}

#[test]
fn a_hundred_times_up_and_down_leave_nothing() {
    scenario(skip::LAB, || {
        let lab = Lab::build(site()?)?;
        let empty = Footprint::read(lab.relay())?;
        let mut slab = Vec::new();
        for time in 0..TIMES {
            let relay = lab.relay();
            relay.up().and_then(|_| relay.down()).with_context(|| format!("time {time}"))?;
            // The first times, what is allocated once is there.
            if time % (TIMES / 4) == TIMES / 4 - 1 {
                let mut left = String::new();
                deadline::within(deadline::SETTLING, "the kernel to be as it was", || {
                    let now = Footprint::read(lab.relay())?;
                    left = now.difference(&empty);
                    Ok((now == empty).then_some(()))
                })
                .with_context(|| format!("after {time} times:\n{left}"))?;
                slab.push(memory::slab()?);
            }
        }
        println!("soak: {TIMES} times up and down: {slab:?} KiB");
        let [first, .., last] = slab[..] else { bail!("memory was read {} times", slab.len()) };
        ensure!(last < first + SLACK_KIB, "the kernel's memory has grown: {slab:?} KiB");
        Ok(())
    });
}

/// One change, and a command meanwhile. Whether that was killed at work.
fn round(lab: &Lab, random: &mut Random) -> Result<bool> {
    lab.relay().write_config(&changed(lab.site(), random)?.text()?)?;
    let candidate = lab.directory().join(CANDIDATE);
    fs::write(&candidate, changed(lab.site(), random)?.text()?)?;
    let trial = ["try", candidate.to_str().context("a path in UTF-8")?];
    let mut commands = [SUCCEEDING.as_slice(), &ANSWERING].concat();
    commands.extend([trial.as_slice(), &trial]);

    let words = random.one_of(&commands);
    let mut beside = start(lab.relay(), words)?;
    deadline::pass(Duration::from_millis(u64::try_from(random.below(1500))?));
    let is_to_die = random.below(3) == 0;
    if is_to_die {
        beside.kill()?;
    }
    let reloaded = lab.relay().relay(&["reload"])?;
    let output = beside.wait_with_output()?;
    let is_killed = is_to_die && output.status.code().is_none();
    let as_it_should = || -> Result<()> {
        reloaded.success("relay reload")?;
        if !is_killed {
            let outcome = Outcome::of(&output)?;
            // 101 is a panic.
            ensure!(outcome.code < 4, "{outcome:?}");
            if !ANSWERING.contains(&words) {
                outcome.success("the command")?;
            }
        }
        lab.relay().require_sound()
    };
    as_it_should().with_context(|| format!("with {words:?}, killed: {is_killed}"))?;
    Ok(is_killed)
}

/// With a rule and a limit: what the kernel keeps for them stays when they go.
fn site() -> Result<Site> {
    let mut site = Site::one_to_many()?;
    site.add_rule("files", "node-d", "node-c", &["tcp/22", "udp/53"])?;
    site.set("node-c", "rate_to", "10 Mbit/s")?;
    Ok(site)
}

/// Another policy, in which nothing between the nodes A and B, and A and D, differs.
fn changed(plain: &Site, random: &mut Random) -> Result<Site> {
    let mut site = plain.clone();
    let of_c = site.addresses("node-c")?;
    if random.is() {
        let of_a = site.addresses("node-a")?;
        site.disallow("node-c", &of_a)?;
    }
    if random.is() {
        site.remove_rule("files")?;
    }
    if random.is() {
        site.peer_mut("node-c")?.remove("rate_to");
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
    Ok(site)
}

fn start(relay: &RelayHost, words: &[&str]) -> Result<Child> {
    let mut command = relay.command(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(relay.namespace().enter(|| command.spawn())??)
}

/// How many of each of the kernel's objects there are.
fn objects(relay: &RelayHost) -> Result<Vec<(&'static str, usize)>> {
    let footprint = Footprint::read(relay)?;
    let parts = ["programs", "maps", "pins", "links", "tables", "qdiscs"];
    let mut counted = parts.map(|part| (part, footprint.lines(part).len())).to_vec();
    let links = footprint::loaded()?.into_iter().filter(|(what, ..)| *what == "links");
    counted.push(("links of programs", links.count()));
    Ok(counted)
}

/// Memory in use, KiB.
#[derive(Debug)]
struct Memory {
    kernel: u64,
    server: u64,
}

impl Memory {
    /// What the kernel has allocated for itself, and what `relay serve` has.
    fn read(serving: &Serving) -> Result<Self> {
        let kernel = ["SUnreclaim", "VmallocUsed", "Percpu", "KernelStack"]
            .map(|name| memory::field("/proc/meminfo", name));
        let kernel = kernel.into_iter().sum::<Result<u64>>()?;
        let server = memory::field(&format!("/proc/{}/status", serving.process()), "VmRSS")?;
        Ok(Self { kernel, server })
    }

    /// The same of a relay with the configuration of the lab, when the kernel has as many objects
    /// as before.
    fn at_rest(lab: &Lab, serving: &Serving, before: &[(&str, usize)]) -> Result<Self> {
        lab.relay().relay(&["try", "--stop"])?.success("try --stop")?;
        lab.up()?;
        let mut now = Vec::new();
        // The kernel frees programs and maps after a grace period.
        deadline::within(deadline::SETTLING, "as many objects as before", || {
            now = objects(lab.relay())?;
            Ok((now == before).then_some(()))
        })
        .with_context(|| format!("{before:?} became {now:?}"))?;
        Self::read(serving)
    }

    fn has_grown(&self, then: &Self) -> bool {
        self.kernel > then.kernel + SLACK_KIB || self.server > then.server + SLACK_KIB
    }
}
