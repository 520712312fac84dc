//! Shape of a map: what two maps must have in common to be used alike.

use std::fmt;

use aya::maps::{MapError, MapInfo, MapType};

/// Type, sizes and flags of a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    /// Type.
    pub kind: MapType,
    /// Length of a key, bytes.
    pub key_size: u32,
    /// Length of a value, bytes.
    pub value_size: u32,
    /// `BPF_F_*` of include/uapi/linux/bpf.h.
    pub flags: u32,
    /// Number of entries; `None` if any number fits.
    pub entries: Option<u32>,
}

impl Shape {
    /// The shape of a map in the kernel.
    ///
    /// # Errors
    /// The kernel reports a type that aya does not know.
    pub(super) fn of(info: &MapInfo) -> Result<Self, MapError> {
        Ok(Self {
            kind: info.map_type()?,
            key_size: info.key_size(),
            value_size: info.value_size(),
            flags: info.map_flags(),
            entries: Some(info.max_entries()),
        })
    }

    /// Whether a map of the found shape serves where this one is expected.
    pub(super) fn is_met_by(&self, found: &Self) -> bool {
        *found == Self { entries: self.entries.or(found.entries), ..*self }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key_size, value_size, flags, entries } = self;
        write!(f, "{kind:?} with keys of {key_size} and values of {value_size} bytes")?;
        match entries {
            Some(entries) => write!(f, ", {entries} entries, flags {flags:#x}"),
            None => write!(f, ", flags {flags:#x}"),
        }
    }
}
