//! The writer: drains the queue into batches, each of which is one SQL transaction, flushed once.
//!
//! For every batch the order is: check and write, commit durably, hand the changes to the sinks, answer. Whoever waits for an
//! answer therefore finds their write in the cache; and nobody sees what is not durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, TransactionBehavior};

use super::layout;
use crate::storage::feed::Feed;
use crate::storage::key::Decoder;
use crate::storage::writing::{Answer, Epitaph, LAX_FLUSH, MAX_BATCH, MAX_BATCH_BYTES, OtherTask, Reply, Task, Work};
use crate::storage::{
    Action, BackendError, Change, ChangeBatch, CommitError, Durability, Guard, Key, KeyRange, LoadVisitor,
    RangeDeleted, StopCause, Txn,
};

/// How long nothing is written before the file is tidied up.
const TIDY_AFTER: Duration = Duration::from_secs(2);
/// How many pages are given back at a time: writers do not wait long for that.
const TIDY_PAGES: i64 = 500;

/// What the writer is asked to do besides writing.
pub(super) enum Other {
    /// Visit every value.
    Load { visit: LoadVisitor, reply: Reply<Result<u64, BackendError>> },
    /// Let the file grow to so many pages at most.
    #[cfg(test)]
    Limit { pages: u32, reply: Reply<()> },
}

/// The one thread that writes, and reads.
pub(super) struct Writer {
    connection: Connection,
    feed: Arc<Feed>,
    /// The last revision that is acknowledged, for all to see.
    revision: Arc<AtomicU64>,
    durability: Durability,
    /// Whether the file has not been tidied up since something was written.
    untidy: bool,
    /// Whether something is written that was not flushed.
    unflushed: bool,
}

/// What a batch has done so far.
struct Batch<'c> {
    connection: &'c Connection,
    revision: u64,
    changes: Vec<Change>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        connection: Connection,
        feed: Arc<Feed>,
        revision: Arc<AtomicU64>,
        durability: Durability,
    ) -> Self {
        Self { connection, feed, revision, durability, untidy: true, unflushed: false }
    }

    /// Works until the queue is closed or the disk fails.
    pub(super) fn run(mut self, queue: &Receiver<Work<Other>>) {
        let epitaph = Epitaph::new(self.feed.clone());
        let outcome = self.work(queue);
        // Before anybody is told: who opens the store again right then must find it free.
        drop(self.connection);
        epitaph.write(outcome, queue);
    }

    fn work(&mut self, queue: &Receiver<Work<Other>>) -> Result<(), Error> {
        while let Some(first) = self.receive(queue)? {
            let (tasks, last) = drain(first, queue);
            self.write(tasks)?;
            match last {
                None => {}
                Some(Task::Close { reply }) => {
                    drop(reply.send(Ok(())));
                    return Ok(());
                }
                Some(Task::Other(Other::Load { visit, reply })) => {
                    let revision = self.revision.load(Ordering::Acquire);
                    drop(reply.send(Ok(layout::load(&self.connection, revision, visit))));
                }
                #[cfg(test)]
                Some(Task::Other(Other::Limit { pages, reply })) => {
                    let limited =
                        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
                    drop(reply.send(Ok(limited?)));
                }
                Some(Task::Commit { .. } | Task::DeleteRange { .. }) => {}
            }
        }
        Ok(())
    }

    /// Waits for work, and meanwhile does what is due.
    fn receive(&mut self, queue: &Receiver<Work<Other>>) -> Result<Option<Work<Other>>, Error> {
        while self.untidy || self.unflushed {
            match queue.recv_timeout(if self.unflushed { LAX_FLUSH } else { TIDY_AFTER }) {
                Ok(work) => return Ok(Some(work)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.tidy()?,
            }
        }
        Ok(queue.recv().ok())
    }

    /// Flushes what was not, or makes the file smaller by a little.
    fn tidy(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.unflushed) {
            self.untidy = layout::give_back(&self.connection, TIDY_PAGES)?;
        }
        layout::checkpoint(&self.connection)
    }

    /// Writes a batch, makes it durable, hands it over and answers.
    fn write(&mut self, tasks: Vec<Task<Other>>) -> Result<(), Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        let revision = self.revision.load(Ordering::Acquire);
        let mut tasks = tasks.into_iter();
        let mut answers = Vec::with_capacity(tasks.len());
        match commit_all(&mut self.connection, revision, &mut tasks, &mut answers) {
            Ok((revision, changes)) => {
                self.revision.store(revision, Ordering::Release);
                if !changes.is_empty() {
                    self.untidy = true;
                    self.unflushed = self.durability == Durability::Relaxed;
                    self.feed.publish(ChangeBatch { revision, changes });
                }
                answers.into_iter().for_each(Answer::give);
                Ok(())
            }
            // SQLite has undone what it had begun: the frame that ends a transaction is the last to be written.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) && self.connection.is_autocommit() => {
                tracing::warn!(%error, "the store is full");
                let full = CommitError::Full { reason: error.to_string().into() };
                answers.into_iter().for_each(|answer| answer.refuse(&full));
                tasks.for_each(|task| task.refuse(&full));
                Ok(())
            }
            Err(error) => {
                let cause = StopCause::Failed(error.to_string().into());
                // Whoever learns that the store has failed finds that everybody knows.
                self.feed.stop(cause.clone());
                let fatal = cause.fatal();
                answers.into_iter().for_each(|answer| answer.refuse(&fatal));
                tasks.for_each(|task| task.refuse(&fatal));
                Err(error)
            }
        }
    }
}

/// Does all tasks in one SQL transaction; gives the revision reached, and what changed.
fn commit_all(
    connection: &mut Connection,
    revision: u64,
    tasks: &mut impl Iterator<Item = Task<Other>>,
    answers: &mut Vec<Answer>,
) -> Result<(u64, Vec<Change>), Error> {
    let sql = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut batch = Batch { connection: &sql, revision, changes: Vec::new() };
    for task in tasks {
        batch.perform(task, answers)?;
    }
    let Batch { revision, changes, .. } = batch;
    if !changes.is_empty() {
        layout::write_revision(&sql, revision)?;
    }
    sql.commit()?;
    Ok((revision, changes))
}

/// The writing tasks at hand, as many as fit into a batch, and the one after them if that is of another sort.
fn drain(first: Work<Other>, queue: &Receiver<Work<Other>>) -> (Vec<Task<Other>>, Option<Task<Other>>) {
    let (mut tasks, mut bytes) = (Vec::new(), 0);
    let mut next = Some(first);
    while let Some(work) = next {
        if !matches!(work.task, Task::Commit { .. } | Task::DeleteRange { .. }) {
            return (tasks, Some(work.task));
        }
        bytes += work.task.size();
        tasks.push(work.task);
        let fits = tasks.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES;
        next = if fits { queue.try_recv().ok() } else { None };
    }
    (tasks, None)
}

// === impl Batch ===

impl Batch<'_> {
    fn perform(&mut self, task: Task<Other>, answers: &mut Vec<Answer>) -> Result<(), Error> {
        // The answer is kept also when this fails: then it is refused with all others of the batch.
        match task {
            Task::Commit { txn, keys, reply } => {
                let done = self.commit(txn, &keys);
                let (outcome, error) = split(done, 0);
                answers.push(Answer::Commit(reply, outcome));
                error
            }
            Task::DeleteRange { range, limit, guard, reply } => {
                let done = self.delete_range(&range, limit, guard.as_ref());
                let (outcome, error) = split(done, RangeDeleted { revision: 0, deleted: 0, more: false });
                answers.push(Answer::DeleteRange(reply, outcome));
                error
            }
            // They are no part of a batch.
            _ => Ok(()),
        }
    }

    fn commit(&mut self, txn: Txn, keys: &[Vec<u8>]) -> Result<Result<u64, CommitError>, Error> {
        let mut present = Vec::with_capacity(keys.len());
        for (index, (op, key)) in txn.ops.iter().zip(keys).enumerate() {
            let current = layout::revision_of(self.connection, key)?;
            if !op.expect.holds(current) {
                return Ok(Err(CommitError::Conflict { index, key: op.key.clone(), current }));
            }
            present.push(current.is_some());
        }
        let before = self.changes.len();
        for ((op, key), present) in txn.ops.into_iter().zip(keys).zip(present) {
            match op.action {
                Action::Put(value) => self.put(op.key, key, value)?,
                Action::Delete if present => self.delete(op.key, key)?,
                Action::Delete | Action::Check => {}
            }
        }
        self.advance(before);
        Ok(Ok(self.revision))
    }

    fn delete_range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        guard: Option<&Guard>,
    ) -> Result<Result<RangeDeleted, CommitError>, Error> {
        if let Some(guard) = guard
            && let Err(conflict) = guard.check(layout::revision_of(self.connection, &guard.key.encode())?)
        {
            return Ok(Err(conflict));
        }
        let mut found = layout::first_keys(self.connection, (&range.start, &range.end), limit.saturating_add(1))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let before = self.changes.len();
        let mut decoder = Decoder::default();
        for encoded in found {
            let key = decoder.decode(&encoded).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))?;
            self.delete(key, &encoded)?;
        }
        let deleted = self.changes.len() - before;
        self.advance(before);
        Ok(Ok(RangeDeleted { revision: self.revision, deleted, more }))
    }

    fn put(&mut self, key: Key, encoded: &[u8], value: bytes::Bytes) -> Result<(), Error> {
        let revision = self.revision + 1;
        layout::put(self.connection, encoded, revision, &value)?;
        self.changes.push(Change { revision, key, value: Some(value) });
        Ok(())
    }

    fn delete(&mut self, key: Key, encoded: &[u8]) -> Result<(), Error> {
        layout::delete(self.connection, encoded)?;
        self.changes.push(Change { revision: self.revision + 1, key, value: None });
        Ok(())
    }

    /// Takes the next revision if there are changes after the first `before`.
    fn advance(&mut self, before: usize) {
        if self.changes.len() > before {
            self.revision += 1;
        }
    }
}

/// The outcome to answer with, some outcome if there is none, and the failure.
fn split<T>(done: Result<Result<T, CommitError>, Error>, none: T) -> (Result<T, CommitError>, Result<(), Error>) {
    match done {
        Ok(outcome) => (outcome, Ok(())),
        Err(error) => (Ok(none), Err(error)),
    }
}

// === impl Other ===

impl OtherTask for Other {
    fn refuse(self, error: &CommitError) {
        // Whoever does not wait any more need not know.
        match self {
            Self::Load { reply, .. } => drop(reply.send(Err(error.clone()))),
            #[cfg(test)]
            Self::Limit { reply, .. } => drop(reply.send(Err(error.clone()))),
        }
    }
}
