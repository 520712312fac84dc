//! Entries of a hash by bpf(2), where aya lacks it: thousands with one call. Kernel 5.6 or newer.

use std::{
    borrow::{Borrow, BorrowMut},
    os::fd::AsFd as _,
};

use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, MapData, MapError},
    sys::SyscallError,
};
use bytemuck::Zeroable;

use super::link::{bpf, number};

/// `BPF_MAP_LOOKUP_BATCH` and `BPF_MAP_UPDATE_BATCH` of include/uapi/linux/bpf.h.
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const MAP_UPDATE_BATCH: libc::c_int = 26;

/// Entries that one call has room for: far more than a bucket has, which comes as a whole.
const ROOM: u32 = 4096;

/// `batch` of `union bpf_attr`.
#[derive(Clone, Copy, bytemuck::Pod, Zeroable)]
#[repr(C)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// The entries, in no order. The kernel gives bucket after bucket, each as it is at one moment: an
/// entry that is there all the time comes exactly once, whatever is inserted and removed meanwhile.
pub(super) fn all<T: Borrow<MapData>, K: Pod, V: Pod>(
    map: &HashMap<T, K, V>,
) -> Result<Vec<(K, V)>, MapError> {
    let mut keys = Vec::<K>::with_capacity(ROOM as usize);
    let mut values = Vec::<V>::with_capacity(ROOM as usize);
    let mut entries = Vec::new();
    // The bucket to go on with; none at the beginning.
    let (mut from, mut next) = (0_u32, 0_u32);
    let mut is_first = true;
    loop {
        let mut batch = Batch {
            from: if is_first { 0 } else { (&raw const from).expose_provenance() as u64 },
            next: (&raw mut next).expose_provenance() as u64,
            keys: keys.as_mut_ptr().expose_provenance() as u64,
            values: values.as_mut_ptr().expose_provenance() as u64,
            count: ROOM,
            map: number(map.map().fd().as_fd()),
            ..Batch::zeroed()
        };
        // SAFETY: the vectors have room for `count` keys and values of the sizes that the map has,
        // which `HashMap` has checked. They and both numbers outlive the call.
        let is_last = match unsafe { bpf(MAP_LOOKUP_BATCH, &mut batch) } {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(io_error) => {
                return Err(SyscallError { call: "bpf_map_lookup_batch", io_error }.into());
            }
        };
        // SAFETY: the vectors were empty, and the kernel has written `count` keys and values.
        unsafe {
            keys.set_len(batch.count as usize);
            values.set_len(batch.count as usize);
        }
        entries.extend(keys.drain(..).zip(values.drain(..)));
        if is_last {
            return Ok(entries);
        }
        (from, is_first) = (next, false);
    }
}

/// Inserts entries, or replaces those that are there, in this order. What comes before one that the map
/// does not take is inserted.
pub(super) fn insert_all<T: BorrowMut<MapData>, K: Pod, V: Pod>(
    map: &mut HashMap<T, K, V>,
    entries: impl Iterator<Item = (K, V)>,
) -> Result<(), MapError> {
    let (keys, values): (Vec<K>, Vec<V>) = entries.unzip();
    let room = ROOM as usize;
    for (keys, values) in keys.chunks(room).zip(values.chunks(room)) {
        let mut batch = Batch {
            keys: keys.as_ptr().expose_provenance() as u64,
            values: values.as_ptr().expose_provenance() as u64,
            count: u32::try_from(keys.len()).unwrap_or(ROOM),
            map: number(map.map().fd().as_fd()),
            ..Batch::zeroed()
        };
        // SAFETY: both slices have `count` elements of the sizes that the map has, which `HashMap` has
        // checked, and outlive the call, which reads them.
        unsafe { bpf(MAP_UPDATE_BATCH, &mut batch) }
            .map_err(|io_error| SyscallError { call: "bpf_map_update_batch", io_error })?;
    }
    Ok(())
}
