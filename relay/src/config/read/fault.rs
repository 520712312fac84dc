use std::io;

/// What is wrong with one value, and what to write instead. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct Fault {
    pub(in crate::config) problem: String,
    pub(super) remedy: String,
    /// Whether permission to read it is missing.
    pub(super) is_denied: bool,
}

impl Fault {
    pub(in crate::config) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), is_denied: false }
    }

    /// For a failed read. `what` names the file if the place does not. Without permission, the
    /// remedy is to run as root, never to open the file to others.
    pub(super) fn unread(what: &str, error: &io::Error, remedy: &str) -> Self {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let remedy = if is_denied { "run this as root" } else { remedy };
        Self { is_denied, ..Self::new(format!("{what}cannot be read: {error}"), remedy) }
    }

    /// Whether permission to read something is missing.
    pub const fn is_denied(&self) -> bool {
        self.is_denied
    }
}
