//! The policy's tables: read-only data of the program, which it reads without a call and without a
//! null check.
//!
//! Each is declared here with one entry. The loader replaces them by the policy's tables, and sets
//! their sizes in [`crate::settings`]; the verifier checks that no index is out of bounds.

use core::arch::asm;

use relay_common::{
    Cell, Leaf,
    limits::Limits,
    rules::{Directions, Grant, RuleSet},
    service,
};

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

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.dirs")]
static DIRECTIONS: Directions = Directions { forward: 0, backward: 0 };

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.sets")]
static RULE_SETS: RuleSet = RuleSet::new(0, 0);

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.grants")]
static GRANTS: Grant = Grant::new(0, 0);

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.services")]
static SERVICES: u16 = 0;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.ends")]
static RULE_ENDS: u64 = 0;

#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.limits")]
static LIMITS: Limits = Limits::NONE;

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

/// The place of a cell in the table.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Place(u64);

impl Place {
    /// Where the cell of two leaves' classes is; `None` behind the end.
    #[inline(always)]
    pub fn of(source: &Leaf, destination: &Leaf) -> Option<Self> {
        let index = source.cell_index(destination);
        if index > settings::last_cell().into() {
            return None;
        }
        Some(Self(index))
    }

    /// The cell.
    #[inline(always)]
    pub fn cell(&self) -> Cell {
        let start: *const Cell = start_of!(CELLS);
        // SAFETY: the table has LAST_CELL + 1 entries, as the verifier checks.
        unsafe { *start.wrapping_add(self.0 as usize) }
    }

    /// Its rule sets, if there are rules.
    #[inline(always)]
    pub fn directions(&self) -> Directions {
        let start: *const Directions = start_of!(DIRECTIONS);
        // SAFETY: with rules the table is as long as that of cells, as the verifier checks.
        unsafe { *start.wrapping_add(self.0 as usize) }
    }
}

/// The cell of two leaves' classes.
#[inline(always)]
pub fn cell(source: &Leaf, destination: &Leaf) -> Cell {
    Place::of(source, destination).map_or(Cell::EMPTY, |place| place.cell())
}

/// The rule sets of two leaves' classes; empty ones unless rules decide between them.
#[inline(always)]
pub fn directions(source: &Leaf, destination: &Leaf) -> Directions {
    match Place::of(source, destination) {
        Some(place) if place.cell().is_ruled(source) => place.directions(),
        Some(_) | None => Directions { forward: 0, backward: 0 },
    }
}

/// The number, which the compiler knows nothing about any more.
///
/// VERIFIER: it would compare the number and use its wider source as index, whose bounds the verifier
/// does not know.
#[inline(always)]
pub fn opaque(mut number: u64) -> u64 {
    // SAFETY: copies a register to itself.
    unsafe { asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack)) };
    number
}

/// The class of a service.
#[inline(always)]
pub fn service_class(index: u32) -> u16 {
    let index = opaque(index.into());
    if index >= service::COUNT.into() {
        return 0;
    }
    let start: *const u16 = start_of!(SERVICES);
    // SAFETY: the table has service::COUNT entries if there are rules, as the verifier checks.
    unsafe { *start.wrapping_add(index as usize) }
}

/// A rule set.
#[inline(always)]
pub fn rule_set(number: u16) -> RuleSet {
    let number = opaque(number.into());
    if number > settings::last_set().into() {
        return RuleSet::new(0, 0);
    }
    let start: *const RuleSet = start_of!(RULE_SETS);
    // SAFETY: the table has LAST_SET + 1 entries, as the verifier checks.
    unsafe { *start.wrapping_add(number as usize) }
}

/// A grant.
#[inline(always)]
pub fn grant(index: u64) -> Grant {
    if index > settings::last_grant().into() {
        return Grant::new(0, 0);
    }
    let start: *const Grant = start_of!(GRANTS);
    // SAFETY: the table has LAST_GRANT + 1 entries, as the verifier checks.
    unsafe { *start.wrapping_add(index as usize) }
}

/// When a rule ends, nanoseconds of TAI; `u64::MAX` is never. A rule that is not there has ended.
#[inline(always)]
pub fn rule_ends(rule: u32) -> u64 {
    let rule = opaque(rule.into());
    if rule > settings::last_rule().into() {
        return 0;
    }
    let start: *const u64 = start_of!(RULE_ENDS);
    // SAFETY: the table has LAST_RULE + 1 entries, as the verifier checks.
    unsafe { *start.wrapping_add(rule as usize) }
}

/// Whether both slots have limits.
#[inline(always)]
pub fn have_limits([one, other]: [u64; 2]) -> bool {
    let last = settings::last_slot().into();
    one <= last && other <= last
}

/// The limits of a slot that has some.
///
/// VERIFIER: computed here, and not where it is used. The compiler would keep the slot on the stack
/// until then, and 6.1 forgets there that it was compared with the end of the table.
#[inline(always)]
pub fn limits(slot: u64) -> &'static Limits {
    let start: *const Limits = start_of!(LIMITS);
    let offset = slot * size_of::<Limits>() as u64;
    let mut at = start as u64;
    // SAFETY: adds to a register.
    unsafe { asm!("{0} += {1}", inout(reg) at, in(reg) offset, options(nomem, nostack)) };
    // SAFETY: if peers have limits, the table has LAST_SLOT + 1 entries, as the verifier checks.
    unsafe { &*(at as *const Limits) }
}
