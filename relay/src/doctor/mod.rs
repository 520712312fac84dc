//! Judges a host: facts become findings, each with a remedy. Pure.

mod facts;
mod guard;
mod host;
mod network;
mod networkd;
mod setup;
mod ufw;

use std::io::{self, Write};

pub use facts::{
    Clock, Configured, Facts, Firewall, Forwarding, GuardPlaces, Ipv6Off, MarkWriter, Module,
    Occupant, PinPlace, Programs, Route, Underlay,
};
pub use networkd::first_match as networkd_file;
use serde::Serialize;
pub use ufw::Ufw;

use crate::model::Relay;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// The relay works, but not as well or as safely as it could.
    Warning,
    /// The relay does not work, or not as configured.
    Problem,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The check's name, the same in every output.
    pub check: &'static str,
    /// How serious it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing.
    pub remedy: String,
}

/// All findings; its JSON is `relay doctor --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of this layout.
    pub schema_version: u32,
    /// Whether there is no problem; there may be warnings.
    pub ok: bool,
    /// At least one finding for each check.
    pub findings: Vec<Finding>,
}

/// The finding as text if the relay needs the host to forward, and the host does not.
pub fn unforwarded(forwarding: Forwarding, relay: &Relay) -> Option<String> {
    let Finding { level, found, remedy, .. } = network::forwarding(forwarding, relay);
    (level != Level::Ok).then(|| format!("{found}; {remedy}"))
}

/// Checks of the configuration; all others are of the host.
const OF_CONFIG: [&str; 2] = ["config", "key-files"];

impl Report {
    /// Judges the facts.
    pub fn of(facts: &Facts) -> Self {
        let mut findings = host::findings(facts);
        findings.extend(setup::findings(facts));
        findings.extend(network::findings(facts));
        findings.extend(guard::findings(facts));
        let ok = findings.iter().all(|finding| finding.level != Level::Problem);
        Self { schema_version: 1, ok, findings }
    }

    /// Findings of a level.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// Whether every problem is in the configuration, so that the host lacks nothing.
    pub fn is_host_fit(&self) -> bool {
        let mut problems = self.findings.iter().filter(|finding| finding.level == Level::Problem);
        problems.all(|finding| OF_CONFIG.contains(&finding.check))
    }
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, found: found.into(), remedy: String::new() }
    }

    fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, found: found.into(), remedy: remedy.into() }
    }

    fn problem(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Problem, found: found.into(), remedy: remedy.into() }
    }
}

impl Level {
    /// Its label in every output, and its colour as an SGR parameter.
    const fn shown(self) -> (&'static str, &'static str) {
        match self {
            Self::Ok => ("ok", "32"),
            Self::Warning => ("warning", "33"),
            Self::Problem => ("problem", "31"),
        }
    }
}

/// Renders a report: a line for each finding, and one for its remedy.
///
/// # Errors
/// `out` cannot be written to.
pub fn render_report_into(out: &mut impl Write, report: &Report, color: bool) -> io::Result<()> {
    let width = report.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    for Finding { check, level, found, remedy } in &report.findings {
        let (word, code) = level.shown();
        match color {
            true => write!(out, "\x1b[{code}m{word:7}\x1b[0m")?,
            false => write!(out, "{word:7}")?,
        }
        writeln!(out, "  {check:width$}  {found}")?;
        if !remedy.is_empty() {
            writeln!(out, "{:7}  {:width$}  → {remedy}", "", "")?;
        }
    }
    let [ok, warnings, problems] =
        [Level::Ok, Level::Warning, Level::Problem].map(|level| report.count(level));
    let plural =
        |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    writeln!(out, "\n{ok} ok, {}, {}", plural(warnings, "warning"), plural(problems, "problem"))
}

#[cfg(test)]
mod tests;
