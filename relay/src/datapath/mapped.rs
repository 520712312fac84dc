//! Arrays of the kernel in this process's memory: filled and read without a system call for each
//! element. The only file with pointers into them.

use std::{
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aya::maps::MapData;
use bytemuck::Pod;
use memmap2::{MmapOptions, MmapRaw};

use super::DatapathError;

/// An array map (`BPF_F_MMAPABLE`, kernel 5.5) whose elements are `T`.
pub(super) struct Mapped<T> {
    memory: MmapRaw,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Pod> Mapped<T> {
    /// Maps an array of `len` elements. The kernel places elements at multiples of 8 bytes, of
    /// which every `T` here is one.
    pub(super) fn new(name: &str, map: &MapData, len: usize) -> Result<Self, DatapathError> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let memory = MmapOptions::new()
            .len(len * size_of::<T>())
            .map_raw(map.fd().as_fd().as_raw_fd())
            .map_err(|source| DatapathError::Mmap { map: name.to_owned(), source })?;
        Ok(Self { memory, len, element: PhantomData })
    }

    /// Fills the array from its start, before any program uses it.
    pub(super) fn fill(&mut self, elements: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        let len = bytes.len().min(self.len * size_of::<T>());
        // SAFETY: `len` bytes are inside the mapping, which nothing else in this process points
        // into.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.as_mut_ptr(), len) };
    }
}

impl Mapped<u64> {
    /// A word that programs may be adding to.
    pub(super) fn get(&self, index: usize) -> Option<u64> {
        self.word(index).map(|word| word.load(Relaxed))
    }

    /// Sets a word to zero.
    pub(super) fn clear(&self, index: usize) {
        if let Some(word) = self.word(index) {
            word.store(0, Relaxed);
        }
    }

    fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.len {
            return None;
        }
        // SAFETY: inside the mapping, which is aligned to a page and lives as long as `self`;
        // programs access the words with atomic adds only.
        Some(unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().cast::<u64>().add(index)) })
    }
}
