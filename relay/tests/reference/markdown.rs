//! Markdown, written.

/// Text for a cell of a table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Text between back quotes.
pub(crate) fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A table; the cells are Markdown.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = row(&head.map(str::to_owned));
    text.push_str(&row(&head.map(|_| "---".to_owned())));
    for cells in rows {
        text.push_str(&row(&cells.map(|text| cell(&text))));
    }
    text
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}
