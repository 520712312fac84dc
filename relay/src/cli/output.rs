//! Where text goes and how it looks there.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

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
