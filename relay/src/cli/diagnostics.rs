//! Diagnostics on standard error.

use std::{
    env, fmt,
    io::{self, IsTerminal as _},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The variable with a filter.
const FILTER: &str = "RELAY_LOG";

/// What is shown without one.
const WARNINGS: &str = "error,relay=warn";

/// A line in the form of the warnings that commands print.
struct Warning;

/// Shows what `RELAY_LOG` asks for, with times and places in the code, or else the warnings alone.
pub(super) fn init() {
    let log =
        tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    match env::var_os(FILTER) {
        Some(_) => log.with_env_filter(EnvFilter::from_env(FILTER)).init(),
        None => log.with_env_filter(WARNINGS).event_format(Warning).init(),
    }
}

impl<S, N> FormatEvent<S, N> for Warning
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str("warning: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
