//! At which relay of a site peers are at home, and what is claimed of them, by slot, in maps that
//! outlive generations.
//!
//! They have the epochs of the counters, but the state is in the latest one alone: a new epoch begins
//! with what the one before it has.

use std::{io, os::fd::AsFd as _};

use aya::maps::{Array, Map, MapData, RingBuf};
use relay_common::{
    mesh::{Claim, Home},
    names,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Datapath, DatapathError,
    counters::Epoch,
    pinned::{CLAIMS, HOMES, MOVES, Mapped, PinnedMap, Pins, Words},
};

/// Words of a [`Claim`].
const CLAIM_WORDS: usize = size_of::<Claim>() / size_of::<u64>();

/// Where peers are at home, by slot, as the programs see it while they run.
pub struct Homes {
    epoch: u32,
    homes: Words,
    claims: Words,
}

/// Peers whose home became this relay by a packet: the ring, which one process reads.
pub struct Moves(RingBuf<MapData>);

impl Datapath {
    /// Where peers are at home; `None` if the relay was never up with a mesh.
    ///
    /// # Errors
    /// A pin cannot be read, or has another shape.
    pub fn homes(&self) -> Result<Option<Homes>, DatapathError> {
        let Some((epoch, homes)) = latest(&self.pins, &HOMES)? else { return Ok(None) };
        let claims = self.pins.epoch_of(&CLAIMS, epoch).words()?;
        Ok(claims.map(|claims| Homes { epoch, homes, claims }))
    }

    /// Peers that come home; `None` if the relay was never up with a mesh.
    ///
    /// # Errors
    /// The pin cannot be read, or has another shape.
    pub fn moves(&self) -> Result<Option<Moves>, DatapathError> {
        let Some(map) = self.pins.map(&MOVES).open()? else { return Ok(None) };
        let ring = Map::from_map_data(map).and_then(RingBuf::try_from);
        ring.map(|ring| Some(Moves(ring))).map_err(DatapathError::map(names::MOVES, "open"))
    }
}

impl Homes {
    /// Whether the programs still use these maps, and no larger ones.
    ///
    /// # Errors
    /// The pins cannot be listed.
    pub fn is_current(&self, datapath: &Datapath) -> Result<bool, DatapathError> {
        let is_there = |epoch: &u32| datapath.pins.epoch_of(&HOMES, *epoch).exists();
        Ok(datapath.pins.epochs()?.into_iter().rev().find(is_there) == Some(self.epoch))
    }

    /// Where the peer of a slot is at home.
    pub fn home(&self, slot: u32) -> Home {
        Home::from_word(self.homes.words.get(slot as usize).unwrap_or(0))
    }

    /// Sets where the peer of a slot is at home, for the next packet.
    pub fn set_home(&self, slot: u32, home: Home) {
        self.homes.words.set(slot as usize, home.word());
    }

    /// What is claimed of the peer of a slot; zeros if nothing is.
    pub fn claim(&self, slot: u32) -> Claim {
        let first = slot as usize * CLAIM_WORDS;
        let words: [u64; CLAIM_WORDS] =
            std::array::from_fn(|word| self.claims.words.get(first + word).unwrap_or(0));
        bytemuck::cast(words)
    }

    /// Sets what is claimed of the peer of a slot.
    pub fn set_claim(&self, slot: u32, claim: Claim) {
        let words: [u64; CLAIM_WORDS] = bytemuck::cast(claim);
        let first = slot as usize * CLAIM_WORDS;
        words.into_iter().zip(first..).for_each(|(word, at)| self.claims.words.set(at, word));
    }
}

impl Moves {
    /// Waits until there is one, or for a second.
    ///
    /// # Errors
    /// The kernel does not wait.
    pub fn wait(&self) -> io::Result<()> {
        const SECOND: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&self.0.as_fd(), PollFlags::IN)], Some(&SECOND)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The slot of the next one; `None` if there is none now.
    pub fn take(&mut self) -> Option<u32> {
        while let Some(item) = self.0.next() {
            if let Ok(slot) = <[u8; 4]>::try_from(&item[..]) {
                return Some(u32::from_ne_bytes(slot));
            }
        }
        None
    }
}

/// Creates the maps of an epoch, unless they are there. A program that writes to a map before it
/// meanwhile writes in vain: the next packet of that peer does it again.
pub(super) fn prepare(pins: &Pins, epoch: Epoch) -> Result<(), DatapathError> {
    pins.map(&MOVES).check()?;
    grow::<CLAIM_WORDS>(pins, epoch, &CLAIMS)?;
    grow::<1>(pins, epoch, &HOMES)
}

/// Forgets where the peers of these slots are at home.
pub(super) fn clear(pins: &Pins, slots: &[u32]) -> Result<(), DatapathError> {
    let maps: [(&'static PinnedMap, usize); 2] = [(&CLAIMS, CLAIM_WORDS), (&HOMES, 1)];
    for (map, words) in maps {
        let Some((_, found)) = latest(pins, map)? else { continue };
        for slot in slots {
            let first = *slot as usize * words;
            (first..first + words).for_each(|word| found.words.clear(word));
        }
    }
    Ok(())
}

/// Creates the map of an epoch with what the one before it has, unless it is there.
fn grow<const WORDS: usize>(
    pins: &Pins,
    epoch: Epoch,
    map: &'static PinnedMap,
) -> Result<(), DatapathError>
where
    [u64; WORDS]: aya::Pod,
{
    let pin = pins.epoch_of(map, epoch.number);
    if pin.check()?.is_some() {
        return Ok(());
    }
    let failed = |action| DatapathError::map(map.name(), action);
    let mut created = Array::<MapData, [u64; WORDS]>::create(epoch.capacity, map.flags())
        .map_err(failed("create"))?;
    if let Some((_, before)) = latest(pins, map)? {
        for slot in 0..before.entries {
            let word = |word| before.words.get(slot as usize * WORDS + word).unwrap_or(0);
            created.set(slot, std::array::from_fn(word), 0).map_err(failed("fill"))?;
        }
    }
    pin.pin(|path| created.pin(path))
}

fn latest(pins: &Pins, map: &'static PinnedMap) -> Result<Option<(u32, Words)>, DatapathError> {
    for epoch in pins.epochs()?.into_iter().rev() {
        if let Some(words) = pins.epoch_of(map, epoch).words()? {
            return Ok(Some((epoch, words)));
        }
    }
    Ok(None)
}

/// Where the peer of a slot is at home, in one map.
pub(super) fn of(map: &MapData, slot: u32) -> Result<Home, DatapathError> {
    let words = Mapped::<u64>::new(names::HOMES, map, slot as usize + 1)?;
    Ok(Home::from_word(words.get(slot as usize).unwrap_or(0)))
}

/// Sets where the peer of a slot is at home, in one map.
pub(super) fn set(map: &MapData, slot: u32, home: Home) -> Result<(), DatapathError> {
    let words = Mapped::<u64>::new(names::HOMES, map, slot as usize + 1)?;
    words.set(slot as usize, home.word());
    Ok(())
}

/// The slots of peers that have come home since a ring was last read.
pub(super) fn moved(ring: &mut Map) -> Result<Vec<u32>, DatapathError> {
    let mut ring = RingBuf::try_from(ring).map_err(DatapathError::map(names::MOVES, "read"))?;
    let mut slots = Vec::new();
    while let Some(item) = ring.next() {
        slots.extend(item.first_chunk().map(|slot| u32::from_ne_bytes(*slot)));
    }
    Ok(slots)
}
