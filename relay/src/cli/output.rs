//! Where text goes and how it looks there.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use rustix::fs::{FileType, fstat};
use serde::Serialize;

use crate::model::InterfaceName;

/// Whether standard output takes colour: `WG_COLOR_MODE` and `NO_COLOR` before the terminal.
pub(super) fn color() -> bool {
    match env::var("WG_COLOR_MODE").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        Ok(_) | Err(_) => env::var_os("NO_COLOR").is_none() && io::stdout().is_terminal(),
    }
}

/// Warnings, a line each, on standard error.
pub(super) fn warn(warnings: &[impl Display]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    for warning in warnings {
        writeln!(err, "warning: {warning}")?;
    }
    Ok(())
}

/// What a verb changed, or would change: its JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changes<'a> {
    schema_version: u32,
    interface: &'a str,
    changed: bool,
    dry_run: bool,
    changes: &'a [String],
    warnings: &'a [String],
}

impl<'a> Changes<'a> {
    pub(super) fn new(
        interface: &'a InterfaceName,
        dry_run: bool,
        changes: &'a [String],
        warnings: &'a [String],
    ) -> Self {
        let (interface, changed) = (interface.as_str(), !changes.is_empty());
        Self { schema_version: 1, interface, changed, dry_run, changes, warnings }
    }

    pub(super) fn print(&self, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

/// Warns, as `wg genkey` does, when a secret goes to a file that everybody can read.
pub(super) fn warn_if_open() -> io::Result<()> {
    let stat = fstat(io::stdout())?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    match is_file && stat.st_mode & 0o077 != 0 {
        true => warn(&["others can read the file that this is written to; set the umask to 077"]),
        false => Ok(()),
    }
}
