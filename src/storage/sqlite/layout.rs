//! What is in the file: one table of live values, and how the file is opened.
//!
//! - `object`: `key` (the encoded key), `revision` (of the transaction that put it), `value`. Rows have numbers of their own, so
//!   that new values go to the end of the table.
//! - `meta`: `revision` → the last revision.
//!
//! SQLite's `application_id` says whose file it is, its `user_version` is the version of this layout.

use std::path::Path;

use rusqlite::{Connection, Error, ErrorCode, OptionalExtension};

use crate::storage::key::Decoder;
use crate::storage::{BackendError, Durability, LoadVisitor, OpenError, Record};

/// "Atol", as SQLite keeps it.
const APPLICATION: i64 = 0x4174_6f6c;

/// The version of this layout. A change of the layout takes the next number and knows how to read the one before.
const FORMAT_VERSION: i64 = 1;

/// The revision of an empty store.
const FIRST_REVISION: u64 = 1;

/// How much may stand in the write-ahead log before it is brought into the file, in pages of 4 KiB.
const LOG_PAGES: u32 = 4096;

const TABLES: &str = "
    CREATE TABLE object (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, revision INTEGER NOT NULL, value BLOB NOT NULL);
    CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
";

/// Opens a file for this process alone, makes what is missing, and gives the last revision.
pub(super) fn open(file: &Path, durability: Durability) -> Result<(Connection, u64), OpenError> {
    make_file(file).map_err(|source| OpenError::Io { path: file.to_owned(), source })?;
    open_database(file, durability).map_err(|error| match error {
        Refusal::Format(found) => {
            OpenError::Format { found: found.unsigned_abs(), expected: FORMAT_VERSION.unsigned_abs() }
        }
        Refusal::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            OpenError::InUse { path: file.to_owned() }
        }
        Refusal::Sql(error) => OpenError::Engine { source: Box::new(error) },
        Refusal::Foreign => OpenError::Engine { source: "the file is a database of another program".into() },
    })
}

/// Why a file is not opened.
enum Refusal {
    Sql(Error),
    Format(i64),
    Foreign,
}

fn open_database(file: &Path, durability: Durability) -> Result<(Connection, u64), Refusal> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(std::time::Duration::ZERO)?;
    // Before anything is read: whoever has the file has it alone, and needs no memory shared with others.
    set(&connection, "locking_mode", "EXCLUSIVE")?;
    // And before anything is changed: what belongs to another program stays as it is.
    let new = is_new(&connection)?;
    // This can be said of an empty file only.
    set(&connection, "auto_vacuum", "INCREMENTAL")?;
    set(&connection, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    set(&connection, "synchronous", synchronous)?;
    set(&connection, "wal_autocheckpoint", LOG_PAGES)?;
    set(&connection, "journal_size_limit", 4 * i64::from(LOG_PAGES) * 4096)?;
    let revision = prepare(&connection, new)?;
    Ok((connection, revision))
}

/// Checks whose file it is; tells whether it is empty.
fn is_new(connection: &Connection) -> Result<bool, Refusal> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        Ok(true)
    } else if number("application_id")? != APPLICATION {
        Err(Refusal::Foreign)
    } else if number("user_version")? != FORMAT_VERSION {
        Err(Refusal::Format(number("user_version")?))
    } else {
        Ok(false)
    }
}

/// Makes the tables in a new file, takes the lock, and gives the last revision.
fn prepare(connection: &Connection, new: bool) -> Result<u64, Refusal> {
    // A transaction that writes takes the lock, which is kept from then on.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    if new {
        connection.execute_batch(TABLES)?;
        set(connection, "application_id", APPLICATION)?;
        set(connection, "user_version", FORMAT_VERSION)?;
        write_revision(connection, FIRST_REVISION)?;
    }
    let revision: i64 =
        connection.query_row("SELECT number FROM meta WHERE name = 'revision'", [], |row| row.get(0))?;
    connection.execute_batch("COMMIT")?;
    Ok(revision.unsigned_abs())
}

/// Visits every value, in the order of keys.
pub(super) fn load(connection: &Connection, revision: u64, mut visit: LoadVisitor) -> Result<u64, BackendError> {
    let mut statement =
        connection.prepare("SELECT key, revision, value FROM object ORDER BY key").map_err(unavailable)?;
    let mut rows = statement.query([]).map_err(unavailable)?;
    let mut decoder = Decoder::default();
    while let Some(row) = rows.next().map_err(unavailable)? {
        let column = |index| row.get_ref(index).map_err(unavailable);
        let bytes = |index: usize| {
            column(index)?.as_blob().map_err(|_| damaged(&format!("column {index} of a row is no blob")))
        };
        let key = decoder.decode(bytes(0)?).map_err(|error| damaged(&format!("a key in it: {error}")))?;
        let revision = column(1)?.as_i64().map_err(|_| damaged(&format!("{key} has no revision")))?;
        let value = bytes::Bytes::copy_from_slice(bytes(2)?);
        visit(Record { key, value, revision: revision.unsigned_abs() });
    }
    Ok(revision)
}

/// The revision that put a key, if it is there.
pub(super) fn revision_of(connection: &Connection, key: &[u8]) -> Result<Option<u64>, Error> {
    let mut statement = connection.prepare_cached("SELECT revision FROM object WHERE key = ?1")?;
    let found = statement.query_row([key], |row| row.get::<_, i64>(0)).optional()?;
    Ok(found.map(i64::unsigned_abs))
}

/// The first keys of a range.
pub(super) fn first_keys(
    connection: &Connection,
    (start, end): (&[u8], &[u8]),
    count: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT key FROM object WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3")?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let keys = statement.query_map((start, end, count), |row| row.get(0))?;
    keys.collect()
}

/// Puts a value under a key.
pub(super) fn put(connection: &Connection, key: &[u8], revision: u64, value: &[u8]) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO object (key, revision, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, value = excluded.value",
    )?;
    statement.execute((key, signed(revision), value)).map(drop)
}

/// Deletes the value under a key.
pub(super) fn delete(connection: &Connection, key: &[u8]) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM object WHERE key = ?1")?.execute([key]).map(drop)
}

/// Notes the last revision.
pub(super) fn write_revision(connection: &Connection, revision: u64) -> Result<(), Error> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO meta (name, number) VALUES ('revision', ?1)")?;
    statement.execute([signed(revision)]).map(drop)
}

/// Brings what is in the write-ahead log into the file, as far as can be done at once.
pub(super) fn checkpoint(connection: &Connection) -> Result<(), Error> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Gives some free pages back to the file system; tells whether there may be more.
pub(super) fn give_back(connection: &Connection, pages: i64) -> Result<bool, Error> {
    let free: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    // A step of this statement gives back one page.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({})", pages.min(free)))?;
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    Ok(free > pages)
}

fn set(connection: &Connection, name: &str, value: impl rusqlite::ToSql) -> Result<(), Error> {
    // Some of them answer with what is valid from now on.
    connection.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(|error| match error {
        Error::QueryReturnedNoRows => Ok(()),
        other => Err(other),
    })
}

/// Makes a file that only this user may read, and its directory, unless they are there.
fn make_file(file: &Path) -> std::io::Result<()> {
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
    {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(directory)?;
    }
    let mut how = std::fs::OpenOptions::new();
    how.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    how.open(file).map(drop)
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).expect("revisions are counted up from 1")
}

fn damaged(what: &str) -> BackendError {
    BackendError::Damaged { what: what.into() }
}

fn unavailable(error: Error) -> BackendError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(&error.to_string()),
        _ => BackendError::Unavailable { reason: error.to_string().into() },
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}
