//! The contract of engines as a suite of tests that every engine runs, and the cache over it.
//!
//! An engine writes `conformance::all!(open);` in a test module, where `open` is an async function that gives a
//! [`Subject`]: an empty store of that engine. What an engine does beyond the contract it tests itself.

#![allow(clippy::unwrap_used, reason = "this is test code, exported for engines outside this crate")]

pub mod cache;
pub mod clients;
pub mod engine;
pub mod linear;
pub mod model;

use std::any::Any;
use std::sync::Arc;

use atoll_api::{GroupResource, LogicalClusterName};
use parking_lot::Mutex;

use super::{Backend, Change, ChangeBatch, ChangeSink, Key, Record, StopCause};

/// An empty store to test, and what must live as long as it does, such as its directory.
pub struct Subject {
    /// The engine.
    pub backend: Arc<dyn Backend>,
    /// Dropped after the engine.
    pub keep: Box<dyn Any + Send>,
}

/// Makes a test of each point of the contract, over the stores that `$open` gives; where it gives `None`, the tests pass
/// without having tested anything, and it should have said so.
#[macro_export]
macro_rules! storage_conformance {
    ($open:path) => {
        $crate::storage_conformance!(@ $open, engine:
            an_empty_store_is_at_its_first_revision,
            what_was_put_is_loaded,
            expectations_decide,
            a_conflict_names_the_operation_and_changes_nothing,
            a_transaction_has_one_revision_and_happens_whole,
            what_changes_nothing_takes_no_revision,
            senseless_transactions_are_refused,
            odd_keys_and_values_survive,
            changes_come_in_order_without_gaps,
            a_subscription_goes_on_where_it_is_asked_to,
            what_was_forgotten_is_not_pretended,
            subscribing_amid_commits_loses_nothing,
            concurrent_updates_lose_nothing,
            a_range_is_deleted_in_steps,
            ranges_do_not_reach_their_neighbours,
            a_guarded_deletion_spares_all_when_the_guard_has_changed,
            a_closed_store_says_so,
        );
        $crate::storage_conformance!(@ $open, cache:
            a_commit_is_read_back_at_once,
            two_caches_over_one_store_agree,
            a_cache_opened_later_finds_everything,
            deleting_a_cluster_while_others_write_spares_them,
            readers_see_whole_transactions_only,
        );
        $crate::storage_conformance!(@ $open, clients:
            what_clients_of_two_caches_see_at_once_is_linearizable,
        );
        $crate::storage_conformance!(@ $open, model:
            random_histories_are_read_and_watched_as_they_were,
        );
    };
    (@ $open:path, $part:ident: $($check:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                if let Some(subject) = Option::<$crate::storage::conformance::Subject>::from($open().await) {
                    $crate::storage::conformance::$part::$check(subject).await;
                }
            }
        )*
    };
}

pub use crate::storage_conformance as all;

/// A small random generator with a seed, so that a failure can be repeated.
pub struct Random(u64);

/// A sink that writes down what it is given.
#[derive(Default)]
pub struct Recorder {
    start: u64,
    batches: Mutex<Vec<ChangeBatch>>,
    closed: Mutex<Vec<StopCause>>,
}

/// `cluster/namespace/name` as the key of a pod.
pub fn pod(path: &str) -> Key {
    key("pods", path)
}

/// `cluster/namespace/name` as the key of some resource of the core group.
pub fn key(resource: &str, path: &str) -> Key {
    let parts: Vec<&str> = path.splitn(3, '/').collect();
    let cluster = LogicalClusterName::parse(parts[0]).unwrap();
    Key::new(GroupResource::new("", resource), cluster, parts[1], parts[2])
}

/// A value as the cache wants it.
pub fn value(text: &str) -> String {
    format!(r#"{{"metadata":{{"labels":{{"text":"{text}"}}}}}}"#)
}

/// Everything in a store, ordered by key, with its revision.
pub async fn load(backend: &dyn Backend) -> (u64, Vec<Record>) {
    let records = Arc::new(Mutex::new(Vec::new()));
    let into = records.clone();
    let revision = backend.load(Box::new(move |record| into.lock().push(record))).await.unwrap();
    let mut records = std::mem::take(&mut *records.lock());
    records.sort_by_key(|record| record.key.encode());
    (revision, records)
}

// === impl Random ===

impl Random {
    /// A generator that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.number() >> 11) % bound
    }
}

// === impl Recorder ===

impl Recorder {
    /// One that is going to be subscribed after a revision.
    pub fn after(start: u64) -> Self {
        Self { start, ..Self::default() }
    }

    /// All changes so far.
    pub fn changes(&self) -> Vec<Change> {
        self.batches.lock().iter().flat_map(|batch| batch.changes.clone()).collect()
    }

    /// The revision up to which it was told everything.
    pub fn revision(&self) -> u64 {
        self.batches.lock().last().map_or(self.start, |batch| batch.revision)
    }

    /// How it was told of the end.
    pub fn closed(&self) -> Vec<StopCause> {
        self.closed.lock().clone()
    }

    /// Waits until everything up to a revision came.
    pub async fn reach(&self, revision: u64) {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        while self.revision() < revision {
            assert!(tokio::time::Instant::now() < deadline, "changes up to {revision} did not come");
            tokio::task::yield_now().await;
        }
    }
}

impl ChangeSink for Recorder {
    fn apply(&self, batch: &ChangeBatch) {
        let last = self.revision();
        let revisions: Vec<u64> = batch.changes.iter().map(|change| change.revision).collect();
        assert!(revisions.is_sorted() && revisions.iter().all(|at| last < *at && *at <= batch.revision));
        assert!(batch.revision >= last);
        assert!(self.closed.lock().is_empty(), "no changes after the end");
        self.batches.lock().push(batch.clone());
    }

    fn closed(&self, cause: &StopCause) {
        self.closed.lock().push(cause.clone());
    }
}
