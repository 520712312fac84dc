//! The policy's tables: read-only data of the program, which the verifier lets be read without a
//! call and without a test for null.
//!
//! What is declared here is the least of each. The loader puts the policy's own tables in their
//! place, and their sizes into [`crate::settings`]; the verifier sees that no index leaves them.

use core::arch::asm;

use relay_common::{Leaf, Pair};

use crate::settings;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.v4")]
static LEAVES_V4: Leaf = Leaf::NOBODY;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.v6")]
static LEAVES_V6: Leaf = Leaf::NOBODY;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.pairs")]
static PAIRS: Pair = Pair::EMPTY;

/// The address of a table, of which the compiler knows nothing: it would otherwise hold that the
/// one entry declared is all there is.
macro_rules! start_of {
    ($table:ident) => {{
        let start;
        // SAFETY: puts the address of a static into a register.
        unsafe {
            asm!(
                "{start} = {table} ll",
                start = out(reg) start,
                table = sym $table,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        start
    }};
}

/// The IPv4 addresses that are in the array.
///
/// Indices are computed in 64 bits, since the target must clear the upper half of a register after
/// every computation in 32; an address below the base wraps to far above the mask.
#[derive(Clone, Copy)]
pub struct RangeV4 {
    base: u64,
    mask: u64,
}

/// The IPv6 addresses that are in the array.
#[derive(Clone, Copy)]
pub struct RangeV6 {
    base_high: u64,
    base_low: u64,
    mask: u64,
}

impl RangeV4 {
    /// Read once for both addresses of a packet.
    #[inline(always)]
    pub fn read() -> Self {
        Self { base: settings::v4_base().into(), mask: settings::v4_host_mask().into() }
    }

    /// The leaf of an address in host order, if it is in the range.
    #[inline(always)]
    pub fn leaf(&self, address: u32) -> Option<&'static Leaf> {
        let index = u64::from(address).wrapping_sub(self.base);
        if index > self.mask {
            return None;
        }
        let start: *const Leaf = start_of!(LEAVES_V4);
        // SAFETY: the table has V4_HOST_MASK + 1 entries; the verifier checks that.
        Some(unsafe { &*start.wrapping_add(index as usize) })
    }
}

impl RangeV6 {
    /// Read once for both addresses of a packet.
    #[inline(always)]
    pub fn read() -> Self {
        Self {
            base_high: settings::v6_base_high(),
            base_low: settings::v6_base_low(),
            mask: settings::v6_host_mask().into(),
        }
    }

    /// The leaf of an address in host order, upper and lower half, if it is in the range.
    #[inline(always)]
    pub fn leaf(&self, [high, low]: [u64; 2]) -> Option<&'static Leaf> {
        let index = low.wrapping_sub(self.base_low);
        if high != self.base_high || index > self.mask {
            return None;
        }
        let start: *const Leaf = start_of!(LEAVES_V6);
        // SAFETY: the table has V6_HOST_MASK + 1 entries; the verifier checks that.
        Some(unsafe { &*start.wrapping_add(index as usize) })
    }
}

/// What the lists of two leaves' classes say.
#[inline(always)]
pub fn pair(source: &Leaf, destination: &Leaf) -> Pair {
    let index = source.pair_index(destination);
    if index > settings::last_pair().into() {
        return Pair::EMPTY;
    }
    let start: *const Pair = start_of!(PAIRS);
    // SAFETY: the table has LAST_PAIR + 1 entries; the verifier checks that.
    unsafe { *start.wrapping_add(index as usize) }
}
