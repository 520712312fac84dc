//! Exit codes, and the message that goes with them.

use std::{io, num::TryFromIntError};

use crate::{
    config::Fault,
    engine::{Classified, Error, Kind},
    graph::{TooMany, TooManyPairs},
};

/// Success, or the answer is yes.
pub(super) const DONE: u8 = 0;
/// Failure, or the answer is no.
pub(super) const FAILED: u8 = 1;
/// Usage or configuration error.
pub(super) const USAGE: u8 = 2;
/// The host lacks something.
pub(super) const HOST: u8 = 3;

/// The exit code for an error.
pub(super) fn code(error: &Error) -> u8 {
    match error.kind() {
        // Only a verb that runs until its reader closes standard output returns this error.
        _ if error.is_broken_pipe() => DONE,
        Kind::Usage => USAGE,
        Kind::Lacking => HOST,
        Kind::NotAllowed | Kind::Failed => FAILED,
    }
}

/// What is printed for an error: `relay: …: …`, or complete lines.
pub(super) fn describe(error: &Error) -> String {
    if error.is_report() {
        return error.to_string().trim_end().to_owned();
    }
    let text = error.chain();
    match error.is_permission() && !text.contains("as root") {
        true => format!("relay: {text}; run this as root"),
        false => format!("relay: {text}"),
    }
}

/// An error of the command line that its parser cannot find.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsageError {
    /// `--watch` into a pipe or a file.
    #[error(
        "--watch needs a terminal, but standard output is none; use --json, --dump or --prometheus \
         for a pipe or a file"
    )]
    NoTerminal,
    /// Anything else.
    #[error("{0}")]
    Request(String),
}

/// A file that this process may not read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) Fault);

/// A new secret that was not delivered.
#[derive(Debug, thiserror::Error)]
#[error("cannot deliver the new private key to {to}, so nothing was changed")]
pub(super) struct Undelivered {
    /// Its destination.
    pub(super) to: String,
    /// Why.
    pub(super) source: io::Error,
}

/// `relay doctor` found problems.
#[derive(Debug, thiserror::Error)]
#[error("found {problems} problem{}", if *.problems == 1 { "" } else { "s" })]
pub(super) struct Unfit {
    /// Number of problems.
    pub(super) problems: usize,
    /// Whether all of them are in the configuration.
    pub(super) of_config: bool,
}

/// `relay status --check` found problems, one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(super) struct NotAsConfigured(pub(super) Vec<String>);

/// The answer, already printed, is no.
#[derive(Debug, thiserror::Error)]
#[error("not allowed")]
pub(super) struct NotAllowed;

/// `relay webhook test` had another answer than success.
#[derive(Debug, thiserror::Error)]
#[error("webhook {webhook}: the event was not accepted")]
pub(super) struct NotDelivered {
    /// Its name.
    pub(super) webhook: String,
}

/// Interfaces that `relay down` could not take down, for reasons already printed.
#[derive(Debug, thiserror::Error)]
#[error("not taken down: {}", .0.join(", "))]
pub(super) struct StillUp(pub(super) Vec<String>);

impl Classified for UsageError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl Classified for Unreadable {
    fn is_permission(&self) -> bool {
        true
    }
}

impl Classified for Unfit {
    fn kind(&self) -> Kind {
        if self.of_config { Kind::Usage } else { Kind::Lacking }
    }
}

impl Classified for NotAsConfigured {
    fn is_report(&self) -> bool {
        true
    }
}

impl Classified for NotAllowed {
    fn kind(&self) -> Kind {
        Kind::NotAllowed
    }
}

impl Classified for serde_json::Error {
    fn io_kind(&self) -> Option<io::ErrorKind> {
        self.io_error_kind()
    }
}

impl Classified for Undelivered {}
impl Classified for StillUp {}
impl Classified for NotDelivered {}
impl Classified for TryFromIntError {}
impl Classified for png::EncodingError {}
impl Classified for qrcode::types::QrError {}
impl Classified for TooMany {}
impl Classified for TooManyPairs {}
