//! The writer: drains the queue into batches, and makes each batch durable with one flush of the log.
//!
//! For every batch the order is: check, write to the log, flush, hand the changes to the sinks, answer. Whoever waits for an answer
//! therefore finds their write in the cache; and nobody sees what is not durable. What is in the log another thread moves
//! into the tables, much of it at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::layout::{INDEX, RowId};
use super::log::{Frame, Segment};
use super::pending::{Pending, first_keys};
use crate::storage::feed::Feed;
use crate::storage::key::Decoder;
use crate::storage::writing::{Answer, Epitaph, LAX_FLUSH, MAX_BATCH, MAX_BATCH_BYTES, OtherTask, Reply, Task, Work};
use crate::storage::{
    Action, Change, ChangeBatch, CommitError, Durability, Guard, Key, KeyRange, Options, RangeDeleted, StopCause, Txn,
};

/// How long what is written stays in the log alone when little is written.
const MOVE_AFTER: Duration = Duration::from_secs(2);
/// How often it is looked whether the tables are written.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A log that has grown to so many times what is moved at once waits for the tables.
const MAX_LOG: u64 = 8;

/// Asks for everything to be brought into the tables.
pub(super) struct Settle(pub(super) Reply<()>);

/// The one thread that writes.
pub(super) struct Writer {
    feed: Arc<Feed>,
    /// The last revision that is durable, for all to see.
    revision: Arc<AtomicU64>,
    durability: Durability,
    log_bytes: usize,
    segments: [Segment; 2],
    /// Which of the segments is written to.
    active: usize,
    view: View,
    mover: Mover,
    /// Since when something is written that was not flushed.
    unflushed: Option<Instant>,
    /// Since when something is in the log that nobody moves yet.
    unmoved: Option<Instant>,
}

/// The store as the writer sees it: the tables, and what is not in them yet.
struct View {
    database: Arc<Database>,
    index: ReadOnlyTable<&'static [u8], RowId>,
    /// What is being moved into the tables.
    moving: Option<Arc<Pending>>,
    /// What has come since.
    recent: Pending,
}

/// The thread that moves what is in the log into the tables.
struct Mover {
    jobs: mpsc::Sender<Arc<Pending>>,
    done: Receiver<Result<(), redb::Error>>,
    thread: JoinHandle<()>,
}

/// What a batch has done so far.
struct Batch {
    revision: u64,
    changes: Vec<Change>,
    frame: Frame,
    answers: Vec<Answer>,
    /// Who waits until all is in the tables.
    settled: Vec<Reply<()>>,
}

/// What comes after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    More,
    Settle,
    Close,
}

// === impl Writer ===

impl Writer {
    /// A writer on tables that have everything up to a revision, with a log that may be overwritten.
    pub(super) fn new(
        database: Arc<Database>,
        segments: [Segment; 2],
        feed: Arc<Feed>,
        revision: Arc<AtomicU64>,
        options: Options,
    ) -> Result<Self, redb::Error> {
        let view = View::new(database.clone())?;
        let mover = Mover::start(database)?;
        let mut writer = Self {
            feed,
            revision,
            durability: options.durability,
            log_bytes: options.log_bytes,
            segments,
            active: 0,
            view,
            mover,
            unflushed: None,
            unmoved: None,
        };
        writer.segments[0].begin(new_tag());
        Ok(writer)
    }

    /// Works until the queue is closed or the disk fails.
    pub(super) fn run(mut self, queue: &Receiver<Work<Settle>>) {
        let epitaph = Epitaph::new(self.feed.clone());
        let outcome = self.work(queue);
        // Before anybody is told: who opens the store again right then must find nobody writing.
        self.mover.stop();
        epitaph.write(outcome, queue);
    }

    fn work(&mut self, queue: &Receiver<Work<Settle>>) -> Result<(), redb::Error> {
        while let Some(work) = self.receive(queue)? {
            let (tasks, after) = drain(work, queue);
            let mut batch = self.write(tasks)?;
            let settled = std::mem::take(&mut batch.settled);
            self.finish(batch);
            match after {
                After::More => self.move_if_due()?,
                After::Settle | After::Close => self.settle_for(settled)?,
            }
            if after == After::Close {
                return Ok(());
            }
        }
        self.settle()
    }

    /// Waits for work, and meanwhile does what is due.
    fn receive(&mut self, queue: &Receiver<Work<Settle>>) -> Result<Option<Work<Settle>>, redb::Error> {
        while let Some(patience) = self.patience() {
            match queue.recv_timeout(patience) {
                Ok(work) => return Ok(Some(work)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.unflushed.is_some_and(|since| since.elapsed() >= LAX_FLUSH) {
                self.flush()?;
            }
            self.move_if_due()?;
        }
        Ok(queue.recv().ok())
    }

    /// How long until something is due; `None` if nothing is.
    fn patience(&self) -> Option<Duration> {
        let flush = self.unflushed.map(|since| LAX_FLUSH.saturating_sub(since.elapsed()));
        let look = self.view.moving.is_some().then_some(LOOK_EVERY);
        let hand_over =
            self.unmoved.map(|since| MOVE_AFTER.saturating_sub(since.elapsed()).max(Duration::from_millis(1)));
        [flush, look, hand_over].into_iter().flatten().min()
    }

    /// Writes a batch and makes it durable.
    fn write(&mut self, tasks: Vec<Task<Settle>>) -> Result<Batch, redb::Error> {
        let revision = self.revision.load(Ordering::Acquire);
        let mut batch = Batch::new(revision);
        let mut tasks = tasks.into_iter();
        let written = self.write_tasks(&mut tasks, &mut batch);
        if let Err(error) = &written {
            let cause = StopCause::Failed(error.to_string().into());
            // Whoever learns that the store has failed finds that everybody knows.
            self.feed.stop(cause.clone());
            // Nobody in the batch learns of success, not even those whose transaction only checked something.
            let fatal = cause.fatal();
            tasks.for_each(|task| task.refuse(&fatal));
            batch.answers.drain(..).for_each(|answer| answer.refuse(&fatal));
            batch.settled.drain(..).for_each(|reply| Settle(reply).refuse(&fatal));
        }
        written.map(|()| batch)
    }

    fn write_tasks(
        &mut self,
        tasks: &mut impl Iterator<Item = Task<Settle>>,
        batch: &mut Batch,
    ) -> Result<(), redb::Error> {
        self.collect_moved()?;
        let before = batch.revision;
        for task in tasks {
            batch.perform(task, &mut self.view)?;
        }
        if batch.changes.is_empty() {
            return Ok(());
        }
        self.make_room()?;
        let frame = std::mem::replace(&mut batch.frame, Frame::new());
        self.segments[self.active].append(frame, (before, batch.revision))?;
        self.unmoved.get_or_insert_with(Instant::now);
        self.unflushed.get_or_insert_with(Instant::now);
        if self.durability == Durability::Full { self.flush() } else { Ok(()) }
    }

    /// Hands over what is durable now, then answers.
    fn finish(&mut self, batch: Batch) {
        self.revision.store(batch.revision, Ordering::Release);
        if !batch.changes.is_empty() {
            self.feed.publish(ChangeBatch { revision: batch.revision, changes: batch.changes });
        }
        batch.answers.into_iter().for_each(Answer::give);
    }

    fn flush(&mut self) -> Result<(), redb::Error> {
        if self.unflushed.take().is_some() {
            self.segments[self.active].flush()?;
        }
        Ok(())
    }

    /// Waits until the log may grow further: it does not outgrow the tables' pace without bounds.
    fn make_room(&mut self) -> Result<(), redb::Error> {
        let most = MAX_LOG * self.log_bytes as u64;
        if self.view.moving.is_some() && self.segments[self.active].written() > most {
            self.wait_for_mover()?;
        }
        Ok(())
    }

    /// Has the log moved into the tables if it is long or old enough, and nothing is being moved.
    fn move_if_due(&mut self) -> Result<(), redb::Error> {
        self.collect_moved()?;
        let long = self.view.recent.bytes() >= self.log_bytes;
        let old = self.unmoved.is_some_and(|since| since.elapsed() >= MOVE_AFTER);
        if self.view.moving.is_none() && (long || old) { self.hand_over() } else { Ok(()) }
    }

    /// Gives what is in the log to the mover, and goes on in the other segment, which is free.
    fn hand_over(&mut self) -> Result<(), redb::Error> {
        self.unmoved = None;
        if self.view.recent.is_empty() {
            return Ok(());
        }
        // A frame of the next segment says that everything before it is there.
        self.flush()?;
        let pending = Arc::new(std::mem::take(&mut self.view.recent));
        self.view.moving = Some(pending.clone());
        self.mover.jobs.send(pending).map_err(|_| mover_died())?;
        self.active = 1 - self.active;
        self.segments[self.active].begin(new_tag());
        Ok(())
    }

    /// Brings everything into the tables.
    fn settle(&mut self) -> Result<(), redb::Error> {
        self.wait_for_mover()?;
        self.hand_over()?;
        self.wait_for_mover()
    }

    /// Brings everything into the tables, and tells those who wait for it.
    fn settle_for(&mut self, waiting: Vec<Reply<()>>) -> Result<(), redb::Error> {
        let settled = self.settle();
        for reply in waiting {
            match &settled {
                // Whoever does not wait any more need not know.
                Ok(()) => drop(reply.send(Ok(()))),
                Err(error) => Settle(reply).refuse(&StopCause::Failed(error.to_string().into()).fatal()),
            }
        }
        settled
    }

    fn wait_for_mover(&mut self) -> Result<(), redb::Error> {
        if self.view.moving.is_some() {
            self.mover.done.recv().map_err(|_| mover_died())??;
            self.view.moved()?;
        }
        Ok(())
    }

    /// Notes that the tables are written, if they are.
    fn collect_moved(&mut self) -> Result<(), redb::Error> {
        if self.view.moving.is_none() {
            return Ok(());
        }
        match self.mover.done.try_recv() {
            Ok(done) => {
                done?;
                self.view.moved()
            }
            Err(mpsc::TryRecvError::Empty) => Ok(()),
            Err(mpsc::TryRecvError::Disconnected) => Err(mover_died()),
        }
    }
}

/// The work at hand and what else waits, as far as it fits into a batch, and what comes after it.
fn drain(first: Work<Settle>, queue: &Receiver<Work<Settle>>) -> (Vec<Task<Settle>>, After) {
    let mut bytes = first.task.size();
    let mut after = After::of(&first.task);
    let mut tasks = vec![first.task];
    while after == After::More && tasks.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
        let Ok(work) = queue.try_recv() else { break };
        bytes += work.task.size();
        after = After::of(&work.task);
        tasks.push(work.task);
    }
    (tasks, after)
}

/// A number that no leftover in the log has.
fn new_tag() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

fn mover_died() -> redb::Error {
    redb::Error::Io(std::io::Error::other("the thread that writes the tables died"))
}

// === impl Mover ===

impl Mover {
    fn start(database: Arc<Database>) -> Result<Self, redb::Error> {
        let (jobs, work) = mpsc::channel::<Arc<Pending>>();
        let (report, done) = mpsc::channel();
        let thread = std::thread::Builder::new().name("atoll-tables".to_owned()).spawn(move || {
            for pending in work {
                let written = pending.write(&database);
                // Who asked holds another reference; this one must not outlive the report.
                drop(pending);
                if report.send(written).is_err() {
                    return;
                }
            }
        });
        Ok(Self { jobs, done, thread: thread.map_err(redb::Error::Io)? })
    }

    /// Ends the thread, after what it is about.
    fn stop(self) {
        drop(self.jobs);
        // One that panicked has nothing more to say.
        drop(self.thread.join());
    }
}

// === impl View ===

impl View {
    fn new(database: Arc<Database>) -> Result<Self, redb::Error> {
        let index = database.begin_read()?.open_table(INDEX)?;
        Ok(Self { database, index, moving: None, recent: Pending::default() })
    }

    /// What was being moved is in the tables now.
    fn moved(&mut self) -> Result<(), redb::Error> {
        self.index = self.database.begin_read()?.open_table(INDEX)?;
        self.moving = None;
        Ok(())
    }

    /// The revision that put a key, if it is there.
    fn revision_of(&self, key: &[u8]) -> Result<Option<u64>, redb::Error> {
        let known = self.recent.place(key).or_else(|| self.moving.as_ref()?.place(key));
        let place = match known {
            Some(place) => place,
            None => self.index.get(key)?.map(|place| place.value()),
        };
        Ok(place.map(|(revision, _)| revision))
    }

    fn first_keys(&self, range: &KeyRange, count: usize) -> Result<Vec<Vec<u8>>, redb::Error> {
        let layers: Vec<&Pending> = std::iter::once(&self.recent).chain(self.moving.as_deref()).collect();
        first_keys(&self.index, &layers, range, count)
    }
}

// === impl Batch ===

impl Batch {
    fn new(revision: u64) -> Self {
        Self { revision, changes: Vec::new(), frame: Frame::new(), answers: Vec::new(), settled: Vec::new() }
    }

    fn perform(&mut self, task: Task<Settle>, view: &mut View) -> Result<(), redb::Error> {
        let (answer, error) = match task {
            Task::Commit { txn, keys, reply } => match self.commit(txn, &keys, view) {
                Ok(outcome) => (Answer::Commit(reply, outcome), None),
                Err(error) => (Answer::Commit(reply, Ok(0)), Some(error)),
            },
            Task::DeleteRange { range, limit, guard, reply } => match self.delete_range(&range, limit, guard, view) {
                Ok(done) => (Answer::DeleteRange(reply, done), None),
                Err(error) => {
                    let nothing = RangeDeleted { revision: 0, deleted: 0, more: false };
                    (Answer::DeleteRange(reply, Ok(nothing)), Some(error))
                }
            },
            Task::Other(Settle(reply)) | Task::Close { reply } => {
                self.settled.push(reply);
                return Ok(());
            }
        };
        // Kept also when it failed: then it is refused with all others of the batch.
        self.answers.push(answer);
        error.map_or(Ok(()), Err)
    }

    fn commit(&mut self, txn: Txn, keys: &[Vec<u8>], view: &mut View) -> Result<Result<u64, CommitError>, redb::Error> {
        let mut present = Vec::with_capacity(keys.len());
        for (index, (op, key)) in txn.ops.iter().zip(keys).enumerate() {
            let current = view.revision_of(key)?;
            if !op.expect.holds(current) {
                return Ok(Err(CommitError::Conflict { index, key: op.key.clone(), current }));
            }
            present.push(current.is_some());
        }
        let before = self.changes.len();
        for ((op, key), present) in txn.ops.into_iter().zip(keys).zip(present) {
            match op.action {
                Action::Put(value) => self.record(before, op.key, key, Some(value), view),
                Action::Delete if present => self.record(before, op.key, key, None, view),
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
        guard: Option<Guard>,
        view: &mut View,
    ) -> Result<Result<RangeDeleted, CommitError>, redb::Error> {
        if let Some(guard) = guard
            && let Err(conflict) = guard.check(view.revision_of(&guard.key.encode())?)
        {
            return Ok(Err(conflict));
        }
        let mut found = view.first_keys(range, limit.saturating_add(1))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let before = self.changes.len();
        let mut decoder = Decoder::default();
        for encoded in found {
            let key = decoder.decode(&encoded).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            self.record(before, key, &encoded, None, view);
        }
        let deleted = self.changes.len() - before;
        self.advance(before);
        Ok(Ok(RangeDeleted { revision: self.revision, deleted, more }))
    }

    /// Notes a change, in a transaction whose first change is number `first` of the batch.
    fn record(&mut self, first: usize, key: Key, encoded: &[u8], value: Option<bytes::Bytes>, view: &mut View) {
        let index = u32::try_from(self.changes.len() - first).expect("transactions are limited to far fewer");
        let id = (self.revision + 1, index);
        self.frame.push(id, encoded, value.as_deref());
        view.recent.put(encoded, id, value.clone());
        self.changes.push(Change { revision: id.0, key, value });
    }

    /// Takes the next revision if there are changes after the first `before`.
    fn advance(&mut self, before: usize) {
        if self.changes.len() > before {
            self.revision += 1;
        }
    }
}

// === impl Settle ===

impl OtherTask for Settle {
    fn refuse(self, error: &CommitError) {
        // Whoever does not wait any more need not know.
        drop(self.0.send(Err(error.clone())));
    }
}

// === impl After ===

impl After {
    fn of(task: &Task<Settle>) -> Self {
        match task {
            Task::Commit { .. } | Task::DeleteRange { .. } => Self::More,
            Task::Other(Settle(_)) => Self::Settle,
            Task::Close { .. } => Self::Close,
        }
    }
}
