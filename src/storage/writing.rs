//! What engines have in common that leave writing to one thread: the queue in front of it, what may be asked of it, and the
//! answers that are given once a batch is durable. It does not know how a batch is written.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::feed::Feed;
use super::{ChangeSink, CommitError, Guard, KeyRange, RangeDeleted, StopCause, SubscribeError, Txn};

/// How many KiB of transactions may wait for the writer.
const QUEUE_KIB: usize = 64 << 10;

/// The most tasks and bytes of values in a batch: enough to make flushes rare, few enough to answer soon.
pub(super) const MAX_BATCH: usize = 1024;
pub(super) const MAX_BATCH_BYTES: usize = 8 << 20;

/// How long a lax writer leaves what it has written without a flush.
pub(super) const LAX_FLUSH: Duration = Duration::from_millis(200);

/// The thread that writes, as those see it who have something written. `O` is what else an engine asks of its writer.
pub(super) struct WriterThread<O: OtherTask> {
    feed: Arc<Feed>,
    /// The last revision that is acknowledged.
    revision: Arc<AtomicU64>,
    queue: mpsc::Sender<Work<O>>,
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A task in the queue, and the room it takes there.
pub(super) struct Work<O> {
    pub(super) task: Task<O>,
    _room: OwnedSemaphorePermit,
}

/// What a writer is asked to do, and whom to answer.
pub(super) enum Task<O> {
    /// Commit a transaction, whose keys are encoded already.
    Commit { txn: Txn, keys: Vec<Vec<u8>>, reply: Reply<u64> },
    /// Delete the first keys of a range.
    DeleteRange { range: KeyRange, limit: usize, guard: Option<Guard>, reply: Reply<RangeDeleted> },
    /// Finish what was asked before, then stop.
    Close { reply: Reply<()> },
    /// Something of the engine's own.
    Other(O),
}

/// A task that only one engine has.
pub(super) trait OtherTask: Send + 'static {
    /// Answers that it will not be done.
    fn refuse(self, error: &CommitError);
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, CommitError>>;

/// An answer that is given once the batch is durable.
pub(super) enum Answer {
    Commit(Reply<u64>, Result<u64, CommitError>),
    DeleteRange(Reply<RangeDeleted>, Result<RangeDeleted, CommitError>),
}

/// Tells the sinks when a writer ends, in whatever way.
pub(super) struct Epitaph(Arc<Feed>);

// === impl WriterThread ===

impl<O: OtherTask> WriterThread<O> {
    /// Starts the thread; `run` gets the queue and works until it is closed or the disk fails.
    pub(super) fn start(
        name: &str,
        feed: Arc<Feed>,
        revision: Arc<AtomicU64>,
        run: impl FnOnce(&Receiver<Work<O>>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, work) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&work))?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB));
        Ok(Self { feed, revision, queue, room, thread: Mutex::new(Some(thread)) })
    }

    /// Has something done that is of so many bytes, and waits for the answer.
    pub(super) async fn submit<T>(
        &self,
        size: usize,
        task: impl FnOnce(Reply<T>) -> Task<O>,
    ) -> Result<T, CommitError> {
        let permits = u32::try_from(size / 1024 + 1).unwrap_or(u32::MAX).min(QUEUE_KIB as u32);
        let room = self.room.clone().acquire_many_owned(permits).await.map_err(|_| self.fatal())?;
        let (reply, answer) = oneshot::channel();
        self.queue.send(Work { task: task(reply), _room: room }).map_err(|_| self.fatal())?;
        // The writer drops an answer only when it ends.
        answer.await.unwrap_or_else(|_| Err(self.fatal()))
    }

    pub(super) async fn commit(&self, txn: Txn) -> Result<u64, CommitError> {
        let keys = txn.encode_keys()?;
        self.submit(txn.size(), |reply| Task::Commit { txn, keys, reply }).await
    }

    pub(super) async fn delete_range(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> Result<RangeDeleted, CommitError> {
        self.submit(0, move |reply| Task::DeleteRange { range, limit, guard, reply }).await
    }

    pub(super) fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> Result<(), SubscribeError> {
        self.feed.subscribe(after, sink)
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Lets go of the history up to a revision. Only the feed has one: engines keep live values only.
    pub(super) fn compact(&self, revision: u64) {
        self.feed.compact(revision);
    }

    /// Why the writer stopped, if it did.
    pub(super) fn stopped(&self) -> Option<StopCause> {
        self.feed.stopped()
    }

    /// Stops the writer after what was submitted before: the queue is in order.
    pub(super) async fn close(&self) {
        let closed: Result<(), CommitError> = self.submit(0, |reply| Task::Close { reply }).await;
        drop(closed);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // A writer that panicked has nothing more to say.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.feed.stop(StopCause::Closed);
    }

    fn fatal(&self) -> CommitError {
        let cause = self.feed.stopped();
        CommitError::Fatal { reason: cause.map_or_else(|| Arc::from("its writer died"), |cause| cause.reason()) }
    }
}

impl<O: OtherTask> Drop for WriterThread<O> {
    fn drop(&mut self) {
        // Without senders the writer finishes by itself; waiting lets the file be opened again right after. The writer
        // itself may be the last to let go of a sink, and so of this engine: then there is nobody to wait for.
        let (nobody, _) = mpsc::channel();
        self.queue = nobody;
        if let Some(thread) = self.thread.get_mut().take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

// === impl Task ===

impl<O: OtherTask> Task<O> {
    /// How many bytes of values it brings.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Commit { txn, .. } => txn.size(),
            Self::DeleteRange { .. } | Self::Close { .. } | Self::Other(_) => 0,
        }
    }

    /// Answers that it will not be done.
    pub(super) fn refuse(self, error: &CommitError) {
        // Whoever does not wait any more need not know.
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(error.clone()))),
            Self::DeleteRange { reply, .. } => drop(reply.send(Err(error.clone()))),
            Self::Close { reply } => drop(reply.send(Err(error.clone()))),
            Self::Other(task) => task.refuse(error),
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(super) fn give(self) {
        // Whoever does not wait any more need not know.
        match self {
            Self::Commit(reply, outcome) => drop(reply.send(outcome)),
            Self::DeleteRange(reply, outcome) => drop(reply.send(outcome)),
        }
    }

    /// Answers that the batch was not written, whatever the outcome was to be.
    pub(super) fn refuse(self, error: &CommitError) {
        match self {
            Self::Commit(reply, _) => drop(reply.send(Err(error.clone()))),
            Self::DeleteRange(reply, _) => drop(reply.send(Err(error.clone()))),
        }
    }
}

// === impl Epitaph ===

impl Epitaph {
    pub(super) fn new(feed: Arc<Feed>) -> Self {
        Self(feed)
    }

    /// Tells everybody how the writer ended, and refuses what still waits.
    pub(super) fn write<O: OtherTask>(self, outcome: Result<(), impl Display>, queue: &Receiver<Work<O>>) {
        let cause = match outcome {
            Ok(()) => StopCause::Closed,
            Err(error) => {
                tracing::error!(%error, "the store cannot be written any more");
                StopCause::Failed(error.to_string().into())
            }
        };
        let fatal = cause.fatal();
        self.0.stop(cause);
        for work in queue.try_iter() {
            work.task.refuse(&fatal);
        }
    }
}

impl Drop for Epitaph {
    fn drop(&mut self) {
        // Does nothing when the writer ended in order.
        self.0.stop(StopCause::Failed("its writer died".into()));
    }
}

// === impl StopCause ===

impl StopCause {
    /// What those are told who still wanted something written.
    pub(super) fn fatal(&self) -> CommitError {
        CommitError::Fatal { reason: self.reason() }
    }
}
