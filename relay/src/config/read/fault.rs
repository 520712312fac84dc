use std::io;

/// What is wrong with one value, and what to write instead. It never holds what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct Fault {
    pub(in crate::config) problem: String,
    pub(super) remedy: String,
    /// Whether the system kept this process from reading it.
    pub(super) is_denied: bool,
}

impl Fault {
    pub(in crate::config) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), is_denied: false }
    }

    /// For what could not be read: `what` names it where the place does not. Who may not read it is
    /// told to be somebody who may, never to open it to others.
    pub(super) fn unread(what: &str, error: &io::Error, remedy: &str) -> Self {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let remedy = if is_denied { "run this as root" } else { remedy };
        Self { is_denied, ..Self::new(format!("{what}cannot be read: {error}"), remedy) }
    }

    /// Whether the system kept this process from reading something.
    pub const fn is_denied(&self) -> bool {
        self.is_denied
    }
}
