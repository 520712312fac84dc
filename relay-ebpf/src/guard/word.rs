//! Words of map values that several processors write to.

use core::arch::asm;

use relay_common::bucket::Word;

/// A word of a map value.
#[derive(Clone, Copy)]
pub struct MapWord(*mut u64);

impl MapWord {
    /// A word of a map value. In an LRU hash another entry may have taken its place, whose bucket
    /// then loses a token.
    #[inline(always)]
    pub fn new(word: *mut u64) -> Self {
        Self(word)
    }
}

impl Word for MapWord {
    #[inline(always)]
    fn get(&self) -> u64 {
        // SAFETY: a word of a map value, which lives as long as the program.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    fn replace(&self, old: u64, new: u64) -> Result<(), u64> {
        let mut found = old;
        // SAFETY: as above; one instruction (kernel 5.12).
        unsafe {
            asm!("r0 = cmpxchg_64({word} + 0, r0, {new})", word = in(reg) self.0, new = in(reg) new, inout("r0") found);
        }
        if found == old { Ok(()) } else { Err(found) }
    }
}
