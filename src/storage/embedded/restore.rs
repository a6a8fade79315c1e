//! A store made of what a backup holds, with the revisions that the values had.
//!
//! It is made beside its place and put there when it is whole, so that half of one is never opened.

use std::path::Path;

use bytes::Bytes;

use super::layout::{self, INDEX, META, REVISION, ROWS, row_len, write_row};
use super::{CACHE_BYTES, FILE, engine_failed, make_directory};
use crate::storage::OpenError;

/// How many values are written in one step.
const STEP: usize = 4096;

/// Makes a store in a directory that is not there yet. The values come with their encoded keys, each once, and the revisions that
/// put them; the store goes on after `revision`. Blocks.
pub fn restore(
    directory: &Path,
    revision: u64,
    values: impl IntoIterator<Item = (Vec<u8>, u64, Bytes)>,
) -> Result<(), OpenError> {
    let io_failed = |source| OpenError::Io { path: directory.to_owned(), source };
    if directory.exists() {
        return Err(io_failed(std::io::Error::from(std::io::ErrorKind::AlreadyExists)));
    }
    let partial = directory.with_extension("partial");
    if partial.exists() {
        // What an earlier attempt left.
        std::fs::remove_dir_all(&partial).map_err(io_failed)?;
    }
    make_directory(&partial).map_err(io_failed)?;
    let database = redb::Builder::new().set_cache_size(CACHE_BYTES * 16).create(partial.join(FILE));
    let database = database.map_err(engine_failed)?;
    layout::prepare(&database)?;
    fill(&database, revision, values).map_err(engine_failed)?;
    drop(database);
    std::fs::rename(&partial, directory).map_err(io_failed)?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io_failed)
}

fn fill(
    database: &redb::Database,
    revision: u64,
    values: impl IntoIterator<Item = (Vec<u8>, u64, Bytes)>,
) -> Result<(), redb::Error> {
    // Those of one revision are told apart by their number.
    let mut numbers = std::collections::HashMap::new();
    let mut values = values.into_iter().peekable();
    while values.peek().is_some() {
        let mut txn = database.begin_write()?;
        txn.set_quick_repair(true);
        {
            let mut rows = txn.open_table(ROWS)?;
            let mut index = txn.open_table(INDEX)?;
            for (key, revision, value) in values.by_ref().take(STEP) {
                let number: &mut u32 = numbers.entry(revision).or_default();
                let id = (revision, *number);
                *number += 1;
                let mut place = rows.insert_reserve(id, row_len(&key, &value))?;
                write_row(place.as_mut(), &key, &value);
                drop(place);
                index.insert(key.as_slice(), id)?;
            }
        }
        txn.commit()?;
    }
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    txn.open_table(META)?.insert(REVISION, revision)?;
    Ok(txn.commit()?)
}
