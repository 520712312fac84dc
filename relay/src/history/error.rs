use std::{io, path::PathBuf};

use rusqlite::ErrorCode;

/// The history cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is none.
    #[error("there is no history yet: {} does not exist; `relay serve` records it", .path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// Nothing was recorded in it.
    #[error("there is no history yet: {} holds no sample; `relay serve` records them", .path.display())]
    Empty {
        /// Its file.
        path: PathBuf,
    },
    /// Others could have written to it.
    #[error(
        "{} is not used as history: it {found}; expected {expected}; look at who changed that, then run \
         `chown` and `chmod`, or move it away",
        .path.display()
    )]
    Open {
        /// The file or its directory.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A file or directory does not do what it should.
    #[error("cannot {action} {}", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// SQLite does not do what it should.
    #[error("cannot {action} the history {}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The file is damaged.
    #[error("the history {} is damaged ({why}); `relay serve` renames it when it starts, and begins a new \
        one", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        why: String,
    },
    /// It is a database of something else.
    #[error("{} is a database, but no history of relay; move it away", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer relay wrote it.
    #[error(
        "the history {} has version {found}, but this relay knows {known} and older; upgrade relay, or move \
         the file away",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that is known.
        known: i64,
    },
    /// It has nothing of a peer or a rule of this name.
    #[error("the history has no {what} {name}")]
    Unknown {
        /// `peer` or `rule`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that it has.
        names: Vec<String>,
    },
}

impl HistoryError {
    /// Whether there is nothing yet to read.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Empty { .. })
    }

    /// Whether the file is damaged.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Database { source, .. } => is_damage(source),
            Self::Missing { .. }
            | Self::Empty { .. }
            | Self::Open { .. }
            | Self::File { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Unknown { .. } => false,
        }
    }
}

/// Whether SQLite finds the file damaged, or no database at all.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
