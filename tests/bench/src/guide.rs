//! The figures in docs/: benchmarks.md and its chart.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use relay_vm::workspace;

use crate::document::Document;
use crate::{chart, table};

const BEGIN: &str = "<!-- bench: begin -->";
const END: &str = "<!-- bench: end -->";

/// Writes the figures and, if instructions were counted, the chart. Returns the files written.
///
/// # Errors
/// docs/benchmarks.md lacks its markers, or a file cannot be read or written.
pub fn write(document: &Document) -> Result<Vec<PathBuf>> {
    let docs = workspace::root().join("docs");
    let guide = docs.join("benchmarks.md");
    let text =
        fs::read_to_string(&guide).with_context(|| format!("cannot read {}", guide.display()))?;
    let text = replace(&text, &generated(document))
        .with_context(|| format!("{} lacks the line `{BEGIN}` or `{END}`", guide.display()))?;
    fs::write(&guide, text).with_context(|| format!("cannot write {}", guide.display()))?;
    let mut written = vec![guide];
    if let Some(kernel) = document.kernels().first() {
        let picture = docs.join("benchmarks.svg");
        fs::write(&picture, chart::draw(document, kernel))
            .with_context(|| format!("cannot write {}", picture.display()))?;
        written.push(picture);
    }
    Ok(written)
}

fn generated(document: &Document) -> String {
    let quick = if document.quick { ", a quick run" } else { "" };
    let mut out = format!("Measured on {} at {}{quick}.\n", document.date, document.commit);
    for (title, text) in table::sections(document) {
        out += &format!("\n## {title}\n\n{}\n", text.trim_end());
    }
    out
}

/// Replaces the text between the markers.
fn replace(text: &str, generated: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{generated}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_between_the_markers_is_replaced() {
        let text = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let expected = format!("above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n");
        assert_eq!(replace(&text, "new\n"), Some(expected));
        assert_eq!(replace("no markers", "new"), None);
    }
}
