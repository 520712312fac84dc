//! Cells of the class matrix: whether the lists of two classes contain each other, or rules decide.

use bytemuck::{Pod, Zeroable};

use crate::Leaf;

/// Three bits for a source class and a destination class, marked with the tag of the source class.
///
/// Rows of the class matrix are displaced into one array so that they interlock; the tag tells
/// which row a cell belongs to. All zeros is an empty cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Cell(u32);

/// What the lists say about a source and a destination, or that rules decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// Neither list.
    Neither,
    /// Only the sender's list contains the receiver.
    Source,
    /// Only the receiver's list contains the sender.
    Destination,
    /// Both lists.
    Both,
    /// At most one list, but rules let one side begin something with the other.
    Ruled,
}

/// Bit: the sender's list contains the receiver.
pub const SOURCE_LISTS: u32 = 1;
/// Bit: the receiver's list contains the sender.
pub const DESTINATION_LISTS: u32 = 2;
/// Bit: rules decide. Never set where both lists contain each other.
pub const RULED: u32 = 4;

const MUTUAL: u32 = SOURCE_LISTS | DESTINATION_LISTS;

impl Cell {
    /// An empty cell.
    pub const EMPTY: Self = Self(0);

    /// The tag of a class, of which there are at most 2^29 - 1: never zero, its three lowest bits
    /// clear.
    pub const fn tag(class: u32) -> u32 {
        (class + 1) << 3
    }

    /// A cell in the row of the class with this tag.
    pub const fn new(tag: u32, bits: u32) -> Self {
        Self(tag | bits)
    }

    /// Whether the cell belongs to no row.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Its number, in 64 bits: a comparison of 32 bits makes the target clear the upper half first.
    #[inline(always)]
    pub const fn number(&self) -> u64 {
        self.0 as u64
    }

    /// Whether both lists contain each other.
    #[inline(always)]
    pub const fn is_mutual(&self, source: &Leaf) -> bool {
        is_mutual(self.number(), source)
    }

    /// Whether rules decide.
    #[inline(always)]
    pub const fn is_ruled(&self, source: &Leaf) -> bool {
        is_ruled(self.number(), source)
    }

    /// The lists, for this source; a cell of another row is [`Lists::Neither`].
    #[inline(always)]
    pub const fn lists(&self, source: &Leaf) -> Lists {
        match self.0 ^ source.tag() {
            1 => Lists::Source,
            2 => Lists::Destination,
            MUTUAL => Lists::Both,
            4..=6 => Lists::Ruled,
            _ => Lists::Neither,
        }
    }
}

/// Whether both lists contain each other, by [`Cell::number`], in one comparison.
#[inline(always)]
pub const fn is_mutual(cell: u64, source: &Leaf) -> bool {
    cell ^ source.tag() as u64 == MUTUAL as u64
}

/// Whether rules decide, by [`Cell::number`], in one comparison.
#[inline(always)]
pub const fn is_ruled(cell: u64, source: &Leaf) -> bool {
    (cell ^ source.tag() as u64).wrapping_sub(RULED as u64) < MUTUAL as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_never_written_allows_nothing() {
        assert!(!Cell::EMPTY.is_mutual(&Leaf::NOBODY));
        assert_eq!(Cell::EMPTY.lists(&Leaf::NOBODY), Lists::Neither);
        let mutual = Cell::new(Cell::tag(0), SOURCE_LISTS | DESTINATION_LISTS);
        assert!(!mutual.is_mutual(&Leaf::NOBODY));
    }

    #[test]
    fn rules_decide_only_where_the_bit_is_set_and_never_on_the_fast_path() {
        let leaf = Leaf::new(1, 0, 0, Cell::tag(7));
        for lists in [0, SOURCE_LISTS, DESTINATION_LISTS] {
            let cell = Cell::new(Cell::tag(7), lists | RULED);
            assert_eq!(cell.lists(&leaf), Lists::Ruled);
            assert!(cell.is_ruled(&leaf) && !cell.is_mutual(&leaf));
            let cell = Cell::new(Cell::tag(7), lists);
            assert!(!cell.is_ruled(&leaf));
        }
        assert!(!Cell::new(Cell::tag(7), MUTUAL).is_ruled(&leaf));
        assert!(!Cell::new(Cell::tag(7), MUTUAL | RULED).is_ruled(&leaf));
    }

    #[test]
    fn a_cell_counts_for_its_own_class_only() {
        let cell = Cell::new(Cell::tag(7), SOURCE_LISTS | DESTINATION_LISTS);
        assert!(cell.is_mutual(&Leaf::new(1, 0, 0, Cell::tag(7))));
        for class in [0, 6, 8, (1 << 29) - 2] {
            assert_eq!(cell.lists(&Leaf::new(1, 0, 0, Cell::tag(class))), Lists::Neither);
        }
    }
}
