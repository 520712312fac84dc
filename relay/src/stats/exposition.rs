//! The text format of Prometheus, and OpenMetrics.
//!
//! The crate `prometheus-client` writes OpenMetrics only, and the textfile collector of
//! node_exporter reads the older text format only. The two differ in the heads of families.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
};

/// The format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format, version 0.0.4. It has no units and no `info`.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// One metric family.
#[derive(Debug)]
pub(super) struct Family {
    /// That of OpenMetrics, without the suffix of its samples.
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    help: &'static str,
}

/// A label and its value, escaped on display.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a>(pub(super) &'static str, pub(super) &'a str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Info,
}

impl Exposition {
    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Ends a rendering.
    pub(super) fn end(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::OpenMetrics => writeln!(out, "# EOF"),
        }
    }
}

impl Family {
    pub(super) const fn counter(
        name: &'static str,
        unit: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, unit: Some(unit), help }
    }

    /// Without a unit.
    pub(super) const fn plain_counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit: None, help }
    }

    pub(super) const fn gauge(
        name: &'static str,
        unit: Option<&'static str>,
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, unit, help }
    }

    /// Its value is 1; the information is in the labels.
    pub(super) const fn info(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Info, unit: None, help }
    }

    pub(super) fn head(&self, out: &mut impl Write, format: Exposition) -> io::Result<()> {
        let Self { name, kind, unit, help } = self;
        let (suffix, kind) = match (format, kind) {
            (Exposition::Text, Kind::Counter) => (kind.suffix(), "counter"),
            (Exposition::Text, Kind::Gauge | Kind::Info) => (kind.suffix(), "gauge"),
            (Exposition::OpenMetrics, Kind::Counter) => ("", "counter"),
            (Exposition::OpenMetrics, Kind::Gauge) => ("", "gauge"),
            (Exposition::OpenMetrics, Kind::Info) => ("", "info"),
        };
        writeln!(out, "# HELP {name}{suffix} {help}")?;
        writeln!(out, "# TYPE {name}{suffix} {kind}")?;
        match (format, unit) {
            (Exposition::OpenMetrics, Some(unit)) => writeln!(out, "# UNIT {name} {unit}"),
            (Exposition::OpenMetrics, None) | (Exposition::Text, _) => Ok(()),
        }
    }

    pub(super) fn sample<'a>(
        &self,
        out: &mut impl Write,
        labels: impl IntoIterator<Item = Label<'a>>,
        value: impl fmt::Display,
    ) -> io::Result<()> {
        write!(out, "{}{}", self.name, self.kind.suffix())?;
        for (index, label) in labels.into_iter().enumerate() {
            write!(out, "{}{label}", if index == 0 { '{' } else { ',' })?;
        }
        writeln!(out, "}} {value}")
    }
}

impl Kind {
    /// The suffix of its samples' names.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Gauge => "",
            Self::Info => "_info",
        }
    }
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, value) = self;
        write!(f, "{name}=\"")?;
        for c in value.chars() {
            match c {
                '\\' | '"' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(Label("a", "b\"c\\d\ne").to_string(), r#"a="b\"c\\d\ne""#);
        assert_eq!(Label("a", "\\\\\"").to_string(), r#"a="\\\\\"""#);
    }
}
