//! What was used of limits, in a map that outlives generations. Uses a plain interface instead of
//! WireGuard, on kernels with TCX.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use relay::{
    datapath::{Datapath, Slots},
    model::{Limits, Period, PublicKey, Quota, Relay},
    policy::{self, Sources},
};
use relay_common::meter::Used;
use relay_tests::{
    guard::bed::{Bed, NEEDS},
    program_run::{peer, relay},
    scenario,
};

const INTERFACE: &str = "relay0";

#[test]
fn what_was_used_is_restored_and_goes_on_when_the_slots_outgrow_their_map() {
    scenario(NEEDS, || {
        let bed = Bed::make("meters")?;
        bed.relay.run("ip", &["link", "add", INTERFACE, "type", "veth"])?;
        let datapath = bed.relay.enter(|| Datapath::open(bed.bpffs(), INTERFACE))??;
        let switch = |relay: &Relay, saved: &BTreeMap<PublicKey, Used>| {
            bed.relay.enter(|| switch(&datapath, relay, saved))?
        };
        let used = |relay: &Relay, place: usize| {
            let key = &relay.peers[place].public_key;
            datapath.used(&datapath.slots()?)?.get(key).copied().context("a peer")
        };
        let saved = Used { day: 20_000, used_from: 5, used_to: 7, ..Used::default() };
        let few = fleet(1..=2);
        switch(&few, &BTreeMap::from([(few.peers[1].public_key, saved)]))?;
        ensure!(used(&few, 0)? == Used::default() && used(&few, 1)? == saved);
        // What is saved counts only where nothing is pinned.
        let later = Used { day: 20_001, ..saved };
        switch(&fleet(1..=3), &BTreeMap::from([(few.peers[1].public_key, later)]))?;
        ensure!(used(&few, 1)? == saved);
        let many = fleet(1..=300);
        switch(&many, &BTreeMap::new())?;
        ensure!(used(&many, 1)? == saved && used(&many, 299)? == Used::default());
        // A clock that was ahead.
        datapath.mend_days(19_000)?;
        ensure!(used(&many, 1)? == Used { day: 19_000, ..saved });
        datapath.mend_days(21_000)?;
        ensure!(used(&many, 1)? == Used { day: 19_000, ..saved });
        // Another peer takes its slot.
        let slot = datapath.slots()?[&many.peers[1].public_key];
        let mut others = fleet(1..=300);
        let left = others.peers.remove(1);
        switch(&others, &BTreeMap::new())?;
        others.peers.push(fleet(301..=301).peers.remove(0));
        switch(&others, &BTreeMap::new())?;
        let slots = datapath.slots()?;
        let last = &others.peers[299].public_key;
        ensure!(slots[last] == slot && !slots.contains_key(&left.public_key), "{slots:?}");
        ensure!(used(&others, 299)? == Used::default());
        Ok(())
    });
}

#[test]
fn a_quota_that_is_reset_leaves_those_of_others_alone() {
    scenario(NEEDS, || {
        let bed = Bed::make("meters-reset")?;
        bed.relay.run("ip", &["link", "add", INTERFACE, "type", "veth"])?;
        let datapath = bed.relay.enter(|| Datapath::open(bed.bpffs(), INTERFACE))??;
        let both = fleet(1..=2);
        let saved = Used { day: 20_000, used_from: 5, used_to: 7, ..Used::default() };
        let keys = [0, 1].map(|place: usize| both.peers[place].public_key);
        let all = keys.map(|key| (key, saved)).into();
        bed.relay.enter(|| switch(&datapath, &both, &all))??;
        datapath.reset_used(&keys[0])?;
        let used = datapath.used(&datapath.slots()?)?;
        ensure!(used[&keys[0]] == Used { used_from: 0, used_to: 0, ..saved }, "{used:?}");
        ensure!(used[&keys[1]] == saved, "{used:?}");
        Ok(())
    });
}

/// Peers of these numbers, each with a quota.
fn fleet(numbers: std::ops::RangeInclusive<u32>) -> Relay {
    let quota = Some(Quota { bytes: 1 << 30, period: Period::Day });
    let peers = numbers.map(|number| {
        let address = format!("10.3.{}.{}", number / 250 + 1, number % 250 + 1);
        let mut made = peer(number, &[&address], &[], &[]);
        made.limits = Limits { quota, ..Limits::default() };
        made
    });
    Relay { addresses: vec!["10.3.0.1/16".parse().expect("a net")], ..relay(peers.collect()) }
}

/// Switches to the policy as `relay up` does.
fn switch(datapath: &Datapath, relay: &Relay, saved: &BTreeMap<PublicKey, Used>) -> Result<()> {
    let observed = datapath.observe(datapath.hooks(&[])?)?;
    let slots = Slots::assign(relay, &observed.slots)?;
    let sources = Sources { relay, host_addresses: &[], slots: slots.as_slice() };
    let compiled = policy::compile(&sources, slots.rules())?;
    Ok(datapath.switch(&compiled, &slots, &observed, observed.next_number(), saved)?)
}
