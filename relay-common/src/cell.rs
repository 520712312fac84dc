//! Cells of the class matrix: whether the lists of two classes contain each other, or rules decide.

use bytemuck::{Pod, Zeroable};

use crate::Leaf;

/// Four bits for a source class and a destination class, marked with the tag of the source class.
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
/// Bit: what the sender sends or what the receiver gets is limited.
pub const LIMITED: u32 = 8;

const MUTUAL: u32 = SOURCE_LISTS | DESTINATION_LISTS;

impl Cell {
    /// An empty cell.
    pub const EMPTY: Self = Self(0);

    /// The tag of a class, of which there are at most 2^28 - 1: never zero, its four lowest bits
    /// clear.
    pub const fn tag(class: u32) -> u32 {
        (class + 1) << 4
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

    /// Whether rules decide.
    #[inline(always)]
    pub const fn is_ruled(&self, source: &Leaf) -> bool {
        matches!(self.lists(source), Lists::Ruled)
    }

    /// The lists, for this source; a cell of another row is [`Lists::Neither`].
    #[inline(always)]
    pub const fn lists(&self, source: &Leaf) -> Lists {
        match (self.0 ^ source.tag()) & !LIMITED {
            1 => Lists::Source,
            2 => Lists::Destination,
            MUTUAL => Lists::Both,
            4..=6 => Lists::Ruled,
            _ => Lists::Neither,
        }
    }
}

/// The bits of a cell, by [`Cell::number`], for this source; 16 or more for a cell of another row.
#[inline(always)]
pub const fn bits(cell: u64, source: &Leaf) -> u64 {
    cell ^ source.tag() as u64
}

/// Whether both lists contain each other and nothing is limited, by [`bits`], in one comparison.
#[inline(always)]
pub const fn is_mutual(bits: u64) -> bool {
    bits == MUTUAL as u64
}

/// The same with limits.
#[inline(always)]
pub const fn is_limited_mutual(bits: u64) -> bool {
    bits == (MUTUAL | LIMITED) as u64
}

/// Whether rules decide and nothing is limited, by [`bits`], in one comparison.
#[inline(always)]
pub const fn is_ruled(bits: u64) -> bool {
    bits.wrapping_sub(RULED as u64) < MUTUAL as u64
}

/// The same with limits.
#[inline(always)]
pub const fn is_limited_ruled(bits: u64) -> bool {
    bits.wrapping_sub((RULED | LIMITED) as u64) < MUTUAL as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The comparisons of the fast path, in their order, for a source of class 7.
    fn compared(cell: Cell) -> [bool; 4] {
        let leaf = Leaf::new(1, 0, 0, Cell::tag(7));
        [is_mutual, is_ruled, is_limited_mutual, is_limited_ruled]
            .map(|compare| compare(bits(cell.number(), &leaf)))
    }

    #[test]
    fn an_entry_never_written_allows_nothing() {
        assert_eq!(Cell::EMPTY.lists(&Leaf::NOBODY), Lists::Neither);
        let mutual = Cell::new(Cell::tag(0), MUTUAL);
        for cell in [Cell::EMPTY, mutual] {
            assert!(!is_mutual(bits(cell.number(), &Leaf::NOBODY)));
        }
    }

    #[test]
    fn one_comparison_at_most_holds_for_a_cell() {
        let leaf = Leaf::new(1, 0, 0, Cell::tag(7));
        let one = |place: usize| core::array::from_fn(|at| at == place);
        for lists in [0, SOURCE_LISTS, DESTINATION_LISTS] {
            for (limited, place) in [(0, 1), (LIMITED, 3)] {
                let cell = Cell::new(Cell::tag(7), lists | RULED | limited);
                assert_eq!(cell.lists(&leaf), Lists::Ruled);
                assert_eq!(compared(cell), one(place));
                let cell = Cell::new(Cell::tag(7), lists | limited);
                assert_eq!(compared(cell), [false; 4]);
            }
        }
        for (limited, place) in [(0, 0), (LIMITED, 2)] {
            let cell = Cell::new(Cell::tag(7), MUTUAL | limited);
            assert_eq!((cell.lists(&leaf), compared(cell)), (Lists::Both, one(place)));
            let never = Cell::new(Cell::tag(7), MUTUAL | RULED | limited);
            assert_eq!((never.lists(&leaf), compared(never)), (Lists::Neither, [false; 4]));
        }
    }

    #[test]
    fn a_cell_counts_for_its_own_class_only() {
        let cell = Cell::new(Cell::tag(7), MUTUAL);
        assert_eq!(cell.lists(&Leaf::new(1, 0, 0, Cell::tag(7))), Lists::Both);
        for class in [0, 6, 8, (1 << 28) - 2] {
            assert_eq!(cell.lists(&Leaf::new(1, 0, 0, Cell::tag(class))), Lists::Neither);
        }
    }
}
