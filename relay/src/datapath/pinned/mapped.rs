//! Arrays of the kernel mapped into this process's memory, filled and read without system calls. The
//! only file with pointers into them.

use std::{
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aya::maps::MapData;
use bytemuck::Pod;
use memmap2::{MmapOptions, MmapRaw};

use super::super::DatapathError;

/// An array map (`BPF_F_MMAPABLE`, kernel 5.5) with elements `T`.
pub(in super::super) struct Mapped<T> {
    memory: MmapRaw,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Pod> Mapped<T> {
    /// Maps an array of `len` elements. The kernel aligns elements to 8 bytes, so the size of `T` must
    /// be a multiple of that.
    pub(in super::super) fn new(
        name: &str,
        map: &MapData,
        len: usize,
    ) -> Result<Self, DatapathError> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let memory = MmapOptions::new()
            .len(len * size_of::<T>())
            .map_raw(map.fd().as_fd().as_raw_fd())
            .map_err(|source| DatapathError::Mmap { map: name.to_owned(), source })?;
        Ok(Self { memory, len, element: PhantomData })
    }

    /// Fills the array from the start, before any program uses it.
    pub(in super::super) fn fill(&mut self, elements: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        let len = bytes.len().min(self.len * size_of::<T>());
        // SAFETY: `len` bytes are inside the mapping, and nothing else in this process points into
        // it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.as_mut_ptr(), len) };
    }
}

/// The one element of an array map with this id of the kernel, in whole words.
pub(in super::super) fn only<T: Pod>(name: &'static str, id: u32) -> Result<T, DatapathError> {
    const { assert!(size_of::<T>().is_multiple_of(size_of::<u64>())) };
    let map = MapData::from_id(id).map_err(DatapathError::map(name, "read"))?;
    let mapped = Mapped::<u64>::new(name, &map, size_of::<T>() / size_of::<u64>())?;
    let words: Vec<u64> = (0..mapped.len).filter_map(|word| mapped.get(word)).collect();
    Ok(bytemuck::pod_read_unaligned(bytemuck::cast_slice(&words)))
}

impl Mapped<u64> {
    /// A word, which programs may change meanwhile.
    pub(in super::super) fn get(&self, index: usize) -> Option<u64> {
        self.word(index).map(|word| word.load(Relaxed))
    }

    /// Sets a word to zero.
    pub(in super::super) fn clear(&self, index: usize) {
        self.set(index, 0);
    }

    /// Sets a word.
    pub(in super::super) fn set(&self, index: usize, value: u64) {
        if let Some(word) = self.word(index) {
            word.store(value, Relaxed);
        }
    }

    /// Replaces a word, unless it is not `old` any more.
    pub(in super::super) fn replace(&self, index: usize, old: u64, new: u64) {
        if let Some(word) = self.word(index) {
            let _changed_meanwhile = word.compare_exchange(old, new, Relaxed, Relaxed);
        }
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.len {
            return None;
        }
        // SAFETY: inside the mapping, which is page-aligned and lives as long as `self`; programs
        // change the words, so they are accessed by atomics only.
        Some(unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().cast::<u64>().add(index)) })
    }
}
