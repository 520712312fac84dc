//! The maps and the look-ups in them.

use aya_ebpf::{
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray},
};
use relay_common::guard::{Counts, Flow, FlowKey, INITIATION_WORDS, Identity};

/// Room for the longest message that has a MAC1.
pub type Message = [u32; INITIATION_WORDS];

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): the loader fills and reads without system calls.
const MMAPABLE: u32 = 1 << 10;
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

/// VERIFIER: on the stack, 6.1 says "combined stack size of 3 calls is 544. Too large".
#[map]
static GUARD_MESSAGE: PerCpuArray<Message> = PerCpuArray::with_max_entries(1, 0);

/// What this guard is.
#[inline(always)]
pub fn identity() -> Option<&'static Identity> {
    GUARD.get(0)
}

/// Where a processor puts the message that it looks at. Nothing else runs there meanwhile: XDP
/// programs run with bottom halves off.
#[inline(always)]
pub fn message() -> Option<*mut Message> {
    GUARD_MESSAGE.get_ptr_mut(0)
}

/// Counts of a processor.
#[inline(always)]
pub fn counts(processor: u32) -> Option<*mut Counts> {
    GUARD_COUNTS.get_ptr_mut(processor)
}

/// The bucket of a source.
#[inline(always)]
pub fn source(key: &u64) -> Option<*mut u64> {
    GUARD_SOURCES.get_ptr_mut(key)
}

/// Writes the bucket of a source that has none. Where there is no room it goes without: nobody is
/// locked out for that.
#[inline(always)]
pub fn add_source(key: &u64, full_at: &u64) {
    let _another_was_first = GUARD_SOURCES.insert(key, full_at, BPF_NOEXIST);
}

/// A flow that an initiation was let through from.
#[inline(always)]
pub fn flow(key: &FlowKey) -> Option<*mut Flow> {
    GUARD_FLOWS.get_ptr_mut(key)
}

/// Writes down a flow that an initiation was let through from, if it is new.
#[inline(always)]
pub fn add_flow(key: &FlowKey) {
    let _there_already = GUARD_FLOWS.insert(key, Flow::PENDING, BPF_NOEXIST);
}
