//! The writer: drains the queue into batches, and makes each batch durable with one flush.
//!
//! For every batch the order is: write, flush, hand the changes to the sinks, answer. Whoever waits for an answer
//! therefore finds their write in the cache; and nobody sees what is not durable.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use redb::{Database, ReadableTable, Table};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::layout::{INDEX, META, REVISION, ROWS, RowId, row_len, write_row};
use crate::storage::feed::Feed;
use crate::storage::key::Decoder;
use crate::storage::{
    Action, Change, ChangeBatch, CommitError, Durability, Guard, Key, KeyRange, RangeDeleted, StopCause, Txn,
};

/// The most tasks and bytes of values in a batch: enough to make flushes rare, few enough to answer soon.
const MAX_BATCH: usize = 1024;
const MAX_BATCH_BYTES: usize = 8 << 20;

/// How long a lax writer leaves what it has written without a flush.
const LAX_FLUSH: Duration = Duration::from_millis(200);

/// A task in the queue, and the room it takes there.
pub(super) struct Work {
    pub(super) task: Task,
    pub(super) _room: OwnedSemaphorePermit,
}

/// What the writer is asked to do, and whom to answer.
pub(super) enum Task {
    /// Commit a transaction, whose keys are encoded already.
    Commit { txn: Txn, keys: Vec<Vec<u8>>, reply: Reply<u64> },
    /// Delete the first keys of a range.
    DeleteRange { range: KeyRange, limit: usize, guard: Option<Guard>, reply: Reply<RangeDeleted> },
    /// Flush and stop.
    Close { reply: Reply<()> },
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, CommitError>>;

/// The one thread that writes.
pub(super) struct Writer {
    database: Arc<Database>,
    feed: Arc<Feed>,
    revision: u64,
    durability: Durability,
    /// Since when something is written that was not flushed.
    unflushed: Option<Instant>,
}

/// An answer that is given once the batch is durable.
enum Answer {
    Commit(Reply<u64>, Result<u64, CommitError>),
    DeleteRange(Reply<RangeDeleted>, Result<RangeDeleted, CommitError>),
    Close(Reply<()>),
}

/// The tables while a batch is written.
struct Tables<'txn> {
    rows: Table<'txn, RowId, &'static [u8]>,
    index: Table<'txn, &'static [u8], RowId>,
}

/// What a batch has done so far.
struct Batch {
    revision: u64,
    changes: Vec<Change>,
    answers: Vec<Answer>,
}

/// Tells the sinks when the writer ends, in whatever way.
struct Epitaph(Arc<Feed>);

// === impl Writer ===

impl Writer {
    pub(super) fn new(database: Arc<Database>, feed: Arc<Feed>, revision: u64, durability: Durability) -> Self {
        Self { database, feed, revision, durability, unflushed: None }
    }

    /// Works until the queue is closed or the disk fails.
    pub(super) fn run(mut self, queue: &Receiver<Work>) {
        let _epitaph = Epitaph(self.feed.clone());
        let outcome = self.work(queue);
        let cause = match outcome {
            Ok(()) => StopCause::Closed,
            Err(error) => {
                tracing::error!(%error, "the store cannot be written any more");
                StopCause::Failed(error.to_string().into())
            }
        };
        self.feed.stop(cause.clone());
        for work in queue.try_iter() {
            work.task.refuse(&cause);
        }
    }

    fn work(&mut self, queue: &Receiver<Work>) -> Result<(), redb::Error> {
        while let Some(work) = self.receive(queue)? {
            let (tasks, closing) = drain(work, queue);
            let batch = self.write(tasks)?;
            self.finish(batch);
            if closing {
                break;
            }
        }
        self.flush()
    }

    /// Waits for work, and flushes what was left unflushed long enough.
    fn receive(&mut self, queue: &Receiver<Work>) -> Result<Option<Work>, redb::Error> {
        while let Some(since) = self.unflushed {
            match queue.recv_timeout(LAX_FLUSH.saturating_sub(since.elapsed())) {
                Ok(work) => return Ok(Some(work)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.flush()?,
            }
        }
        Ok(queue.recv().ok())
    }

    /// Writes a batch and makes it durable.
    fn write(&mut self, tasks: Vec<Task>) -> Result<Batch, redb::Error> {
        let mut batch = Batch { revision: self.revision, changes: Vec::new(), answers: Vec::new() };
        let mut tasks = tasks.into_iter();
        let written = self.write_tasks(&mut tasks, &mut batch);
        if let Err(error) = &written {
            let cause = StopCause::Failed(error.to_string().into());
            // Whoever learns that the store has failed finds that everybody knows.
            self.feed.stop(cause.clone());
            // Nobody in the batch learns of success, not even those whose transaction only checked something.
            tasks.for_each(|task| task.refuse(&cause));
            batch.answers.drain(..).for_each(|answer| answer.refuse(&cause));
        }
        written.map(|()| batch)
    }

    fn write_tasks(&mut self, tasks: &mut impl Iterator<Item = Task>, batch: &mut Batch) -> Result<(), redb::Error> {
        let mut txn = self.database.begin_write()?;
        let flush = self.flushes_now();
        if flush {
            // Opening after a crash then takes milliseconds instead of reading everything.
            txn.set_quick_repair(true);
        } else {
            txn.set_durability(redb::Durability::None)?;
        }
        let mut tables = Tables { rows: txn.open_table(ROWS)?, index: txn.open_table(INDEX)? };
        for task in tasks {
            batch.perform(task, &mut tables)?;
        }
        drop(tables);
        if batch.changes.is_empty() {
            return Ok(txn.abort()?);
        }
        txn.open_table(META)?.insert(REVISION, batch.revision)?;
        txn.commit()?;
        if flush {
            self.unflushed = None;
        } else {
            self.unflushed.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Whether the next commit is flushed at once, and all before it with it.
    fn flushes_now(&self) -> bool {
        match self.durability {
            Durability::Full => true,
            Durability::Relaxed => self.unflushed.is_some_and(|since| since.elapsed() >= LAX_FLUSH),
        }
    }

    /// Hands over what is durable now, then answers.
    fn finish(&mut self, batch: Batch) {
        self.revision = batch.revision;
        if !batch.changes.is_empty() {
            self.feed.publish(ChangeBatch { revision: batch.revision, changes: batch.changes });
        }
        batch.answers.into_iter().for_each(Answer::give);
    }

    fn flush(&mut self) -> Result<(), redb::Error> {
        if self.unflushed.take().is_some() {
            let mut txn = self.database.begin_write()?;
            txn.set_quick_repair(true);
            txn.commit()?;
        }
        Ok(())
    }
}

/// The work at hand and what else waits, as far as it fits into a batch, and whether it is the last.
fn drain(first: Work, queue: &mpsc::Receiver<Work>) -> (Vec<Task>, bool) {
    let mut bytes = first.task.size();
    let mut closing = matches!(first.task, Task::Close { .. });
    let mut tasks = vec![first.task];
    while !closing && tasks.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
        let Ok(work) = queue.try_recv() else { break };
        bytes += work.task.size();
        closing = matches!(work.task, Task::Close { .. });
        tasks.push(work.task);
    }
    (tasks, closing)
}

// === impl Batch ===

impl Batch {
    fn perform(&mut self, task: Task, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        let (answer, error) = match task {
            Task::Commit { txn, keys, reply } => match self.commit(txn, &keys, tables) {
                Ok(outcome) => (Answer::Commit(reply, outcome), None),
                Err(error) => (Answer::Commit(reply, Ok(0)), Some(error)),
            },
            Task::DeleteRange { range, limit, guard, reply } => match self.delete_range(&range, limit, guard, tables) {
                Ok(done) => (Answer::DeleteRange(reply, done), None),
                Err(error) => {
                    let nothing = RangeDeleted { revision: 0, deleted: 0, more: false };
                    (Answer::DeleteRange(reply, Ok(nothing)), Some(error))
                }
            },
            Task::Close { reply } => (Answer::Close(reply), None),
        };
        // Kept also when it failed: then it is refused with all others of the batch.
        self.answers.push(answer);
        error.map_or(Ok(()), Err)
    }

    fn commit(
        &mut self,
        txn: Txn,
        keys: &[Vec<u8>],
        tables: &mut Tables<'_>,
    ) -> Result<Result<u64, CommitError>, redb::Error> {
        let mut places = Vec::with_capacity(keys.len());
        for (index, (op, key)) in txn.ops.iter().zip(keys).enumerate() {
            let place = tables.index.get(key.as_slice())?.map(|place| place.value());
            let current = place.map(|(revision, _)| revision);
            if !op.expect.holds(current) {
                return Ok(Err(CommitError::Conflict { index, key: op.key.clone(), current }));
            }
            places.push(place);
        }
        let before = self.changes.len();
        for ((op, key), place) in txn.ops.into_iter().zip(keys).zip(places) {
            match (op.action, place) {
                (Action::Put(value), place) => {
                    tables.put(key, &value, self.next_row(before), place)?;
                    self.record(op.key, Some(value));
                }
                (Action::Delete, Some(place)) => {
                    tables.delete(key, place)?;
                    self.record(op.key, None);
                }
                (Action::Delete, None) | (Action::Check, _) => {}
            }
        }
        self.advance(before);
        Ok(Ok(self.revision))
    }

    fn delete_range(
        &mut self,
        range: &KeyRange,
        limit: usize,
        guard: Option<Guard>,
        tables: &mut Tables<'_>,
    ) -> Result<Result<RangeDeleted, CommitError>, redb::Error> {
        if let Some(guard) = guard {
            let current = tables.index.get(guard.key.encode().as_slice())?.map(|place| place.value().0);
            if let Err(conflict) = guard.check(current) {
                return Ok(Err(conflict));
            }
        }
        let mut found = Vec::new();
        let mut more = false;
        for entry in tables.index.range(range.start.as_slice()..range.end.as_slice())? {
            let (key, place) = entry?;
            if found.len() == limit {
                more = true;
                break;
            }
            found.push((key.value().to_vec(), place.value()));
        }
        let before = self.changes.len();
        let mut decoder = Decoder::default();
        for (encoded, place) in found {
            tables.delete(&encoded, place)?;
            let key = decoder.decode(&encoded).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            self.record(key, None);
        }
        let deleted = self.changes.len() - before;
        self.advance(before);
        Ok(Ok(RangeDeleted { revision: self.revision, deleted, more }))
    }

    /// The row of the next value, in a transaction whose first change is number `first` of the batch.
    fn next_row(&self, first: usize) -> RowId {
        let index = u32::try_from(self.changes.len() - first).expect("transactions are limited to far fewer");
        (self.revision + 1, index)
    }

    fn record(&mut self, key: Key, value: Option<bytes::Bytes>) {
        self.changes.push(Change { revision: self.revision + 1, key, value });
    }

    /// Takes the next revision if there are changes after the first `before`.
    fn advance(&mut self, before: usize) {
        if self.changes.len() > before {
            self.revision += 1;
        }
    }
}

// === impl Tables ===

impl Tables<'_> {
    fn put(&mut self, key: &[u8], value: &[u8], row: RowId, replaced: Option<RowId>) -> Result<(), redb::Error> {
        let mut place = self.rows.insert_reserve(row, row_len(key, value))?;
        write_row(place.as_mut(), key, value);
        drop(place);
        self.index.insert(key, row)?;
        if let Some(replaced) = replaced {
            self.rows.remove(replaced)?;
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8], place: RowId) -> Result<(), redb::Error> {
        self.index.remove(key)?;
        self.rows.remove(place)?;
        Ok(())
    }
}

// === impl Task ===

impl Task {
    fn size(&self) -> usize {
        match self {
            Self::Commit { txn, .. } => txn.ops.iter().map(|op| op.action.size()).sum(),
            Self::DeleteRange { .. } | Self::Close { .. } => 0,
        }
    }

    fn refuse(self, cause: &StopCause) {
        let error = CommitError::Fatal { reason: cause.reason() };
        // Whoever does not wait any more need not know.
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(error))),
            Self::DeleteRange { reply, .. } => drop(reply.send(Err(error))),
            Self::Close { reply } => drop(reply.send(Err(error))),
        }
    }
}

// === impl Answer ===

impl Answer {
    fn give(self) {
        // Whoever does not wait any more need not know.
        match self {
            Self::Commit(reply, outcome) => drop(reply.send(outcome)),
            Self::DeleteRange(reply, outcome) => drop(reply.send(outcome)),
            Self::Close(reply) => drop(reply.send(Ok(()))),
        }
    }

    fn refuse(self, cause: &StopCause) {
        let error = CommitError::Fatal { reason: cause.reason() };
        match self {
            Self::Commit(reply, _) => drop(reply.send(Err(error))),
            Self::DeleteRange(reply, _) => drop(reply.send(Err(error))),
            Self::Close(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Drop for Epitaph {
    fn drop(&mut self) {
        // Does nothing when the writer ended in order.
        self.0.stop(StopCause::Failed("its writer died".into()));
    }
}
