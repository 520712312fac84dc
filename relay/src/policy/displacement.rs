//! A sparse matrix in one array, with rows displaced so that they interlock.
//!
//! The table compression of Tarjan and Yao ("Storing a sparse table", 1979). A cell carries the
//! tag of its row, so that a look-up that hits a cell of another row finds nothing.

/// Positions tried for a row's first cell, from the first free one and again from behind the row
/// placed last, before the row goes to the end.
const MAX_TRIES: usize = 256;

/// Rows placed in one array.
pub(super) struct Displaced {
    /// Position of column 0 of each row.
    pub starts: Vec<u32>,
    /// `(row, value)` of each cell.
    pub cells: Vec<Option<(u32, u32)>>,
}

/// Places rows, given as `(column, value)` by ascending column.
pub(super) fn displace(rows: &[Vec<(u32, u32)>]) -> Displaced {
    let mut order: Vec<usize> = (0..rows.len()).filter(|&row| !rows[row].is_empty()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(rows[row].len()));

    // Free cells in front, so that no row starts before the array.
    let front = rows.iter().flatten().map(|&(column, _)| column as usize).max().unwrap_or(0);
    let mut starts = vec![0; rows.len()];
    let mut cells: Vec<Option<(u32, u32)>> = vec![None; front];
    let mut first_free = front;
    // Rows of one shape fit next to each other, wherever the first of them went.
    let mut behind_last = front;
    for row in order {
        let entries = &rows[row];
        while cells.get(first_free).is_some_and(Option::is_some) {
            first_free += 1;
        }
        let first_column = entries[0].0 as usize;
        let fits = |at: usize| {
            entries.iter().all(|&(column, _)| {
                let cell = at + column as usize - first_column;
                cells.get(cell).is_none_or(Option::is_none)
            })
        };
        let find = |from: usize| (from..cells.len()).take(MAX_TRIES).find(|&at| fits(at));
        let at = find(first_free).or_else(|| find(behind_last)).unwrap_or(cells.len());
        behind_last = at + 1;
        let last = at + entries[entries.len() - 1].0 as usize - first_column;
        if cells.len() <= last {
            cells.resize(last + 1, None);
        }
        let tag = u32::try_from(row).expect("rows are classes, which are counted in 32 bits");
        for &(column, value) in entries {
            cells[at + column as usize - first_column] = Some((tag, value));
        }
        let start = at - first_column;
        starts[row] = u32::try_from(start).expect("the number of cells was checked before");
    }
    Displaced { starts, cells }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn look_up(displaced: &Displaced, row: u32, column: u32) -> Option<u32> {
        let index = (displaced.starts[row as usize] + column) as usize;
        match displaced.cells.get(index).copied().flatten() {
            Some((owner, value)) if owner == row => Some(value),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn every_cell_is_found_again_and_no_other(
            matrix in prop::collection::vec(prop::collection::btree_map(0u32..40, 1u32..4, 0..20), 1..40)
        ) {
            let rows: Vec<Vec<_>> = matrix.iter().map(|row| row.clone().into_iter().collect()).collect();
            let displaced = displace(&rows);
            for (row, entries) in (0u32..).zip(&matrix) {
                for column in 0..40 {
                    prop_assert_eq!(look_up(&displaced, row, column), entries.get(&column).copied());
                }
            }
        }
    }

    #[test]
    fn rows_of_few_wide_shapes_take_room_for_their_entries() {
        // Each row has an entry in either half; in the middle the halves are moved apart.
        const ROWS: u32 = 5_000;
        let shift = |row: u32| u32::from(row > ROWS / 2);
        let rows: Vec<_> =
            (0..ROWS).map(|row| vec![(row, 3), (row + ROWS + 7 * shift(row), 3)]).collect();
        let cells = displace(&rows).cells.len();
        assert!(cells < 8 * ROWS as usize, "{cells} cells for {} entries", 2 * ROWS);
    }

    #[test]
    fn a_permutation_takes_no_more_cells_than_it_has_and_those_in_front() {
        let rows: Vec<_> = (0..1000).map(|row| vec![((row * 7 + 3) % 1000, 3)]).collect();
        assert_eq!(displace(&rows).cells.len(), 999 + 1000);
    }
}
