//! Whether the lists of two classes hold each other.

use bytemuck::{Pod, Zeroable};

use crate::Leaf;

/// The two bits of a class pair, marked with the tag of the source class they belong to.
///
/// Rows of the class matrix are displaced into one array so that they interlock; the tag tells
/// whose cell it is. All zeros is an empty cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Pair(u32);

/// What a pair says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// Neither list holds the other.
    Neither,
    /// Only the sender's list holds the receiver.
    Source,
    /// Only the receiver's list holds the sender.
    Destination,
    /// Both.
    Both,
}

/// Bit: the sender's list holds the receiver.
pub const SOURCE_LISTS: u32 = 1;
/// Bit: the receiver's list holds the sender.
pub const DESTINATION_LISTS: u32 = 2;

const BITS: u32 = 3;

impl Pair {
    /// An empty cell.
    pub const EMPTY: Self = Self(0);

    /// The tag of a class, of which there are at most 2^30 - 1: never zero, its two lowest bits
    /// clear.
    pub const fn tag(class: u32) -> u32 {
        (class + 1) << 2
    }

    /// A cell of the class with this tag.
    pub const fn new(tag: u32, bits: u32) -> Self {
        Self(tag | bits)
    }

    /// Whether nothing was stored here.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether both lists hold each other, in one comparison.
    #[inline(always)]
    pub const fn is_mutual(&self, source: &Leaf) -> bool {
        // In 64 bits: the target compares no fewer without clearing the upper half first.
        self.0 as u64 ^ source.tag() as u64 == BITS as u64
    }

    /// What the cell says for a source; a cell of another class says [`Lists::Neither`].
    #[inline(always)]
    pub const fn lists(&self, source: &Leaf) -> Lists {
        match self.0 ^ source.tag() {
            1 => Lists::Source,
            2 => Lists::Destination,
            BITS => Lists::Both,
            _ => Lists::Neither,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_never_written_refuses() {
        assert!(!Pair::EMPTY.is_mutual(&Leaf::NOBODY));
        assert_eq!(Pair::EMPTY.lists(&Leaf::NOBODY), Lists::Neither);
        let mutual = Pair::new(Pair::tag(0), SOURCE_LISTS | DESTINATION_LISTS);
        assert!(!mutual.is_mutual(&Leaf::NOBODY));
    }

    #[test]
    fn a_cell_speaks_for_its_own_class_only() {
        let cell = Pair::new(Pair::tag(7), SOURCE_LISTS | DESTINATION_LISTS);
        assert!(cell.is_mutual(&Leaf::new(1, 0, 0, Pair::tag(7))));
        for class in [0, 6, 8, 1 << 29] {
            assert_eq!(cell.lists(&Leaf::new(1, 0, 0, Pair::tag(class))), Lists::Neither);
        }
    }
}
