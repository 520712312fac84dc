//! The tables, and how the file is opened.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{
    HistoryError,
    amounts::{Amounts, COLUMNS},
    error::is_damage,
    level::Level,
};

/// Version of the tables.
const VERSION: i64 = 1;
/// Marks a database as a history of relay: "rely".
const APPLICATION: i64 = 0x7265_6c79;
/// How long to wait for who reads or writes.
const WAIT: Duration = Duration::from_secs(5);

/// The subject that stands for the whole relay. It has a row in every step in which something was
/// recorded.
pub(super) const RELAY: i64 = 1;

/// What the rows of a subject count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The relay. Without a key.
    Relay = 0,
    /// A peer. Its public key.
    Peer = 1,
    /// Dropped packets. The sender's public key, if it is known, and the reason's label.
    Dropped = 2,
    /// From one peer to another. Both public keys.
    Pair = 3,
    /// A rule. Its name.
    Rule = 4,
}

/// Whether the file is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The file exists, and nothing in it changes.
    Read,
    /// The file exists.
    Write,
}

/// Opens a file that exists and is ours alone.
pub(super) fn connect(path: &Path, access: Access) -> Result<Connection, HistoryError> {
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // NOFOLLOW is for the file; a directory on the way may be a link.
    let real = path.parent().and_then(|parent| parent.canonicalize().ok());
    let real =
        real.zip(path.file_name()).map_or_else(|| path.to_owned(), |(dir, name)| dir.join(name));
    let open = || {
        let connection = Connection::open_with_flags(&real, flags)?;
        connection.busy_timeout(WAIT)?;
        // Nothing in the file is trusted, and no other file is written.
        connection.execute_batch(
            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;",
        )?;
        if access == Access::Write {
            connection
                .execute_batch("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL;")?;
        }
        Ok(connection)
    };
    open().map_err(failed(path, "open"))
}

/// Checks the version, and creates the tables in an empty file.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), HistoryError> {
    let failed = |source| failed(path, "create")(source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = transaction.map_err(failed)?;
    if is_empty(&transaction).map_err(failed)? {
        transaction.execute_batch(&tables()).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    require_version(connection, path)
}

/// Checks that it is a history of a version that is known.
pub(super) fn require_version(connection: &Connection, path: &Path) -> Result<(), HistoryError> {
    let failed = |source| failed(path, "read")(source);
    if is_empty(connection).map_err(failed)? {
        return Err(HistoryError::Empty { path: path.to_owned() });
    }
    if pragma(connection, "application_id").map_err(failed)? != APPLICATION {
        return Err(HistoryError::Foreign { path: path.to_owned() });
    }
    match pragma(connection, "user_version").map_err(failed)? {
        VERSION => Ok(()),
        found if found > VERSION => {
            Err(HistoryError::Newer { path: path.to_owned(), found, known: VERSION })
        }
        found => {
            let why = format!("its version is {found}, which no relay has written");
            Err(HistoryError::Damaged { path: path.to_owned(), why })
        }
    }
}

/// Reads every page, and finds what a torn write leaves.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), HistoryError> {
    let found = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get::<_, String>(0));
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(why) => Err(HistoryError::Damaged { path: path.to_owned(), why }),
        Err(source) => Err(failed(path, "check")(source)),
    }
}

/// A number that SQLite keeps of the file.
pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), (), |row| row.get(0))
}

/// Says which file an error is of, and what was being done.
pub(super) fn failed(
    path: &Path,
    action: &'static str,
) -> impl FnOnce(rusqlite::Error) -> HistoryError {
    move |source| match is_damage(&source) {
        true => HistoryError::Damaged { path: path.to_owned(), why: source.to_string() },
        false => HistoryError::Database { path: path.to_owned(), action, source },
    }
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(tables == 0 && pragma(connection, "user_version")? == 0)
}

fn tables() -> String {
    let amounts = |column: &&str| format!("{column} INTEGER NOT NULL");
    let amounts: [_; Amounts::COUNT] = COLUMNS.each_ref().map(amounts);
    let amounts = amounts.join(", ");
    let levels = Level::ALL.map(|level| {
        // Steps are written one after the other; the year of one peer is read at once.
        let key = if level == Level::Hours { "subject, step" } else { "step, subject" };
        format!(
            "CREATE TABLE {} (step INTEGER NOT NULL, subject INTEGER NOT NULL, {amounts}, \
             PRIMARY KEY ({key})) WITHOUT ROWID;",
            level.table()
        )
    });
    let levels = levels.concat();
    format!(
        "CREATE TABLE subject (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, key BLOB NOT NULL, \
         name TEXT NOT NULL, gone INTEGER, UNIQUE (kind, key));
         INSERT INTO subject VALUES ({RELAY}, {relay}, x'', '', NULL);
         CREATE TABLE last (subject INTEGER PRIMARY KEY, {amounts});
         CREATE TABLE state (id INTEGER PRIMARY KEY, number INTEGER NOT NULL, first INTEGER, \
         latest INTEGER, pairs_left_out INTEGER NOT NULL);
         INSERT INTO state VALUES (1, 0, NULL, NULL, 0);
         CREATE TABLE life (kind INTEGER PRIMARY KEY, name TEXT NOT NULL);
         {levels}
         PRAGMA application_id = {APPLICATION};
         PRAGMA user_version = {VERSION};",
        relay = Kind::Relay as i64,
    )
}
