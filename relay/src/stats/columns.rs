use std::io::{self, Write};

/// Writes rows in columns two spaces apart; from column `right` on they are aligned to the right.
pub(crate) fn columns<const N: usize>(
    out: &mut impl Write,
    rows: &[[String; N]],
    right: usize,
) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            match column < right {
                true if column + 1 == N => write!(out, "{gap}{cell}")?,
                true => write!(out, "{gap}{cell:<width$}")?,
                false => write!(out, "{gap}{cell:>width$}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
