use std::{error::Error as StdError, fmt, io};

use crate::{
    config::{EditError, ImportError, NoFreeAddress, Problems, RenderedError, WriteError},
    datapath::DatapathError,
    history::HistoryError,
    mesh::GossipError,
    model::NameError,
    net::NetError,
    policy::CompileError,
    wireguard::WireguardError,
};

/// What a caller has to know of an error to answer it: exit codes and HTTP statuses follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request or the configuration is wrong.
    Usage,
    /// The policy does not allow what was asked about.
    NotAllowed,
    /// The host lacks something, or the process lacks a permission.
    Lacking,
    /// Anything else.
    Failed,
}

/// An error with its kind, its context and its causes.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    is_report: bool,
    is_permission: bool,
    io_kind: Option<io::ErrorKind>,
    source: Box<dyn StdError + Send + Sync>,
}

/// What the engine returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that knows its kind. [`Error`] is made of these alone.
pub trait Classified: StdError + Send + Sync + 'static {
    /// Its kind, a missing permission aside, which [`Error`] finds among the causes.
    fn kind(&self) -> Kind {
        Kind::Failed
    }

    /// Whether its text is complete lines, each with its place.
    fn is_report(&self) -> bool {
        false
    }

    /// Whether the process may not read something, where no cause is an [`io::Error`].
    fn is_permission(&self) -> bool {
        false
    }

    /// The system's error, if that is what it is.
    fn io_kind(&self) -> Option<io::ErrorKind> {
        None
    }
}

/// Adds to an error what was being done.
pub trait ErrorContext<T> {
    /// Puts `what` in front.
    ///
    /// # Errors
    /// The error that was there.
    fn context(self, what: impl Into<String>) -> Result<T>;

    /// The same, without making the text of a success.
    ///
    /// # Errors
    /// The error that was there.
    fn with_context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl Error {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether its text is complete lines, each with its place.
    pub const fn is_report(&self) -> bool {
        self.is_report
    }

    /// Whether the system denied this process something: it is not root, most likely.
    pub const fn is_permission(&self) -> bool {
        self.is_permission
    }

    /// Whether the reader of an output has closed it.
    pub fn is_broken_pipe(&self) -> bool {
        self.io_kind == Some(io::ErrorKind::BrokenPipe)
    }

    /// It and its causes: `…: …`.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

impl<E: Classified> From<E> for Error {
    fn from(error: E) -> Self {
        let is_permission = error.is_permission() || is_denied(&error);
        Self {
            kind: if is_permission { Kind::Lacking } else { error.kind() },
            is_report: error.is_report(),
            is_permission,
            io_kind: error.io_kind(),
            source: Box::new(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}

/// What was being done when something failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct While {
    what: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl<T, E: Into<Error>> ErrorContext<T> for Result<T, E> {
    fn context(self, what: impl Into<String>) -> Result<T> {
        self.with_context(|| what.into())
    }

    fn with_context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let Error { kind, is_permission, source, .. } = error.into();
            let source = Box::new(While { what: what(), source });
            Error { kind, is_report: false, is_permission, io_kind: None, source }
        })
    }
}

/// An error and its causes: `…: …`.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut last = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let cause = error.to_string();
        // A transparent error repeats the text of its source.
        if !last.ends_with(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
        last = cause;
        next = error.source();
    }
    text
}

fn is_denied(error: &(dyn StdError + 'static)) -> bool {
    let own = error.downcast_ref::<io::Error>().map(io::Error::kind);
    own == Some(io::ErrorKind::PermissionDenied) || error.source().is_some_and(is_denied)
}

const fn lacking_if(is_lack: bool) -> Kind {
    if is_lack { Kind::Lacking } else { Kind::Failed }
}

impl Classified for io::Error {
    fn io_kind(&self) -> Option<io::ErrorKind> {
        Some(io::Error::kind(self))
    }
}

impl Classified for NetError {
    fn kind(&self) -> Kind {
        lacking_if(self.is_lack())
    }
}

impl Classified for DatapathError {
    fn kind(&self) -> Kind {
        lacking_if(self.is_lack())
    }
}

impl Classified for HistoryError {
    fn kind(&self) -> Kind {
        if matches!(self, Self::Unknown { .. }) {
            return Kind::Usage;
        }
        lacking_if(self.is_missing())
    }
}

impl Classified for WireguardError {
    fn kind(&self) -> Kind {
        if matches!(self, Self::OwnKey { .. }) { Kind::Usage } else { lacking_if(self.is_lack()) }
    }
}

impl Classified for Problems {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn is_report(&self) -> bool {
        true
    }

    fn is_permission(&self) -> bool {
        self.is_denied()
    }
}

impl Classified for WriteError {
    fn kind(&self) -> Kind {
        if matches!(self, Self::Exists(_)) { Kind::Usage } else { Kind::Failed }
    }
}

impl Classified for EditError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl Classified for NoFreeAddress {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl Classified for ImportError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

impl Classified for getrandom::Error {}
impl Classified for fmt::Error {}
impl Classified for GossipError {}
impl Classified for NameError {}
impl Classified for CompileError {}
impl Classified for RenderedError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_under_a_context() {
        let error = Err::<(), _>(NoFreeAddress("10.0.0.0/30".parse().expect("a network")));
        let error = error.context("add node-c").expect_err("an error");
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.chain().starts_with("add node-c: 10.0.0.0/30 has no free"), "{error}");
    }

    #[test]
    fn a_permission_that_lacks_is_found_among_the_causes() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Err::<(), _>(denied).context("read a file").expect_err("an error");
        assert!(error.is_permission());
        assert_eq!(error.kind(), Kind::Lacking);
    }

    #[test]
    fn a_program_that_the_verifier_rejects_is_no_matter_of_permission() {
        let log = "invalid read from stack".to_owned();
        let error = Error::from(DatapathError::Rejected { program: "relay_ingress", log });
        assert!(!error.is_permission());
        assert_eq!(error.kind(), Kind::Failed);
        assert!(error.chain().ends_with("invalid read from stack"), "{error}");
    }
}
