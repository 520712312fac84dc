//! A pinned map: its declaration, and all that is done with its pin.
//!
//! aya uses a pinned map as it is, so type, sizes and flags are compared before each use.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{
    EbpfLoader,
    maps::{MapData, MapInfo, MapType},
    pin::PinError,
    util::nr_cpus,
};

use super::{super::DatapathError, mapped::Mapped, shape::Shape};

/// `BPF_F_NO_PREALLOC` (include/uapi/linux/bpf.h): memory is taken entry by entry.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`: readable without system calls.
const MMAPABLE: u32 = 1 << 10;

/// Declaration of a pinned map.
#[derive(Debug)]
pub(in super::super) struct PinnedMap {
    /// Name of the pin; with epochs, what precedes their number.
    pin: &'static str,
    /// Name of the map in the object of its programs.
    map: &'static str,
    kind: MapType,
    key_size: u32,
    value_size: u32,
    flags: u32,
    entries: Entries,
}

/// Number of entries of a pinned map.
#[derive(Debug)]
pub(super) enum Entries {
    /// A constant.
    Fixed(u32),
    /// One for each processor that the host may have.
    PerProcessor,
    /// As configured. A map of another size is discarded: its contents are worth minutes only, and
    /// are never taken over from another version.
    Configured,
    /// Any. When the map is outgrown, a larger one is added as the next epoch.
    Growing,
    /// As many times the entries of a growing map as it was created with, epoch by epoch.
    Multiple {
        /// The growing map.
        of: &'static PinnedMap,
    },
    /// A multiple of the entries of a growing map, epoch by epoch.
    PerEntry {
        /// The growing map.
        of: &'static PinnedMap,
        /// Entries for each of its entries.
        factor: u32,
    },
}

/// A pinned map, or the place of one.
#[derive(Debug, Clone)]
pub(in super::super) struct Pin {
    declared: &'static PinnedMap,
    path: PathBuf,
    /// Pin of the growing map that determines the entries of this one.
    beside: Option<PathBuf>,
}

/// A pinned array as words.
pub(in super::super) struct Words {
    /// The words.
    pub words: Mapped<u64>,
    /// Entries of the array.
    pub entries: u32,
}

/// One for each processor that the host may have.
///
/// # Errors
/// The number cannot be read.
pub(in super::super) fn rows_per_processor() -> Result<u32, DatapathError> {
    let (path, source) = match nr_cpus() {
        Ok(count) => return Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        Err(failed) => failed,
    };
    Err(DatapathError::Pin { path: path.into(), action: "read", source })
}

impl PinnedMap {
    /// An array that can be mapped into memory.
    pub(super) const fn array<V>(pin: &'static str, map: &'static str, entries: Entries) -> Self {
        Self::new(pin, map, MapType::Array, [4, size_of::<V>()], MMAPABLE, entries)
    }

    /// An array with one value for each processor.
    pub(super) const fn per_processor<V>(pin: &'static str, map: &'static str) -> Self {
        let sizes = [4, size_of::<V>()];
        Self::new(pin, map, MapType::PerCpuArray, sizes, 0, Entries::Fixed(1))
    }

    /// A hash that takes memory entry by entry.
    pub(super) const fn hash<K, V>(pin: &'static str, map: &'static str, entries: Entries) -> Self {
        Self::new(pin, map, MapType::Hash, [size_of::<K>(), size_of::<V>()], NO_PREALLOC, entries)
    }

    /// A ring buffer; its entries are bytes.
    pub(super) const fn ring(pin: &'static str, map: &'static str, entries: Entries) -> Self {
        Self::new(pin, map, MapType::RingBuf, [0, 0], 0, entries)
    }

    /// An LRU hash.
    pub(super) const fn lru_hash<K, V>(
        pin: &'static str,
        map: &'static str,
        entries: Entries,
    ) -> Self {
        Self::new(pin, map, MapType::LruHash, [size_of::<K>(), size_of::<V>()], 0, entries)
    }

    #[expect(clippy::cast_possible_truncation, reason = "sizes of a few bytes")]
    const fn new(
        pin: &'static str,
        map: &'static str,
        kind: MapType,
        [key_size, value_size]: [usize; 2],
        flags: u32,
        entries: Entries,
    ) -> Self {
        let (key_size, value_size) = (key_size as u32, value_size as u32);
        Self { pin, map, kind, key_size, value_size, flags, entries }
    }

    /// Name of the map in the programs.
    pub(in super::super) const fn name(&self) -> &'static str {
        self.map
    }

    /// `BPF_F_*` flags to create the map with.
    pub(in super::super) const fn flags(&self) -> u32 {
        self.flags
    }

    /// Name of its pin; `epoch` counts for maps that grow.
    pub(super) fn file(&self, epoch: u32) -> String {
        match self.entries {
            Entries::Growing | Entries::Multiple { .. } | Entries::PerEntry { .. } => {
                format!("{}_{epoch}", self.pin)
            }
            Entries::Fixed(_) | Entries::PerProcessor | Entries::Configured => self.pin.to_owned(),
        }
    }

    /// The epoch of a pin of this name, 0 for a map without epochs; `None` if it is of another map.
    pub(super) fn epoch(&self, name: &str) -> Option<u32> {
        match self.entries {
            Entries::Growing | Entries::Multiple { .. } | Entries::PerEntry { .. } => {
                name.strip_prefix(self.pin)?.strip_prefix('_')?.parse().ok()
            }
            Entries::Fixed(_) | Entries::PerProcessor | Entries::Configured => {
                (name == self.pin).then_some(0)
            }
        }
    }

    /// The growing map whose entries determine those of this one.
    pub(super) const fn beside(&self) -> Option<&'static Self> {
        match self.entries {
            Entries::Multiple { of } | Entries::PerEntry { of, .. } => Some(of),
            Entries::Fixed(_) | Entries::PerProcessor | Entries::Configured | Entries::Growing => {
                None
            }
        }
    }

    /// The map pinned at a path.
    pub(super) const fn at(&'static self, path: PathBuf, beside: Option<PathBuf>) -> Pin {
        Pin { declared: self, path, beside }
    }

    /// Whether a map of the kernel has this shape, with `beside` as the map that it grows with.
    pub(in super::super) fn is_shape_of(&self, info: &MapInfo, beside: Option<&MapInfo>) -> bool {
        let beside = beside.map(MapInfo::max_entries);
        let Ok(found) = Shape::of(info) else { return false };
        self.shape(beside).is_ok_and(|shape| shape.is_met_by(&found))
    }

    fn shape(&self, beside: Option<u32>) -> Result<Shape, DatapathError> {
        let entries = match self.entries {
            Entries::Fixed(entries) => Some(entries),
            Entries::PerProcessor => Some(rows_per_processor()?),
            Entries::Configured | Entries::Growing | Entries::Multiple { .. } => None,
            Entries::PerEntry { factor, .. } => beside.map(|of| of.saturating_mul(factor)),
        };
        let Self { kind, key_size, value_size, flags, .. } = *self;
        Ok(Shape { kind, key_size, value_size, flags, entries })
    }
}

impl Pin {
    /// Whether anything is pinned there.
    pub(in super::super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The kernel's id of the map, if one is pinned there.
    pub(in super::super) fn id(&self) -> Option<u32> {
        MapInfo::from_pin(&self.path).ok().map(|info| info.id())
    }

    /// Compares what is pinned with the declaration; `None` if nothing is pinned.
    ///
    /// # Errors
    /// The map cannot be opened, or has another shape.
    pub(in super::super) fn check(&self) -> Result<Option<MapInfo>, DatapathError> {
        if !self.exists() {
            return Ok(None);
        }
        let failed = || DatapathError::map(self.declared.map, "open");
        let info = MapInfo::from_pin(&self.path).map_err(failed())?;
        let found = Shape::of(&info).map_err(failed())?;
        let expected = self.shape()?;
        if expected.is_met_by(&found) {
            return Ok(Some(info));
        }
        Err(DatapathError::Incompatible {
            path: self.path.clone(),
            found: found.to_string(),
            expected: expected.to_string(),
        })
    }

    /// Whether a map that another version pinned there serves this version.
    pub(super) fn is_inheritable(&self) -> bool {
        let lasts = !matches!(self.declared.entries, Entries::Configured);
        lasts && matches!(self.check(), Ok(Some(_)))
    }

    /// Opens the map; `None` if nothing is pinned.
    ///
    /// # Errors
    /// The map cannot be opened, or has another shape.
    pub(in super::super) fn open(&self) -> Result<Option<MapData>, DatapathError> {
        if self.check()?.is_none() {
            return Ok(None);
        }
        self.checked().map(Some)
    }

    /// Opens the map, which must be pinned.
    ///
    /// # Errors
    /// The map is not pinned, cannot be opened, or has another shape.
    pub(in super::super) fn require(&self) -> Result<MapData, DatapathError> {
        self.check()?;
        self.checked()
    }

    /// Opens an array as words; `None` if nothing is pinned.
    ///
    /// # Errors
    /// The map cannot be opened or mapped, or has another shape.
    pub(in super::super) fn words(&self) -> Result<Option<Words>, DatapathError> {
        let Some(info) = self.check()? else { return Ok(None) };
        let map = self.checked()?;
        let entries = info.max_entries();
        let len = entries as usize * (self.declared.value_size as usize / size_of::<u64>());
        Ok(Some(Words { words: Mapped::new(self.declared.map, &map, len)?, entries }))
    }

    /// Makes programs use the map: the pinned one, or one that is created with `entries` and pinned.
    ///
    /// # Errors
    /// The pinned map has another shape, or cannot be removed where it has another configured size.
    pub(in super::super) fn bind(
        &self,
        loader: &mut EbpfLoader<'_>,
        entries: u32,
    ) -> Result<(), DatapathError> {
        let pinned = self.check()?.map(|info| info.max_entries());
        let is_configured = matches!(self.declared.entries, Entries::Configured);
        if is_configured && pinned.is_some_and(|pinned| pinned != entries) {
            self.remove()?;
        }
        loader.map_max_entries(self.declared.map, entries);
        loader.map_pin_path(self.declared.map, self.path.clone());
        Ok(())
    }

    /// Pins a map that was created for this place.
    ///
    /// # Errors
    /// The kernel does not pin it.
    pub(in super::super) fn pin(
        &self,
        map: impl FnOnce(&Path) -> Result<(), PinError>,
    ) -> Result<(), DatapathError> {
        map(&self.path).map_err(unpinned(&self.path))
    }

    /// Pins a map that programs use, in place of whatever is pinned there.
    ///
    /// # Errors
    /// The kernel does not give or pin it.
    pub(in super::super) fn replace(&self, id: u32) -> Result<(), DatapathError> {
        let map = MapData::from_id(id).map_err(DatapathError::map(self.declared.map, "open"))?;
        let failed = |path: &Path, action| {
            let path = path.to_owned();
            move |source| DatapathError::Pin { path, action, source }
        };
        // Atomically, so that a crash leaves the old pin or the new one.
        let mut beside = self.path.clone().into_os_string();
        beside.push("_new");
        let beside = PathBuf::from(beside);
        if beside.exists() {
            fs::remove_file(&beside).map_err(failed(&beside, "remove"))?;
        }
        map.pin(&beside).map_err(unpinned(&beside))?;
        fs::rename(&beside, &self.path).map_err(failed(&self.path, "replace"))
    }

    /// Removes the pin, if there is one.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(in super::super) fn remove(&self) -> Result<(), DatapathError> {
        if !self.exists() {
            return Ok(());
        }
        fs::remove_file(&self.path).map_err(|source| DatapathError::Pin {
            path: self.path.clone(),
            action: "remove",
            source,
        })
    }

    /// Opens the map, which was checked.
    fn checked(&self) -> Result<MapData, DatapathError> {
        MapData::from_pin(&self.path).map_err(DatapathError::map(self.declared.map, "open"))
    }

    fn shape(&self) -> Result<Shape, DatapathError> {
        let beside = self.beside.as_ref().and_then(|path| MapInfo::from_pin(path).ok());
        self.declared.shape(beside.map(|info| info.max_entries()))
    }
}

fn unpinned(path: &Path) -> impl FnOnce(PinError) -> DatapathError {
    let path = path.to_owned();
    move |source| DatapathError::Pinning { path, source: Box::new(source) }
}
