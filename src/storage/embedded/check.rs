//! Checks a store that nobody has open, table by table and frame by frame, and repairs what can be repaired.
//!
//! Without repair nothing is written: what opening would bring in order is brought in order in memory. A repair keeps every value
//! that can be read; what cannot be understood is taken out and handed over to whoever asked.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::layout::{self, INDEX, META, REVISION, ROWS, RowId};
use super::log::Segment;
use super::overlay::Overlay;
use super::pending::Pending;
use super::{CACHE_BYTES, FILE, LOG_FILES, engine_failed};
use crate::storage::cache::VALUE_PREFIX;
use crate::storage::{Key, OpenError};

/// Whether what is wrong is only told, or also put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing is written.
    Nothing,
    /// What can be put right is.
    Everything,
}

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The store's revision.
    pub revision: u64,
    /// How many values are sound.
    pub values: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many changes were only in the log.
    pub logged: u64,
    /// What is wrong, each as a sentence.
    pub faults: Vec<String>,
    /// What a repair takes, or has taken, out: the bytes of rows that make no sense.
    pub removed: Vec<Bytes>,
}

/// What is known of the rows.
#[derive(Default)]
struct Rows {
    /// Where the newest row of each key is.
    newest: BTreeMap<Vec<u8>, RowId>,
    /// Rows that are to go.
    superfluous: Vec<RowId>,
}

/// Checks the store in a directory. Blocks.
pub fn check(directory: &Path, repair: Repair) -> Result<Report, OpenError> {
    let file = directory.join(FILE);
    if !file.exists() {
        return Err(OpenError::Io { path: file, source: std::io::ErrorKind::NotFound.into() });
    }
    let mut logs = Vec::new();
    for name in LOG_FILES {
        let path = directory.join(name);
        if path.exists() {
            logs.push(open_file(&path)?);
        }
    }
    // Pages of which nothing is as it was may make the tables' own code give up.
    let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&file, logs, repair)));
    looked.unwrap_or_else(|_| {
        let why = "the tables make no sense, and nothing can be repaired; restore a backup";
        Ok(Report { faults: vec![why.into()], ..Report::default() })
    })
}

fn look(file: &Path, logs: Vec<FileBackend>, repair: Repair) -> Result<Report, OpenError> {
    let mut report = Report::default();
    match repair {
        Repair::Nothing => {
            let over = |file| Overlay::over(file).map_err(engine_failed);
            let logs = logs.into_iter().map(|log| over(log).map(boxed)).collect::<Result<Vec<_>, _>>()?;
            inspect(builder().create_with_backend(over(open_file(file)?)?), file, logs, &mut report)?;
        }
        Repair::Everything => {
            inspect(builder().create(file), file, logs.into_iter().map(boxed).collect(), &mut report)?;
        }
    }
    Ok(report)
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES * 4);
    builder
}

fn boxed(disk: impl StorageBackend) -> Box<dyn StorageBackend> {
    Box::new(disk)
}

fn open_file(path: &Path) -> Result<FileBackend, OpenError> {
    let io_failed = |source| OpenError::Io { path: path.to_owned(), source };
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).map_err(io_failed)?;
    FileBackend::new(file).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.to_owned() },
        other => engine_failed(other),
    })
}

/// Finds what is wrong and puts it right, in tables and on disks that take it or only seem to.
fn inspect(
    tables: Result<Database, DatabaseError>,
    file: &Path,
    logs: Vec<Box<dyn StorageBackend>>,
    report: &mut Report,
) -> Result<(), OpenError> {
    let mut database = match tables {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(OpenError::InUse { path: file.to_owned() }),
        Err(error) => {
            report
                .faults
                .push(format!("the tables cannot be opened, and nothing can be repaired: {error}; restore a backup"));
            return Ok(());
        }
    };
    match database.check_integrity() {
        Ok(true) => {}
        Ok(false) => {
            report.faults.push("a checksum of the tables does not fit; they go back to their last sound state".into())
        }
        Err(error) => {
            report
                .faults
                .push(format!("the tables cannot be read, and nothing can be repaired: {error}; restore a backup"));
            return Ok(());
        }
    }
    let meta = layout::prepare(&database)?;
    report.revision = meta.revision;
    take_log(&database, logs, meta, report)?;
    let walked = walk(&database, report).map_err(engine_failed)?;
    put_right(&database, &walked, report).map_err(engine_failed)
}

/// Brings what is only in the log into the tables, as far as it can be read.
fn take_log(
    database: &Database,
    logs: Vec<Box<dyn StorageBackend>>,
    meta: layout::Meta,
    report: &mut Report,
) -> Result<(), OpenError> {
    let mut segments = Vec::new();
    for disk in logs {
        segments.push(Segment::open(disk, meta.secret).map_err(engine_failed)?);
    }
    let (mut frames, mut ends) = (Vec::new(), Vec::new());
    for segment in &segments {
        match segment.read(meta.revision) {
            Ok((found, end)) => {
                frames.extend(found);
                ends.push(end);
            }
            Err(error) => {
                report.faults.push(format!("{error}; what stands behind it is lost"));
                ends.push(0);
            }
        }
    }
    frames.sort_by_key(|frame| frame.base);
    let mut pending = Pending::default();
    let mut reached = meta.revision;
    for frame in frames.into_iter().filter(|frame| frame.last > meta.revision) {
        if frame.base != reached {
            let (from, to) = (frame.base, frame.last);
            report.faults.push(format!("the log goes on from revision {from} to {to}, but what leads from {reached} there is missing; it is lost"));
            break;
        }
        reached = frame.last;
        report.logged += frame.changes.len() as u64;
        pending.take(frame.changes);
    }
    let mut damaged = !report.faults.is_empty();
    for (segment, end) in segments.iter().zip(ends) {
        if let Err(error) = segment.check_rest(end, reached) {
            report.faults.push(format!("{error}; what stands behind it is lost"));
            damaged = true;
        }
    }
    report.revision = reached;
    if !pending.is_empty() {
        pending.write(database).map_err(engine_failed)?;
    }
    if damaged {
        // All that can be read is in the tables now.
        segments.iter_mut().try_for_each(Segment::clear).map_err(engine_failed)?;
    }
    Ok(())
}

/// Looks at every row, and at the way from every key to its row.
fn walk(database: &Database, report: &mut Report) -> Result<Rows, redb::Error> {
    let txn = database.begin_read()?;
    let (rows, index) = (txn.open_table(ROWS)?, txn.open_table(INDEX)?);
    let mut walked = Rows::default();
    for row in rows.iter()? {
        let (id, row) = row?;
        let (id, row) = (id.value(), row.value());
        if let Some(fault) = fault_of(row) {
            report.faults.push(format!("row {}/{}: {fault}; it is taken out", id.0, id.1));
            report.removed.push(Bytes::copy_from_slice(row));
            walked.superfluous.push(id);
            continue;
        }
        if id.0 > report.revision {
            report.faults.push(format!("row {}/{} is newer than the store's revision {}", id.0, id.1, report.revision));
            report.revision = id.0;
        }
        let (key, value) = layout::split_row(row).expect("it was looked at");
        report.values += 1;
        report.bytes += value.len() as u64;
        if let Some(older) = walked.newest.insert(key.to_vec(), id) {
            let name = String::from_utf8_lossy(key).into_owned();
            report.faults.push(format!("{name} has two values; that of revision {} is taken out", older.0));
            report.removed.extend(rows.get(older)?.map(|row| Bytes::copy_from_slice(row.value())));
            report.values -= 1;
            walked.superfluous.push(older);
        }
    }
    let mut indexed = 0;
    for entry in index.iter()? {
        let (key, id) = entry?;
        indexed += 1;
        if walked.newest.get(key.value()) != Some(&id.value()) {
            let name = String::from_utf8_lossy(key.value()).into_owned();
            report.faults.push(format!("the index leads from {name} to a row that is not its own"));
        }
    }
    if indexed < walked.newest.len() {
        let missing = walked.newest.len() - indexed;
        report.faults.push(format!("the index does not know {missing} of the keys"));
    }
    Ok(walked)
}

/// Writes the index anew and takes out what makes no sense, if there is anything to put right.
fn put_right(database: &Database, walked: &Rows, report: &Report) -> Result<(), redb::Error> {
    if report.faults.is_empty() {
        return Ok(());
    }
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    txn.delete_table(INDEX)?;
    {
        let mut rows = txn.open_table(ROWS)?;
        for id in &walked.superfluous {
            rows.remove(*id)?;
        }
        let mut index = txn.open_table(INDEX)?;
        for (key, id) in &walked.newest {
            index.insert(key.as_slice(), *id)?;
        }
        txn.open_table(META)?.insert(REVISION, report.revision)?;
    }
    Ok(txn.commit()?)
}

/// What is wrong with a row by itself.
fn fault_of(row: &[u8]) -> Option<String> {
    let Some((key, value)) = layout::split_row(row) else { return Some("it is too short".into()) };
    let key = match Key::decode(key) {
        Ok(key) => key,
        Err(error) => return Some(error.to_string()),
    };
    if !value.starts_with(VALUE_PREFIX) {
        return Some(format!("{key} holds no object"));
    }
    // What the server keeps for itself need not be an object beyond its metadata.
    if key.resource.group.starts_with('-') {
        return None;
    }
    match serde_json::from_slice::<Stored>(value) {
        Err(error) => Some(format!("{key} holds no JSON: {error}")),
        Ok(stored) if stored.metadata.name.as_deref() != Some(&*key.name) => {
            Some(format!("{key} holds an object of another name"))
        }
        Ok(_) => None,
    }
}

/// The little that every object has.
#[derive(Deserialize)]
struct Stored {
    metadata: Metadata,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
}
