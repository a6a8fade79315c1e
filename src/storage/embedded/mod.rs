//! The embedded engine: tables on the local disk with a log in front of them, many transactions to a flush.
//!
//! The tables are a redb database (`atoll.redb`), the log is two files (`atoll.log.0`, `atoll.log.1`), all in a directory of
//! their own, which is copied and restored as a whole. It is opened by one process at a time; a second one is told so.
//! A write is acknowledged when it is in the log; the tables follow, and what is only in the log when a process ends is brought
//! into them when the store is opened again. Reads in steady state do not come here: the cache above holds every value, so
//! redb's own cache is kept small.
//!
//! What happens when the disk fails: the batch being written is not acknowledged, and nothing is from then on.

mod check;
mod layout;
mod log;
mod overlay;
mod pending;
mod restore;
mod writer;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use futures::future::{self, BoxFuture, FutureExt};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageBackend};

pub use self::check::{Repair, Report, check};
use self::log::{ReadError, Segment};
use self::pending::Pending;
pub use self::restore::restore;
use self::writer::{Settle, Writer};
use super::feed::Feed;
use super::writing::{Task, WriterThread};
use super::{
    Backend, BackendError, ChangeSink, CommitError, Guard, KeyRange, LoadVisitor, OpenError, Options, RangeDeleted,
    StopCause, SubscribeError, Txn,
};

/// The database's file within its directory.
const FILE: &str = "atoll.redb";
/// The log's files.
const LOG_FILES: [&str; 2] = ["atoll.log.0", "atoll.log.1"];

/// redb's cache: enough for the inner pages of the tables and for a batch. What is not in it is in the operating system's
/// cache, and every value is in the cache above.
const CACHE_BYTES: usize = 4 << 20;

/// The embedded engine.
pub struct Embedded {
    database: Arc<Database>,
    writer: WriterThread<Settle>,
}

// === impl Embedded ===

impl Embedded {
    /// Opens the store in a directory, and makes both if they are not there. Blocks.
    pub fn open(directory: &Path, options: Options) -> Result<Arc<Self>, OpenError> {
        make_directory(directory).map_err(|source| OpenError::Io { path: directory.to_owned(), source })?;
        let file = directory.join(FILE);
        let created = redb::Builder::new().set_cache_size(CACHE_BYTES).create(&file);
        let database = created.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: file.clone() },
            DatabaseError::Storage(redb::StorageError::Io(source)) => OpenError::Io { path: file.clone(), source },
            other => OpenError::Engine { source: Box::new(other) },
        })?;
        let [first, second] = LOG_FILES.map(|name| open_log(&directory.join(name)));
        let log = [first?, second?];
        // The files' names must survive a power loss as their contents do.
        let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|source| OpenError::Io { path: directory.to_owned(), source })?;
        Self::start(database, log, options)
    }

    /// Opens the store on storages of bytes other than files: faulty ones in tests. Blocks.
    pub fn open_on(
        tables: impl StorageBackend,
        log: [Box<dyn StorageBackend>; 2],
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let created = redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(tables);
        Self::start(created.map_err(engine_failed)?, log, options)
    }

    fn start(database: Database, log: [Box<dyn StorageBackend>; 2], options: Options) -> Result<Arc<Self>, OpenError> {
        let meta = layout::prepare(&database)?;
        let [first, second] = log.map(|disk| Segment::open(disk, meta.secret).map_err(engine_failed));
        let segments = [first?, second?];
        let revision = recover(&database, &segments, meta.revision)?;
        let (database, feed) = (Arc::new(database), Arc::new(Feed::new(revision)));
        let revision = Arc::new(AtomicU64::new(revision));
        let writer = Writer::new(database.clone(), segments, feed.clone(), revision.clone(), options);
        let writer = writer.map_err(engine_failed)?;
        let thread = WriterThread::start("atoll-store", feed, revision, move |queue| writer.run(queue));
        Ok(Arc::new(Self { database, writer: thread.map_err(engine_failed)? }))
    }
}

impl Backend for Embedded {
    fn load(&self, visit: LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>> {
        async move {
            let settled = self.writer.submit(0, |reply| Task::Other(Settle(reply))).await;
            // A store that was closed has everything in its tables.
            if let Err(error) = settled
                && self.writer.stopped() != Some(StopCause::Closed)
            {
                return Err(BackendError::Unavailable { reason: error.to_string().into() });
            }
            let database = self.database.clone();
            let loaded = tokio::task::spawn_blocking(move || layout::load(&database, visit)).await;
            loaded.unwrap_or_else(|died| Err(BackendError::Unavailable { reason: died.to_string().into() }))
        }
        .boxed()
    }

    fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        future::ready(self.writer.subscribe(after, sink)).boxed()
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.writer.commit(txn).boxed()
    }

    fn delete_range(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Result<RangeDeleted, CommitError>> {
        self.writer.delete_range(range, limit, guard).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, BackendError>> {
        future::ready(Ok(self.writer.revision())).boxed()
    }

    fn compact(&self, revision: u64) -> BoxFuture<'_, Result<(), BackendError>> {
        self.writer.compact(revision);
        future::ready(Ok(())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.writer.close().boxed()
    }
}

/// Brings what is only in the log into the tables, and gives the revision that is reached thereby.
fn recover(database: &Database, segments: &[Segment], revision: u64) -> Result<u64, OpenError> {
    let mut frames = Vec::new();
    let mut ends = Vec::new();
    for segment in segments {
        let (found, end) = segment.read(revision).map_err(engine_failed)?;
        frames.extend(found);
        ends.push(end);
    }
    frames.sort_by_key(|frame| frame.base);
    let mut pending = Pending::default();
    let mut reached = revision;
    // What the tables have is left over.
    for frame in frames.into_iter().filter(|frame| frame.last > revision) {
        if frame.base != reached {
            let what = format!("what leads from revision {reached} to {} is missing", frame.base);
            return Err(engine_failed(ReadError::Damaged(what)));
        }
        reached = frame.last;
        pending.take(frame.changes);
    }
    for (segment, end) in segments.iter().zip(ends) {
        segment.check_rest(end, reached).map_err(engine_failed)?;
    }
    if !pending.is_empty() {
        tracing::info!(from = revision, to = reached, "bringing what is only in the log into the tables");
        pending.write(database).map_err(engine_failed)?;
    }
    Ok(reached)
}

fn open_log(path: &Path) -> Result<Box<dyn StorageBackend>, OpenError> {
    let io_failed = |source| OpenError::Io { path: path.to_owned(), source };
    let mut how = std::fs::OpenOptions::new();
    how.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
    let file = how.open(path).map_err(io_failed)?;
    match FileBackend::new(file) {
        Ok(file) => Ok(Box::new(file)),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(error) => Err(engine_failed(error)),
    }
}

fn engine_failed(error: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Engine { source: Box::new(error) }
}

/// Makes a directory that only this user may enter, unless it is there.
fn make_directory(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}
