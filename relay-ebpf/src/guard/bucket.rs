//! Buckets in map values, which several processors take from.

use core::arch::asm;

use relay_common::guard::Bucket;

/// Where the number of a bucket lies.
#[derive(Clone, Copy)]
pub struct Place(*mut u64);

impl Place {
    /// A word of a map value. Something else may have taken its place in the table, which then has
    /// a token less.
    #[inline(always)]
    pub fn new(word: *mut u64) -> Self {
        Self(word)
    }
}

impl Bucket for Place {
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
            asm!("r0 = cmpxchg_64({place} + 0, r0, {new})", place = in(reg) self.0, new = in(reg) new, inout("r0") found);
        }
        if found == old { Ok(()) } else { Err(found) }
    }
}
