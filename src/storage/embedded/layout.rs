//! What is in the file: three tables, the format's version, and how rows read.
//!
//! - `rows`: (revision, index within its transaction) → length of the key (4 bytes, big endian), key, value. New rows
//!   go to the end of the table, so that creating many values touches few pages.
//! - `index`: key → (revision, index). One entry for each row.
//! - `meta`: `format` → version of this layout; `revision` → the revision up to which everything is here; `log` → the log's
//!   secret.
//!
//! Format 1 had no log, and so no secret; it is brought up to date when it is opened.

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError};

use crate::storage::key::Decoder;
use crate::storage::{BackendError, LoadVisitor, OpenError, Record};

/// Where a row is: its revision, and its number within the transaction.
pub(super) type RowId = (u64, u32);

pub(super) const ROWS: TableDefinition<'_, RowId, &[u8]> = TableDefinition::new("rows");
pub(super) const INDEX: TableDefinition<'_, &[u8], RowId> = TableDefinition::new("index");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

pub(super) const REVISION: &str = "revision";
const FORMAT: &str = "format";
const LOG: &str = "log";

/// The version of this layout. A change of the layout takes the next number and knows how to read the one before.
const FORMAT_VERSION: u64 = 2;

/// The revision of an empty store.
const FIRST_REVISION: u64 = 1;

/// What the tables say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    format: u64,
    /// Everything up to this revision is in the tables.
    pub(super) revision: u64,
    /// The log's secret.
    pub(super) secret: u64,
}

/// Makes the tables in a new file, checks the format of an old one, and gives what they say of themselves.
pub(super) fn prepare(database: &Database) -> Result<Meta, OpenError> {
    let fail = |error: redb::Error| OpenError::Engine { source: Box::new(error) };
    match read_meta(database).map_err(fail)? {
        Some(meta) if meta.format == FORMAT_VERSION => Ok(meta),
        Some(Meta { format: 1, revision, .. }) => make_tables(database, revision).map_err(fail),
        Some(Meta { format: found, .. }) => Err(OpenError::Format { found, expected: FORMAT_VERSION }),
        None => make_tables(database, FIRST_REVISION).map_err(fail),
    }
}

/// What the tables say of themselves, or `None` in a new file.
fn read_meta(database: &Database) -> Result<Option<Meta>, redb::Error> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let number = |name: &str| Ok::<u64, redb::Error>(meta.get(name)?.map_or(0, |number| number.value()));
    Ok(Some(Meta { format: number(FORMAT)?, revision: number(REVISION)?, secret: number(LOG)? }))
}

/// Makes what is not there, and says that all is in this format.
fn make_tables(database: &Database, revision: u64) -> Result<Meta, redb::Error> {
    let made = Meta { format: FORMAT_VERSION, revision, secret: uuid::Uuid::new_v4().as_u64_pair().0 };
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    txn.open_table(ROWS)?;
    txn.open_table(INDEX)?;
    let mut meta = txn.open_table(META)?;
    for (name, number) in [(FORMAT, made.format), (REVISION, made.revision), (LOG, made.secret)] {
        meta.insert(name, number)?;
    }
    drop(meta);
    txn.commit()?;
    Ok(made)
}

/// Visits every value, in the order of revisions, from one snapshot.
pub(super) fn load(database: &Database, visit: LoadVisitor) -> Result<u64, BackendError> {
    let txn = database.begin_read().map_err(unavailable)?;
    let meta = txn.open_table(META).map_err(unavailable)?;
    let revision = meta.get(REVISION).map_err(unavailable)?.ok_or_else(|| damaged("it has no revision"))?.value();
    let rows = txn.open_table(ROWS).map_err(unavailable)?;
    let count = load_rows(&rows, visit)?;
    let indexed = txn.open_table(INDEX).map_err(unavailable)?.len().map_err(unavailable)?;
    if indexed != count {
        return Err(damaged(&format!("{count} values, but {indexed} keys")));
    }
    Ok(revision)
}

fn load_rows(rows: &impl ReadableTable<RowId, &'static [u8]>, mut visit: LoadVisitor) -> Result<u64, BackendError> {
    let mut decoder = Decoder::default();
    let mut count = 0;
    for row in rows.iter().map_err(unavailable)? {
        let (id, row) = row.map_err(unavailable)?;
        let (revision, index) = id.value();
        let (key, value) =
            split_row(row.value()).ok_or_else(|| damaged(&format!("row {revision}/{index} is too short")))?;
        let key = decoder.decode(key).map_err(|error| damaged(&format!("row {revision}/{index}: {error}")))?;
        visit(Record { key, value: Bytes::copy_from_slice(value), revision });
        count += 1;
    }
    Ok(count)
}

/// A row of a key and a value.
pub(super) fn row_len(key: &[u8], value: &[u8]) -> usize {
    4 + key.len() + value.len()
}

/// Writes a row into a place of exactly [`row_len`] bytes.
pub(super) fn write_row(out: &mut [u8], key: &[u8], value: &[u8]) {
    let length = u32::try_from(key.len()).expect("transactions are limited to far less");
    out[..4].copy_from_slice(&length.to_be_bytes());
    out[4..4 + key.len()].copy_from_slice(key);
    out[4 + key.len()..].copy_from_slice(value);
}

pub(super) fn split_row(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = row.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

pub(super) fn damaged(what: &str) -> BackendError {
    BackendError::Damaged { what: what.into() }
}

fn unavailable(error: impl Into<redb::Error>) -> BackendError {
    match error.into() {
        redb::Error::Corrupted(what) => BackendError::Damaged { what: what.into() },
        other => BackendError::Unavailable { reason: other.to_string().into() },
    }
}
