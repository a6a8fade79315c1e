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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;

use futures::future::{self, BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use self::writer::{Task, Work, Writer};
use super::feed::Feed;
use super::{
    Backend, BackendError, ChangeSink, CommitError, Guard, KeyRange, LoadVisitor, OpenError, Options, RangeDeleted,
    StopCause, SubscribeError, Txn,
};

/// How many KiB of transactions may wait for the writer.
const QUEUE_KIB: usize = 64 << 10;

/// The engine over SQLite.
pub struct Sqlite {
    feed: Arc<Feed>,
    /// The last revision that was acknowledged.
    revision: Arc<AtomicU64>,
    queue: mpsc::Sender<Work>,
    room: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens the store in a file, and makes the file and its directory if they are not there. Blocks.
    pub fn open(file: &Path, options: Options) -> Result<Arc<Self>, OpenError> {
        let (connection, revision) = layout::open(file, options.durability)?;
        let feed = Arc::new(Feed::new(revision));
        let revision = Arc::new(AtomicU64::new(revision));
        let (queue, work) = mpsc::channel();
        let writer = Writer::new(connection, feed.clone(), revision.clone(), options.durability);
        let thread = std::thread::Builder::new().name("atoll-sqlite".to_owned()).spawn(move || writer.run(&work));
        let writer = thread.map_err(|source| OpenError::Io { path: file.to_owned(), source })?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB));
        Ok(Arc::new(Self { feed, revision, queue, room, writer: Mutex::new(Some(writer)) }))
    }

    /// Lets the file grow to so many pages at most, as a full disk would.
    #[cfg(test)]
    pub(in crate::storage) async fn limit_pages(&self, pages: u32) {
        self.submit(0, |reply| Task::Limit { pages, reply }).await.expect("the writer runs");
    }

    async fn submit<T>(
        &self,
        size: usize,
        task: impl FnOnce(oneshot::Sender<Result<T, CommitError>>) -> Task,
    ) -> Result<T, CommitError> {
        let permits = u32::try_from(size / 1024 + 1).unwrap_or(u32::MAX).min(QUEUE_KIB as u32);
        let room = self.room.clone().acquire_many_owned(permits).await.map_err(|_| self.fatal())?;
        let (reply, answer) = oneshot::channel();
        self.queue.send(Work { task: task(reply), _room: room }).map_err(|_| self.fatal())?;
        // The writer drops an answer only when it ends.
        answer.await.unwrap_or_else(|_| Err(self.fatal()))
    }

    fn fatal(&self) -> CommitError {
        let cause = self.feed.stopped();
        CommitError::Fatal { reason: cause.map_or_else(|| Arc::from("its writer died"), |cause| cause.reason()) }
    }
}

impl Backend for Sqlite {
    fn load(&self, visit: LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>> {
        async move {
            // The writer's connection is the only one, so it is the writer who reads.
            let loaded = self.submit(0, |reply| Task::Load { visit, reply }).await;
            loaded.unwrap_or_else(|error| Err(BackendError::Unavailable { reason: error.to_string().into() }))
        }
        .boxed()
    }

    fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        future::ready(self.feed.subscribe(after, sink)).boxed()
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<u64, CommitError>> {
        async move {
            let keys = txn.encode_keys()?;
            let size = txn.ops.iter().map(|op| op.action.size()).sum();
            self.submit(size, |reply| Task::Commit { txn, keys, reply }).await
        }
        .boxed()
    }

    fn delete_range(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Result<RangeDeleted, CommitError>> {
        self.submit(0, move |reply| Task::DeleteRange { range, limit, guard, reply }).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, BackendError>> {
        future::ready(Ok(self.revision.load(Ordering::Acquire))).boxed()
    }

    fn compact(&self, revision: u64) -> BoxFuture<'_, Result<(), BackendError>> {
        // The table holds live values only.
        self.feed.compact(revision);
        future::ready(Ok(())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            // What was submitted before is finished first: the queue is in order.
            let closed: Result<(), CommitError> = self.submit(0, |reply| Task::Close { reply }).await;
            drop(closed);
            let writer = self.writer.lock().take();
            if let Some(writer) = writer {
                // A writer that panicked has nothing more to say.
                let _ = tokio::task::spawn_blocking(move || writer.join()).await;
            }
            self.feed.stop(StopCause::Closed);
        }
        .boxed()
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Without senders the writer finishes by itself; waiting lets the file be opened again right after. The writer
        // itself may be the last to let go of a sink, and so of this engine: then there is nobody to wait for.
        let (nobody, _) = mpsc::channel();
        self.queue = nobody;
        if let Some(writer) = self.writer.get_mut().take()
            && writer.thread().id() != std::thread::current().id()
        {
            let _ = writer.join();
        }
    }
}
