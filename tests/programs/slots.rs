//! Slots as they are read back, many with one system call.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use relay::{
    datapath::{Datapath, Pins},
    model::PublicKey,
};
use relay_tests::{
    guard::bed::{Bed, NEEDS},
    scenario,
};

const INTERFACE: &str = "relay0";

/// Shape of the pinned map.
const CAPACITY: u32 = 1 << 18;
const NO_PREALLOC: u32 = 1;

/// More than three system calls read.
const MANY: u32 = 10_000;

type Slots = HashMap<MapData, [u8; 32], u32>;

#[test]
fn slots_are_read_as_they_were_written() {
    scenario(NEEDS, || {
        let bed = Bed::make("slots")?;
        let (datapath, mut pinned) = pinned(&bed)?;
        let mut written = BTreeMap::new();
        for until in [0, 1, 2, 4095, 4096, 4097, MANY] {
            for slot in (1..=until).skip(written.len()) {
                pinned.insert(key(slot), slot, 0)?;
                written.insert(PublicKey::from_bytes(key(slot)), slot);
            }
            ensure!(datapath.slots()? == written, "{until} slots");
        }
        for slot in (1..=MANY).step_by(2) {
            pinned.remove(&key(slot))?;
            written.remove(&PublicKey::from_bytes(key(slot)));
        }
        ensure!(datapath.slots()? == written);
        Ok(())
    });
}

#[test]
fn what_comes_and_goes_meanwhile_neither_hides_nor_changes_the_others() {
    scenario(NEEDS, || {
        let bed = Bed::make("slots-meanwhile")?;
        let (datapath, mut pinned) = pinned(&bed)?;
        (1..=MANY).try_for_each(|slot| pinned.insert(key(slot), slot, 0))?;
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let others = scope.spawn(|| -> Result<u32> {
                let mut rounds = 0;
                while !is_done.load(Relaxed) || rounds == 0 {
                    let passing = MANY + 1..MANY + 500;
                    passing.clone().try_for_each(|slot| pinned.insert(key(slot), slot, 0))?;
                    passing.clone().try_for_each(|slot| pinned.remove(&key(slot)))?;
                    rounds += 1;
                }
                Ok(rounds)
            });
            let read = || -> Result<()> {
                for _ in 0..20 {
                    let slots = datapath.slots()?;
                    let is_right =
                        |slot: u32| slots.get(&PublicKey::from_bytes(key(slot))) == Some(&slot);
                    ensure!((1..=MANY).all(is_right), "a slot is missing");
                    ensure!(slots.iter().all(|(found, slot)| *found.as_bytes() == key(*slot)));
                }
                Ok(())
            };
            let outcome = read();
            is_done.store(true, Relaxed);
            let rounds = others.join().ok().context("the other thread failed")??;
            ensure!(rounds > 0);
            outcome
        })
    });
}

/// A datapath of which only the slots are pinned, none of them yet.
fn pinned(bed: &Bed) -> Result<(Datapath, Slots)> {
    let pins = bed.relay.enter(|| Pins::open(bed.bpffs(), INTERFACE))??;
    fs::create_dir_all(pins.dir())?;
    let path = pins.dir().join("slots");
    Slots::create(CAPACITY, NO_PREALLOC)?.pin(&path)?;
    let slots = Slots::try_from(Map::HashMap(MapData::from_pin(&path)?))?;
    Ok((Datapath::new(pins, INTERFACE), slots))
}

fn key(slot: u32) -> [u8; 32] {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&slot.to_be_bytes());
    key
}
