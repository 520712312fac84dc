//! The policy's tables: read-only data of the program, which it reads without a call and without a
//! null check.
//!
//! Each is declared here with one entry. The loader replaces them by the policy's tables, and sets
//! their sizes in [`crate::settings`]; the verifier checks that no index is out of bounds.

use core::arch::asm;

use relay_common::{Cell, Leaf};

use crate::settings;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.v4")]
static LEAVES_V4: Leaf = Leaf::NOBODY;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.v6")]
static LEAVES_V6: Leaf = Leaf::NOBODY;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.cells")]
static CELLS: Cell = Cell::EMPTY;

/// The address of a table, hidden from the compiler, which would otherwise assume that the one
/// declared entry is all there is.
macro_rules! start_of {
    ($table:ident) => {{
        let start;
        // SAFETY: loads the address of a static into a register.
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
/// Indices are 64 bits wide: the target would clear the upper half of a register after every 32-bit
/// operation. An address below the base wraps to far above the mask.
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
    /// Reads the settings, once for both addresses of a packet.
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
        // SAFETY: the table has V4_HOST_MASK + 1 entries, as the verifier checks.
        Some(unsafe { &*start.wrapping_add(index as usize) })
    }
}

impl RangeV6 {
    /// Reads the settings, once for both addresses of a packet.
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
        // SAFETY: the table has V6_HOST_MASK + 1 entries, as the verifier checks.
        Some(unsafe { &*start.wrapping_add(index as usize) })
    }
}

/// The cell of two leaves' classes.
#[inline(always)]
pub fn cell(source: &Leaf, destination: &Leaf) -> Cell {
    let index = source.cell_index(destination);
    if index > settings::last_cell().into() {
        return Cell::EMPTY;
    }
    let start: *const Cell = start_of!(CELLS);
    // SAFETY: the table has LAST_CELL + 1 entries, as the verifier checks.
    unsafe { *start.wrapping_add(index as usize) }
}
