//! The engine over SQLite: one file that every tool for databases can read, for small installations and as a second opinion
//! on the contract.
//!
//! `sqlite:///var/lib/atoll/atoll.db` names it. One thread writes: what waits is done in one SQL transaction, which is one flush
//! of SQLite's write-ahead log, and is acknowledged after that. A store is open in one process at a time. Only live values are in
//! the table, so there is nothing to compact but free pages, which go back to the file system when little is written.
//!
//! A full disk refuses the transactions at hand and nothing else; any other failure to write stops the engine for good.
//! It is built with the cargo feature `sqlite`. It does not aim to be as fast as the embedded engine.

mod layout;
mod writer;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use futures::future::{self, BoxFuture, FutureExt};

use self::writer::{Other, Writer};
use super::feed::Feed;
use super::writing::{Task, WriterThread};
use super::{
    Backend, BackendError, ChangeSink, CommitError, Guard, KeyRange, LoadVisitor, OpenError, Options, RangeDeleted,
    SubscribeError, Txn,
};

/// The engine over SQLite.
pub struct Sqlite {
    writer: WriterThread<Other>,
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens the store in a file, and makes the file and its directory if they are not there. Blocks.
    pub fn open(file: &Path, options: Options) -> Result<Arc<Self>, OpenError> {
        let (connection, revision) = layout::open(file, options.durability)?;
        let feed = Arc::new(Feed::new(revision));
        let revision = Arc::new(AtomicU64::new(revision));
        let writer = Writer::new(connection, feed.clone(), revision.clone(), options.durability);
        let thread = WriterThread::start("atoll-sqlite", feed, revision, move |queue| writer.run(queue));
        let writer = thread.map_err(|source| OpenError::Io { path: file.to_owned(), source })?;
        Ok(Arc::new(Self { writer }))
    }

    /// Lets the file grow to so many pages at most, as a full disk would.
    #[cfg(test)]
    pub(in crate::storage) async fn limit_pages(&self, pages: u32) {
        let limited = self.writer.submit(0, |reply| Task::Other(Other::Limit { pages, reply })).await;
        limited.expect("the writer runs");
    }
}

impl Backend for Sqlite {
    fn load(&self, visit: LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>> {
        async move {
            // The writer's connection is the only one, so it is the writer who reads.
            let loaded = self.writer.submit(0, |reply| Task::Other(Other::Load { visit, reply })).await;
            loaded.unwrap_or_else(|error| Err(BackendError::Unavailable { reason: error.to_string().into() }))
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
