//! The maps of the programs, and look-ups in them.

use aya_ebpf::{
    helpers::generated::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf, lpm_trie::Key},
};
use relay_common::{
    Event, Generation, Leaf, PairCounters, PeerCounters,
    counters::{MAX_PAIRS_COUNTED, OTHER_PAIRS, RuleCounters, spread_index},
    event::{EVENTS_KEPT, HEAD_LEN},
    flow::FlowSet,
    held::Held,
    mesh::{Home, MOVES_LEN},
    meter::Meter,
    trial::{Difference, DifferenceKey, MAX_DIFFERENCES, Tried},
    usage::{MAX_HOLDERS, MAX_USES, Use, UseKey},
};

use crate::{judged::Judged, part::Part, seen::Seen, settings};

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): the loader fills and reads without system calls.
/// Excludes [`READ_ONLY`]: bpf_map_mmap() (kernel/bpf/syscall.c, 6.12) denies writing with it.
const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_RDONLY_PROG`: the programs cannot change the policy.
const READ_ONLY: u32 = 1 << 7;
/// `BPF_NOEXIST`: insert, never replace.
const BPF_NOEXIST: u64 = 1;
/// `BPF_F_NO_PREALLOC`, which LPM tries require.
const NO_PREALLOC: u32 = 1;

/// A set of flows that several processors use.
#[repr(transparent)]
struct Shared(FlowSet);

// SAFETY: a program reads and writes single words of it, and a place is filled by the one processor
// that has claimed it.
unsafe impl Sync for Shared {}

/// A place for a fragment that several processors use.
#[repr(transparent)]
struct SharedPlace(Held);

// SAFETY: a place is written and sent by the one processor that has claimed it.
unsafe impl Sync for SharedPlace {}

/// A meter that several processors use.
#[repr(transparent)]
struct SharedMeter(Meter);

// SAFETY: a program reads and writes single words of it.
unsafe impl Sync for SharedMeter {}

#[map]
static PREFIXES_V4: LpmTrie<[u8; 4], Leaf> = LpmTrie::with_max_entries(1, NO_PREALLOC | READ_ONLY);
#[map]
static PREFIXES_V6: LpmTrie<[u8; 16], Leaf> = LpmTrie::with_max_entries(1, NO_PREALLOC | READ_ONLY);
#[map]
static HOST_PORTS: HashMap<u32, u32> = HashMap::with_max_entries(1, READ_ONLY);
#[map]
static ERRORS_DUE: Array<u64> = Array::with_max_entries(1, MMAPABLE);
#[map]
static GENERATION: Array<Generation> = Array::with_max_entries(1, MMAPABLE);
#[map]
static COUNTERS: Array<PeerCounters> = Array::with_max_entries(1, MMAPABLE);
#[map]
static SPREAD: Array<PeerCounters> = Array::with_max_entries(1, MMAPABLE);
#[map]
static DROPPED: Array<u64> = Array::with_max_entries(1, MMAPABLE);
#[map]
static PAIR_COUNTERS: HashMap<u64, PairCounters> =
    HashMap::with_max_entries(MAX_PAIRS_COUNTED, NO_PREALLOC);
#[map]
static FLOWS: Array<Shared> = Array::with_max_entries(1, MMAPABLE);
#[map]
static FRAGMENTS: Array<Shared> = Array::with_max_entries(1, MMAPABLE);
#[map]
static HELD: Array<SharedPlace> = Array::with_max_entries(1, MMAPABLE);
#[map]
static OPENINGS_DUE: Array<u64> = Array::with_max_entries(1, MMAPABLE);
#[map]
static RULE_COUNTERS: Array<RuleCounters> = Array::with_max_entries(1, MMAPABLE);
#[map]
static METERS: Array<SharedMeter> = Array::with_max_entries(1, MMAPABLE);
#[map]
static SEEN: PerCpuArray<Seen> = PerCpuArray::with_max_entries(1, 0);
#[map]
static JUDGED: PerCpuArray<Judged> = PerCpuArray::with_max_entries(1, 0);
#[map]
static TRIED: PerCpuArray<Tried> = PerCpuArray::with_max_entries(1, 0);
#[map]
static DIFFERENCES: HashMap<DifferenceKey, Difference> =
    HashMap::with_max_entries(MAX_DIFFERENCES, NO_PREALLOC);
#[map]
static PART: PerCpuArray<Part> = PerCpuArray::with_max_entries(1, 0);
#[map]
static USES: HashMap<UseKey, Use> = HashMap::with_max_entries(MAX_USES, NO_PREALLOC);
#[map]
static HOLDERS: HashMap<u32, u64> = HashMap::with_max_entries(MAX_HOLDERS, NO_PREALLOC);
#[map]
static HOMES: Array<u64> = Array::with_max_entries(1, MMAPABLE);
#[map]
static MOVES: RingBuf = RingBuf::with_byte_size(MOVES_LEN, 0);
#[map]
static EVENTS: Array<Event> = Array::with_max_entries(EVENTS_KEPT, MMAPABLE);
#[map]
static EVENT_COUNT: Array<u64> = Array::with_max_entries(1, MMAPABLE);

/// The leaf of the longest prefix that contains an IPv4 address in host order.
#[inline(always)]
pub fn prefix_v4(address: u32) -> Option<&'static Leaf> {
    PREFIXES_V4.get(Key::new(32, address.to_be_bytes()))
}

/// The leaf of the longest prefix that contains an IPv6 address in host order, upper and lower half.
#[inline(always)]
pub fn prefix_v6([high, low]: [u64; 2]) -> Option<&'static Leaf> {
    let mut address = [0; 16];
    address[..8].copy_from_slice(&high.to_be_bytes());
    address[8..].copy_from_slice(&low.to_be_bytes());
    PREFIXES_V6.get(Key::new(128, address))
}

/// Whether a port of the host is open to peers.
#[inline(always)]
pub fn host_port_is_open(key: u32) -> bool {
    // SAFETY: no program deletes entries, so the value is not reused meanwhile.
    unsafe { HOST_PORTS.get(key).is_some() }
}

/// Counters of slots for this processor.
#[inline(always)]
pub fn counters<const N: usize>(slots: [u32; N]) -> [Option<*mut PeerCounters>; N] {
    let last_group = settings::last_group();
    if last_group == 0 {
        return slots.map(|slot| COUNTERS.get_ptr_mut(slot));
    }
    // SAFETY: the helper has no preconditions.
    let processor = unsafe { bpf_get_smp_processor_id() };
    let bits = settings::slot_bits();
    slots.map(|slot| SPREAD.get_ptr_mut(spread_index(slot, processor, last_group, bits)))
}

/// Dropped packets of a slot and reason.
#[inline(always)]
pub fn dropped(index: u32) -> Option<*mut u64> {
    DROPPED.get_ptr_mut(index)
}

/// Counters of a pair of slots, created if absent; the shared ones if the map is full.
#[inline(always)]
pub fn pair_counters(key: u64) -> Option<*mut PairCounters> {
    if let Some(counters) = PAIR_COUNTERS.get_ptr_mut(key) {
        return Some(counters);
    }
    // Another processor may have inserted the entry first.
    let _inserted = PAIR_COUNTERS.insert(key, PairCounters { packets: 0, bytes: 0 }, BPF_NOEXIST);
    PAIR_COUNTERS.get_ptr_mut(key).or_else(|| PAIR_COUNTERS.get_ptr_mut(OTHER_PAIRS))
}

/// Number of the latest event.
#[inline(always)]
pub fn event_count() -> Option<*mut u64> {
    EVENT_COUNT.get_ptr_mut(0)
}

/// A place in the ring of dropped packets.
#[inline(always)]
pub fn event(place: u32) -> Option<*mut Event> {
    EVENTS.get_ptr_mut(place)
}

/// State of the bucket of ICMP errors to a peer, nanoseconds of the monotonic clock.
#[inline(always)]
pub fn errors(slot: u32) -> Option<*mut u64> {
    ERRORS_DUE.get_ptr_mut(slot)
}

/// What is known of the packet that this processor decides about by rules.
#[inline(always)]
pub fn seen() -> Option<&'static mut Seen> {
    // SAFETY: no program interrupts another one on its processor: both run with bottom halves off.
    SEEN.get_ptr_mut(0).map(|seen| unsafe { &mut *seen })
}

/// The same of the decision by lists and the host's routing.
#[inline(always)]
pub fn judged() -> Option<&'static mut Judged> {
    // SAFETY: as above.
    JUDGED.get_ptr_mut(0).map(|judged| unsafe { &mut *judged })
}

/// What both policies of a trial make of the packet that this processor decides about.
#[inline(always)]
pub fn tried() -> Option<&'static mut Tried> {
    // SAFETY: as above.
    TRIED.get_ptr_mut(0).map(|tried| unsafe { &mut *tried })
}

/// What is counted of a difference.
#[inline(always)]
pub fn difference(key: &DifferenceKey) -> Option<*mut Difference> {
    DIFFERENCES.get_ptr_mut(key)
}

/// The same of one that is not there yet; the shared one if the map is full.
#[inline(always)]
pub fn new_difference(key: &DifferenceKey, now_ns: u64) -> Option<*mut Difference> {
    let first = Difference {
        packets: 0,
        bytes: 0,
        first_ns: now_ns,
        last_ns: now_ns,
        head: [0; HEAD_LEN as usize],
    };
    // Another processor may have inserted the entry first.
    let _inserted = DIFFERENCES.insert(key, first, BPF_NOEXIST);
    DIFFERENCES.get_ptr_mut(key).or_else(|| DIFFERENCES.get_ptr_mut(DifferenceKey::OTHERS))
}

/// The part of a use that this processor counts.
#[inline(always)]
pub fn part() -> Option<&'static mut Part> {
    // SAFETY: as above.
    PART.get_ptr_mut(0).map(|part| unsafe { &mut *part })
}

/// What is counted of a use.
#[inline(always)]
pub fn used(key: &UseKey) -> Option<*mut Use> {
    USES.get_ptr_mut(key)
}

/// Adds a use, whose first packet this slot has sent. `false` if it is there already, or the map is
/// full.
#[inline(always)]
pub fn add_use(key: &UseKey, now_ns: u64, holder: u32) -> bool {
    let first = Use {
        packets: 0,
        bytes: 0,
        answers: 0,
        first_ns: now_ns,
        last_ns: now_ns,
        holder,
        reserved: 0,
    };
    USES.insert(key, first, BPF_NOEXIST).is_ok()
}

/// The number of services that are kept because of a slot, zero if absent.
#[inline(always)]
pub fn held_by(slot: u32) -> Option<*mut u64> {
    if let Some(held) = HOLDERS.get_ptr_mut(slot) {
        return Some(held);
    }
    // Another processor may have inserted the entry first.
    let _inserted = HOLDERS.insert(slot, 0, BPF_NOEXIST);
    HOLDERS.get_ptr_mut(slot)
}

/// A set of the table of flows.
#[inline(always)]
pub fn flows(number: u32) -> Option<&'static FlowSet> {
    FLOWS.get(number).map(|set| &set.0)
}

/// A set of the memory of datagrams in fragments.
#[inline(always)]
pub fn datagrams(number: u32) -> Option<&'static FlowSet> {
    FRAGMENTS.get(number).map(|set| &set.0)
}

/// A place for a fragment that arrives before the first one.
#[inline(always)]
pub fn held(place: u32) -> Option<&'static Held> {
    HELD.get(place).map(|place| &place.0)
}

/// State of the bucket of flows that a peer begins, nanoseconds of the boot clock.
#[inline(always)]
pub fn openings(slot: u32) -> Option<*mut u64> {
    OPENINGS_DUE.get_ptr_mut(slot)
}

/// Counters of a rule.
#[inline(always)]
pub fn rule_counters(rule: u32) -> Option<*mut RuleCounters> {
    RULE_COUNTERS.get_ptr_mut(rule)
}

/// The meter of a slot.
#[inline(always)]
pub fn meter(slot: u64) -> Option<&'static Meter> {
    METERS.get(slot as u32).map(|meter| &meter.0)
}

/// Where the peer of a slot is at home.
#[inline(always)]
pub fn home(slot: u32) -> Option<Home> {
    // SAFETY: points into a map value; the agent writes the whole word at once.
    HOMES.get_ptr(slot).map(|word| Home::from_word(unsafe { word.read_volatile() }))
}

/// Makes this relay the home of the peer of a slot, and tells the agent. One that is not told finds it
/// in the array.
#[inline(never)]
pub fn come_home(slot: u32) {
    let Some(word) = HOMES.get_ptr_mut(slot) else { return };
    // SAFETY: as above.
    unsafe { word.write_volatile(Home::HERE.word()) };
    let _told = MOVES.output::<u32>(slot, 0);
}

/// The identity of this generation.
#[inline(always)]
pub fn generation() -> Option<&'static Generation> {
    GENERATION.get(0)
}
