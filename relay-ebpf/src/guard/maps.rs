//! The maps of the guard, and look-ups in them.

use aya_ebpf::{
    macros::map,
    maps::{Array, LpmTrie, LruHashMap, PerCpuArray, lpm_trie::Key},
};
use relay_common::guard::{Attempt, Counts, Flow, FlowKey, Identity, Initiation, Suspicion};

use crate::word::MapWord;

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): the loader fills and reads without system calls.
const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_NO_PREALLOC`, which LPM tries require.
const NO_PREALLOC: u32 = 1;
/// `BPF_NOEXIST`: insert, never replace.
const BPF_NOEXIST: u64 = 1;

#[map]
static GUARD: Array<Identity> = Array::with_max_entries(1, MMAPABLE);
#[map]
static GUARD_COUNTS: Array<Counts> = Array::with_max_entries(1, MMAPABLE);
#[map]
static GUARD_SOURCES: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1, 0);
#[map]
static GUARD_FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(1, 0);

#[map]
static GUARD_ATTEMPTS: LruHashMap<FlowKey, Attempt> = LruHashMap::with_max_entries(1, 0);
#[map]
static GUARD_OVERLAY: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(1, NO_PREALLOC);
#[map]
static GUARD_SUSPICIONS: Array<Suspicion> = Array::with_max_entries(Suspicion::PLACES, 0);
/// Buckets that all sources share.
#[map]
static GUARD_SHARED: Array<u64> = Array::with_max_entries(2, 0);

/// VERIFIER: on the stack, 6.1 reports "combined stack size of 3 calls is 544. Too large".
#[map]
static GUARD_MESSAGE: PerCpuArray<Initiation> = PerCpuArray::with_max_entries(1, 0);

/// The identity of this guard.
#[inline(always)]
pub fn identity() -> Option<&'static Identity> {
    GUARD.get(0)
}

/// The buffer of this processor for a message: an [`Initiation`] or a shorter one.
#[inline(always)]
pub fn message<T>() -> Option<&'static mut T> {
    const { assert!(size_of::<T>() <= size_of::<Initiation>()) };
    let place = GUARD_MESSAGE.get_ptr_mut(0)?;
    // SAFETY: words of a map value of this processor alone; no other XDP program runs on it
    // meanwhile, since bottom halves are off.
    Some(unsafe { &mut *place.cast::<T>() })
}

/// Returns the same numbers through a map, so that the verifier forgets their values.
///
/// VERIFIER: otherwise 6.1 reports "BPF program is too large. Processed 1000001 insn": it verifies
/// the rest of the program once for each path through the headers, with its offsets.
#[inline(always)]
pub fn forgotten<const N: usize>(numbers: [u64; N]) -> Option<[u64; N]> {
    let place: *mut [u64; N] = message()?;
    let word = |at: usize| place.cast::<u64>().wrapping_add(at);
    for (at, number) in numbers.into_iter().enumerate() {
        // SAFETY: a word of a map value of this processor alone.
        unsafe { word(at).write_volatile(number) };
    }
    // SAFETY: as above.
    Some(core::array::from_fn(|at| unsafe { word(at).read_volatile() }))
}

/// Counts of a processor.
#[inline(always)]
pub fn counts(processor: u32) -> Option<*mut Counts> {
    GUARD_COUNTS.get_ptr_mut(processor)
}

/// The bucket of a source.
#[inline(always)]
pub fn source(key: &u64) -> Option<MapWord> {
    GUARD_SOURCES.get_ptr_mut(key).map(MapWord::new)
}

/// Inserts the bucket of a source that has none. If that fails, the source has no limit.
#[inline(always)]
pub fn add_source(key: &u64, full_at: &u64) {
    let _inserted = GUARD_SOURCES.insert(key, full_at, BPF_NOEXIST);
}

/// A confirmed flow.
#[inline(always)]
pub fn flow(key: &FlowKey) -> Option<*mut Flow> {
    GUARD_FLOWS.get_ptr_mut(key)
}

/// Inserts a confirmed flow, if it is new.
#[inline(always)]
pub fn add_flow(key: &FlowKey, flow: &Flow) {
    let _inserted = GUARD_FLOWS.insert(key, flow, BPF_NOEXIST);
}

/// Initiations that passed from an address and port.
#[inline(always)]
pub fn attempt(key: &FlowKey) -> Option<*mut Attempt> {
    GUARD_ATTEMPTS.get_ptr_mut(key)
}

/// Inserts the first of them.
#[inline(always)]
pub fn add_attempt(key: &FlowKey, attempt: &Attempt) {
    let _inserted = GUARD_ATTEMPTS.insert(key, attempt, BPF_NOEXIST);
}

/// Deletes them, after data came.
#[inline(always)]
pub fn forget_attempts(key: &FlowKey) {
    let _removed = GUARD_ATTEMPTS.remove(key);
}

/// Invalid MAC1s at a [`Suspicion::place`].
#[inline(always)]
pub fn suspicion(place: u32) -> Option<*mut Suspicion> {
    GUARD_SUSPICIONS.get_ptr_mut(place)
}

/// Whether an address (upper and lower half, host order) is in the overlay.
#[inline(always)]
pub fn is_overlay([high, low]: [u64; 2]) -> bool {
    let address = u128::from(high) << 64 | u128::from(low);
    GUARD_OVERLAY.get(Key::new(128, address.to_be_bytes())).is_some()
}

/// The bucket of confirmations.
#[inline(always)]
pub fn confirmations() -> Option<MapWord> {
    GUARD_SHARED.get_ptr_mut(0).map(MapWord::new)
}

/// The bucket of cookie replies.
#[inline(always)]
pub fn cookie_replies() -> Option<MapWord> {
    GUARD_SHARED.get_ptr_mut(1).map(MapWord::new)
}
