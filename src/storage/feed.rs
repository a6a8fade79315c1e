//! Hands an engine's changes to its sinks and remembers the last of them for who subscribes a little later.
//!
//! Order is the caller's: it publishes one batch at a time, in the order of revisions.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{ChangeBatch, ChangeSink, StopCause, SubscribeError};

/// How many changes and bytes are remembered; a cache subscribes right after it loaded, so little is needed.
const MAX_CHANGES: usize = 1_000;
const MAX_BYTES: usize = 1 << 20;

/// The outgoing side of an engine that lives in this process.
pub(super) struct Feed {
    state: Mutex<State>,
}

struct State {
    /// Changes after this revision are in `history`.
    floor: u64,
    history: VecDeque<Arc<ChangeBatch>>,
    changes: usize,
    bytes: usize,
    sinks: Vec<Weak<dyn ChangeSink>>,
    stopped: Option<StopCause>,
}

// === impl Feed ===

impl Feed {
    /// A feed whose first change will be after `revision`.
    pub(super) fn new(revision: u64) -> Self {
        let state =
            State { floor: revision, history: VecDeque::new(), changes: 0, bytes: 0, sinks: Vec::new(), stopped: None };
        Self { state: Mutex::new(state) }
    }

    /// Hands a batch to every sink.
    pub(super) fn publish(&self, batch: ChangeBatch) {
        let mut state = self.state.lock();
        state.sinks.retain(|sink| match sink.upgrade() {
            Some(sink) => {
                sink.apply(&batch);
                true
            }
            None => false,
        });
        state.remember(batch);
    }

    /// Adds a sink after handing it everything after `after`.
    pub(super) fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> Result<(), SubscribeError> {
        let mut state = self.state.lock();
        if let Some(cause) = &state.stopped {
            return Err(SubscribeError::Unavailable { reason: cause.reason() });
        }
        if after < state.floor {
            return Err(SubscribeError::Compacted { oldest: state.floor });
        }
        let Some(strong) = sink.upgrade() else { return Ok(()) };
        for batch in state.history.iter().filter(|batch| batch.revision > after) {
            let changes = batch.changes.iter().filter(|change| change.revision > after).cloned().collect();
            strong.apply(&ChangeBatch { revision: batch.revision, changes });
        }
        state.sinks.push(sink);
        Ok(())
    }

    /// Forgets changes up to `revision`.
    pub(super) fn compact(&self, revision: u64) {
        let mut state = self.state.lock();
        while state.history.front().is_some_and(|batch| batch.revision <= revision) {
            state.forget_oldest();
        }
    }

    /// Tells every sink that there will be no more; the first cause stands.
    pub(super) fn stop(&self, cause: StopCause) {
        let mut state = self.state.lock();
        if state.stopped.is_some() {
            return;
        }
        for sink in state.sinks.drain(..).filter_map(|sink| sink.upgrade()) {
            sink.closed(&cause);
        }
        state.history.clear();
        state.stopped = Some(cause);
    }

    /// Why it stopped, if it did.
    pub(super) fn stopped(&self) -> Option<StopCause> {
        self.state.lock().stopped.clone()
    }
}

// === impl State ===

impl State {
    fn remember(&mut self, batch: ChangeBatch) {
        self.changes += batch.changes.len();
        self.bytes += size(&batch);
        self.history.push_back(Arc::new(batch));
        while self.changes > MAX_CHANGES || self.bytes > MAX_BYTES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(batch) = self.history.pop_front() {
            self.changes -= batch.changes.len();
            self.bytes -= size(&batch);
            self.floor = batch.revision;
        }
    }
}

fn size(batch: &ChangeBatch) -> usize {
    batch.changes.iter().map(|change| change.value.as_ref().map_or(0, bytes::Bytes::len)).sum()
}

// === impl StopCause ===

impl StopCause {
    /// The cause as a sentence for the log.
    pub fn reason(&self) -> Arc<str> {
        match self {
            Self::Closed => Arc::from("it was closed"),
            Self::Failed(reason) => reason.clone(),
        }
    }
}
