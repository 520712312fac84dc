//! The table of imports in ARCHITECTURE.md.
//!
//! ```markdown
//! | module | modules of relay | crates | closed parts of std |
//! | --- | --- | --- | --- |
//! | *every module* | none | `thiserror` | none |
//! | *pure* | | | `std::fs`, `std::env` |
//! | `policy` | `model` | `ipnet`, `relay_common` | *pure* |
//! ```

use anyhow::{Context as _, Result, bail};

/// First cell of the table's head, by which it is found.
const HEAD: &str = "module";

/// The row whose crates are allowed in every module.
const EVERYWHERE: &str = "*every module*";

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

/// What one module may import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) module: String,
    /// Modules of the relay crate.
    pub(super) modules: Vec<String>,
    /// Crates, as they are spelled in Rust.
    pub(super) crates: Vec<String>,
    /// Paths of the standard library that it must not use.
    pub(super) closed: Vec<String>,
}

impl Table {
    /// Parses the table out of a Markdown document.
    ///
    /// # Errors
    /// The document has no such table, or a row has another number of cells.
    pub(super) fn parse(markdown: &str) -> Result<Self> {
        let mut lines = markdown.lines().skip_while(|line| cells(line).first() != Some(&HEAD));
        lines.next().with_context(|| format!("found no table with the head `{HEAD}`"))?;
        let mut everywhere = Vec::new();
        let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
        let mut table = Self::default();
        for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
            let [module, modules, crates, closed] = cells(line)[..] else {
                bail!("expected four cells, found `{line}`");
            };
            if module == EVERYWHERE {
                everywhere = names(crates);
            } else if module.starts_with('*') {
                groups.push((module, names(closed)));
            } else {
                let group = groups.iter().find(|(name, _)| *name == closed);
                let closed = group.map_or_else(|| names(closed), |(_, paths)| paths.clone());
                let (modules, crates) = (names(modules), names(crates));
                table.rows.push(Row { module: names(module).concat(), modules, crates, closed });
            }
        }
        for row in &mut table.rows {
            row.crates.extend(everywhere.iter().cloned());
        }
        Ok(table)
    }

    pub(super) fn row(&self, module: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.module == module)
    }
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
    inner.map_or_else(Vec::new, |inner| inner.split('|').map(str::trim).collect())
}

/// The names in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Text.\n\n| other | table |\n| --- | --- |\n| a | b |\n\n\
        | module | modules of relay | crates | closed |\n| --- | --- | --- | --- |\n\
        | *every module* | none | `thiserror` | none |\n\
        | *pure* | | | `std::fs`, `std::env` |\n\
        | `policy` | `model` | `ipnet` | *pure* |\n\
        | `net` | none | none | `std::process` |\n\nMore text.\n";

    #[test]
    fn rows_are_read_with_what_they_refer_to() {
        let table = Table::parse(TEXT).expect("a table");
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let policy = Row {
            module: "policy".to_owned(),
            modules: owned(&["model"]),
            crates: owned(&["ipnet", "thiserror"]),
            closed: owned(&["std::fs", "std::env"]),
        };
        assert_eq!(table.row("policy"), Some(&policy));
        let net = table.row("net").expect("a row");
        assert_eq!((net.modules.len(), &net.crates[..]), (0, &["thiserror".to_owned()][..]));
        assert_eq!(net.closed, ["std::process"]);
        assert_eq!(table.row("pure"), None);
    }

    #[test]
    fn a_document_without_the_table_is_an_error() {
        assert!(Table::parse("| other |\n| --- |\n").is_err());
        assert!(Table::parse(&TEXT.replace("| none | none |", "| none |")).is_err());
    }
}
