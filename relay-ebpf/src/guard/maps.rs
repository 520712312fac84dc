//! The maps and the look-ups in them.

use aya_ebpf::{
    macros::map,
    maps::{Array, LpmTrie, LruHashMap, PerCpuArray, lpm_trie::Key},
};
use relay_common::guard::{Attempt, Counts, Flow, FlowKey, Identity, Initiation, Suspicion};

use crate::bucket::Place;

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): the loader fills and reads without system calls.
const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_NO_PREALLOC`, which LPM tries demand.
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

/// VERIFIER: on the stack, 6.1 says "combined stack size of 3 calls is 544. Too large".
#[map]
static GUARD_MESSAGE: PerCpuArray<Initiation> = PerCpuArray::with_max_entries(1, 0);

/// What this guard is.
#[inline(always)]
pub fn identity() -> Option<&'static Identity> {
    GUARD.get(0)
}

/// Where a processor puts the message that it looks at: an [`Initiation`], or what is shorter.
#[inline(always)]
pub fn message<T>() -> Option<&'static mut T> {
    const { assert!(size_of::<T>() <= size_of::<Initiation>()) };
    let place = GUARD_MESSAGE.get_ptr_mut(0)?;
    // SAFETY: words of a map value that this processor alone has; nothing else runs there
    // meanwhile, for XDP programs run with bottom halves off.
    Some(unsafe { &mut *place.cast::<T>() })
}

/// The same numbers, by way of a map.
///
/// VERIFIER: 6.1 says "BPF program is too large. Processed 1000001 insn" otherwise: it follows what
/// comes after for each way through the headers, with the offsets that it knows on each.
#[inline(always)]
pub fn forgotten<const N: usize>(numbers: [u64; N]) -> Option<[u64; N]> {
    let place: *mut [u64; N] = message()?;
    let word = |at: usize| place.cast::<u64>().wrapping_add(at);
    for (at, number) in numbers.into_iter().enumerate() {
        // SAFETY: a word of a map value that this processor alone has.
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
pub fn source(key: &u64) -> Option<Place> {
    GUARD_SOURCES.get_ptr_mut(key).map(Place::new)
}

/// Writes the bucket of a source that has none. Where there is no room it goes without: nobody is
/// locked out for that.
#[inline(always)]
pub fn add_source(key: &u64, full_at: &u64) {
    let _another_was_first = GUARD_SOURCES.insert(key, full_at, BPF_NOEXIST);
}

/// A flow that data came from after an initiation was let through.
#[inline(always)]
pub fn flow(key: &FlowKey) -> Option<*mut Flow> {
    GUARD_FLOWS.get_ptr_mut(key)
}

/// Writes one down, if it is new.
#[inline(always)]
pub fn add_flow(key: &FlowKey, flow: &Flow) {
    let _there_already = GUARD_FLOWS.insert(key, flow, BPF_NOEXIST);
}

/// Initiations that were let through from an address and port.
#[inline(always)]
pub fn attempt(key: &FlowKey) -> Option<*mut Attempt> {
    GUARD_ATTEMPTS.get_ptr_mut(key)
}

/// Writes the first of them down.
#[inline(always)]
pub fn add_attempt(key: &FlowKey, attempt: &Attempt) {
    let _another_was_first = GUARD_ATTEMPTS.insert(key, attempt, BPF_NOEXIST);
}

/// Deletes them, which data answered.
#[inline(always)]
pub fn forget_attempts(key: &FlowKey) {
    let _there_are_none = GUARD_ATTEMPTS.remove(key);
}

/// What is held against an address and port, by [`Suspicion::place`].
#[inline(always)]
pub fn suspicion(place: u32) -> Option<*mut Suspicion> {
    GUARD_SUSPICIONS.get_ptr_mut(place)
}

/// Whether an address, upper and lower half in host order, is one of the overlay.
#[inline(always)]
pub fn is_overlay([high, low]: [u64; 2]) -> bool {
    let address = u128::from(high) << 64 | u128::from(low);
    GUARD_OVERLAY.get(Key::new(128, address.to_be_bytes())).is_some()
}

/// The bucket of confirmations.
#[inline(always)]
pub fn confirmations() -> Option<Place> {
    GUARD_SHARED.get_ptr_mut(0).map(Place::new)
}

/// The bucket of cookie replies.
#[inline(always)]
pub fn cookie_replies() -> Option<Place> {
    GUARD_SHARED.get_ptr_mut(1).map(Place::new)
}
