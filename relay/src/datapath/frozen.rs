//! Maps that nobody writes any more, by bpf(2), where aya lacks it. Kernel 5.2 or newer.

use std::os::fd::AsFd as _;

use aya::{
    maps::{MapData, MapError},
    sys::SyscallError,
};

use super::link::{bpf, number};

/// `BPF_MAP_FREEZE` of include/uapi/linux/bpf.h.
const MAP_FREEZE: libc::c_int = 22;

/// Closes a map to writes of all processes, for good. Programs are kept from it by the map's flags.
pub(super) fn freeze(map: &MapData) -> Result<(), MapError> {
    let mut map = number(map.fd().as_fd());
    // SAFETY: only a number is passed.
    let frozen = unsafe { bpf(MAP_FREEZE, &mut map) };
    let failed = |io_error| SyscallError { call: "bpf_map_freeze", io_error };
    Ok(frozen.map(drop).map_err(failed)?)
}
