//! What the policy knows about an address.

use bytemuck::{Pod, Zeroable};

use crate::{Reason, counters::UNATTRIBUTED_SLOT};

/// A leaf of the address space: all its addresses have one owner and equal permissions.
///
/// All zeros is an address that nobody owns and no list contains, so an entry that was never written
/// allows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Leaf {
    /// Slot of the owning peer, [`UNATTRIBUTED_SLOT`] for nobody, or a special owner.
    slot: u32,
    /// Where the row of its class starts in the array of cells.
    row: u32,
    /// Column of its class in every row.
    column: u32,
    /// Tag of its class, which the cells of its row carry.
    tag: u32,
}

const _: () = assert!(size_of::<Leaf>() == 16);

/// Slots from here on stand for special owners.
const FIRST_SPECIAL: u32 = 0xffff_ff00;

/// An owner other than a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Special {
    /// An address of the relay itself.
    Host = FIRST_SPECIAL,
    /// Multicast.
    Multicast,
    /// Broadcast.
    Broadcast,
    /// Link-local.
    LinkLocal,
    /// Loopback, unspecified, IPv4-mapped, reserved.
    Reserved,
    /// An address of the overlay that no peer owns.
    Vacant,
}

/// Owner of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A peer, by its slot.
    Peer(u32),
    /// A disabled peer.
    Disabled,
    /// Nobody.
    Nobody,
    /// Nobody, in the overlay.
    Vacant,
    /// The relay itself.
    Host,
    /// None that packets are ever relayed from or to, and why.
    Never(Reason),
}

impl Leaf {
    /// Tag of a disabled peer. Cells carry no such tag: its lowest bits are set.
    const DISABLED: u32 = u32::MAX;

    /// An address that nobody owns and no list contains.
    pub const NOBODY: Self = Self { slot: UNATTRIBUTED_SLOT, row: 0, column: 0, tag: 0 };

    /// A leaf of a class. `slot` is [`UNATTRIBUTED_SLOT`] if lists contain it but nobody owns it.
    pub const fn new(slot: u32, row: u32, column: u32, tag: u32) -> Self {
        Self { slot, row, column, tag }
    }

    /// A leaf of a disabled peer, whatever lists and rules contain.
    pub const fn disabled(slot: u32) -> Self {
        Self { slot, row: 0, column: 0, tag: Self::DISABLED }
    }

    /// A leaf with a special owner, whatever the lists contain.
    pub const fn special(special: Special) -> Self {
        Self { slot: special as u32, row: 0, column: 0, tag: 0 }
    }

    /// A leaf of the relay itself, whose membership in lists is in this column.
    pub const fn host(column: u32) -> Self {
        Self { slot: Special::Host as u32, row: 0, column, tag: 0 }
    }

    /// Slot of the owner.
    #[inline(always)]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Tag of its class, as in [`crate::Cell::new`].
    #[inline(always)]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// Index of the cell of (self, destination).
    #[inline(always)]
    pub const fn cell_index(&self, destination: &Self) -> u64 {
        self.row as u64 + destination.column as u64
    }

    /// Slot that dropped packets from this leaf count under.
    #[inline(always)]
    pub const fn counted_slot(&self) -> u32 {
        if self.slot < FIRST_SPECIAL { self.slot } else { UNATTRIBUTED_SLOT }
    }

    /// Owner of the addresses.
    #[inline(always)]
    pub const fn owner(&self) -> Owner {
        const MULTICAST: u32 = Special::Multicast as u32;
        const BROADCAST: u32 = Special::Broadcast as u32;
        const LINK_LOCAL: u32 = Special::LinkLocal as u32;
        const VACANT: u32 = Special::Vacant as u32;
        match self.slot {
            UNATTRIBUTED_SLOT => Owner::Nobody,
            _ if self.tag == Self::DISABLED => Owner::Disabled,
            slot if slot < FIRST_SPECIAL => Owner::Peer(slot),
            FIRST_SPECIAL => Owner::Host,
            MULTICAST => Owner::Never(Reason::Multicast),
            BROADCAST => Owner::Never(Reason::Broadcast),
            LINK_LOCAL => Owner::Never(Reason::LinkLocal),
            VACANT => Owner::Vacant,
            _ => Owner::Never(Reason::ReservedAddress),
        }
    }
}
