//! What a map is. aya uses a pinned map as it is, whatever it may be, so this is compared before.

use std::{fmt, path::Path};

use aya::maps::{MapInfo, MapType};

use super::DatapathError;

/// As much of a map as two must agree in to be used alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    /// Its type.
    pub kind: MapType,
    /// Length of a key, bytes.
    pub key_size: u32,
    /// Length of a value, bytes.
    pub value_size: u32,
    /// `BPF_F_*` of include/uapi/linux/bpf.h.
    pub flags: u32,
    /// How many values; any number where there is none.
    pub entries: Option<u32>,
}

/// `BPF_F_MMAPABLE` (include/uapi/linux/bpf.h).
const MMAPABLE: u32 = 1 << 10;

impl Shape {
    /// An array that can be mapped into memory.
    pub(super) const fn mapped_array(value_size: u32) -> Self {
        Self { kind: MapType::Array, key_size: 4, value_size, flags: MMAPABLE, entries: None }
    }

    /// The same with so many entries.
    pub(super) const fn of(self, entries: u32) -> Self {
        Self { entries: Some(entries), ..self }
    }

    /// Compares a pinned map with this shape, and gives what the kernel says of it.
    ///
    /// # Errors
    /// It cannot be opened, or is another.
    pub(super) fn require(&self, name: &str, path: &Path) -> Result<MapInfo, DatapathError> {
        let failed = || DatapathError::map(name, "open");
        let info = MapInfo::from_pin(path).map_err(failed())?;
        let found = Self::read(&info).map_err(failed())?;
        if self.is_met_by(&found) {
            return Ok(info);
        }
        Err(DatapathError::Incompatible {
            path: path.to_owned(),
            found: found.to_string(),
            expected: self.to_string(),
        })
    }

    /// Whether a map is of this shape.
    pub(super) fn is_of(&self, info: &MapInfo) -> bool {
        Self::read(info).is_ok_and(|found| self.is_met_by(&found))
    }

    fn is_met_by(&self, found: &Self) -> bool {
        *found == Self { entries: self.entries.or(found.entries), ..*self }
    }

    fn read(info: &MapInfo) -> Result<Self, aya::maps::MapError> {
        Ok(Self {
            kind: info.map_type()?,
            key_size: info.key_size(),
            value_size: info.value_size(),
            flags: info.map_flags(),
            entries: Some(info.max_entries()),
        })
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
