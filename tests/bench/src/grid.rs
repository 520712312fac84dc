//! Tables in Markdown.

/// A table with aligned columns; all but the first are right-aligned.
pub(crate) fn grid(head: Vec<String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut out = line(&head);
    let rules = widths.iter().enumerate().map(|(column, &width)| {
        let dashes = "-".repeat(width - usize::from(column > 0));
        if column == 0 { dashes } else { format!("{dashes}:") }
    });
    out += &format!("| {} |\n", rules.collect::<Vec<_>>().join(" | "));
    for row in &rows {
        out += &line(row);
    }
    out
}

/// A number with a space between thousands.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(["0", "999", "1 000", "1 234 567"], [0, 999, 1000, 1_234_567].map(number)[..]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = grid(
            vec!["peers".into(), "10".into()],
            [vec!["relay".into(), "1 507".into()], vec!["forwarding".into(), "–".into()]],
        );
        assert_eq!(
            text,
            "| peers      |    10 |\n| ---------- | ----: |\n| relay      | 1 507 |\n\
             | forwarding |     – |\n"
        );
    }
}
