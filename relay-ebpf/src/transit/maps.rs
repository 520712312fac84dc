//! The map of the program.

use aya_ebpf::{macros::map, maps::Array};
use relay_common::mesh::Identity;

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h): the loader fills and reads without system calls.
const MMAPABLE: u32 = 1 << 10;

#[map]
static TRANSIT: Array<Identity> = Array::with_max_entries(1, MMAPABLE);

/// The identity of this program.
#[inline(always)]
pub fn identity() -> Option<&'static Identity> {
    TRANSIT.get(0)
}
