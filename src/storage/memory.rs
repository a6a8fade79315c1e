//! The engine that keeps everything in memory: for tests, examples and throw-away servers.
//!
//! It is durable in no sense, and otherwise keeps the whole contract.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures::future::{self, BoxFuture, FutureExt};
use parking_lot::Mutex;

use super::feed::Feed;
use super::{
    Action, Backend, BackendError, Change, ChangeBatch, ChangeSink, CommitError, Guard, KeyRange, LoadVisitor,
    RangeDeleted, Record, StopCause, SubscribeError, Txn, key,
};

/// The memory engine.
pub struct Memory {
    state: Mutex<State>,
    feed: Feed,
}

struct State {
    revision: u64,
    values: BTreeMap<Vec<u8>, (u64, Bytes)>,
}

// === impl Memory ===

impl Memory {
    /// An empty store at revision 1.
    #[expect(clippy::new_ret_no_self, reason = "engines are used behind the contract only")]
    pub fn new() -> Arc<dyn Backend> {
        let state = State { revision: 1, values: BTreeMap::new() };
        Arc::new(Self { state: Mutex::new(state), feed: Feed::new(1) })
    }

    fn commit_now(&self, txn: Txn) -> Result<u64, CommitError> {
        let keys = txn.encode_keys()?;
        let mut state = self.state.lock();
        self.check_running()?;
        for (index, (op, key)) in txn.ops.iter().zip(&keys).enumerate() {
            let current = state.values.get(key).map(|(revision, _)| *revision);
            if !op.expect.holds(current) {
                return Err(CommitError::Conflict { index, key: op.key.clone(), current });
            }
        }
        let revision = state.revision + 1;
        let mut changes = Vec::with_capacity(txn.ops.len());
        for (op, key) in txn.ops.into_iter().zip(keys) {
            let value = match op.action {
                Action::Put(value) => {
                    state.values.insert(key, (revision, value.clone()));
                    Some(value)
                }
                Action::Delete if state.values.remove(&key).is_some() => None,
                Action::Delete | Action::Check => continue,
            };
            changes.push(Change { revision, key: op.key, value });
        }
        Ok(self.publish(&mut state, changes))
    }

    fn delete_range_now(
        &self,
        range: &KeyRange,
        limit: usize,
        guard: Option<&Guard>,
    ) -> Result<RangeDeleted, CommitError> {
        let mut state = self.state.lock();
        self.check_running()?;
        if let Some(guard) = guard {
            guard.check(state.values.get(&guard.key.encode()).map(|(revision, _)| *revision))?;
        }
        let found = state.values.range(range.start.clone()..range.end.clone());
        let mut keys: Vec<Vec<u8>> = found.take(limit.saturating_add(1)).map(|(key, _)| key.clone()).collect();
        let more = keys.len() > limit;
        keys.truncate(limit);
        let revision = state.revision + 1;
        let mut decoder = key::Decoder::default();
        let mut changes = Vec::with_capacity(keys.len());
        for encoded in keys {
            state.values.remove(&encoded);
            let key = decoder.decode(&encoded).expect("only encoded keys are put into the map");
            changes.push(Change { revision, key, value: None });
        }
        let deleted = changes.len();
        Ok(RangeDeleted { revision: self.publish(&mut state, changes), deleted, more })
    }

    /// Publishes under the state's lock, which is what keeps changes in order.
    fn publish(&self, state: &mut State, changes: Vec<Change>) -> u64 {
        if let Some(last) = changes.last() {
            state.revision = last.revision;
            self.feed.publish(ChangeBatch { revision: state.revision, changes });
        }
        state.revision
    }

    fn check_running(&self) -> Result<(), CommitError> {
        match self.feed.stopped() {
            None => Ok(()),
            Some(cause) => Err(CommitError::Fatal { reason: cause.reason() }),
        }
    }
}

impl Backend for Memory {
    fn load(&self, mut visit: LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>> {
        let state = self.state.lock();
        let mut decoder = key::Decoder::default();
        for (encoded, (revision, value)) in &state.values {
            let key = decoder.decode(encoded).expect("only encoded keys are put into the map");
            visit(Record { key, value: value.clone(), revision: *revision });
        }
        future::ready(Ok(state.revision)).boxed()
    }

    fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        future::ready(self.feed.subscribe(after, sink)).boxed()
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<u64, CommitError>> {
        async move { self.commit_now(txn) }.boxed()
    }

    fn delete_range(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Result<RangeDeleted, CommitError>> {
        async move { self.delete_range_now(&range, limit, guard.as_ref()) }.boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, BackendError>> {
        future::ready(Ok(self.state.lock().revision)).boxed()
    }

    fn compact(&self, revision: u64) -> BoxFuture<'_, Result<(), BackendError>> {
        self.feed.compact(revision);
        future::ready(Ok(())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // Under the lock, so that no commit is between its check and its publication.
        let _state = self.state.lock();
        self.feed.stop(StopCause::Closed);
        future::ready(()).boxed()
    }
}
