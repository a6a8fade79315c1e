//! An engine that fails at step n, and a disk that fails at step n: what the cache and the callers then see.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use atoll_api::ClusterScope;
use futures::future::{BoxFuture, FutureExt};
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use crate::storage::conformance::{Random, Recorder, load, pod, value};
use crate::storage::{
    Action, Backend, BackendError, ChangeSink, CommitError, Embedded, Expect, Guard, KeyRange, ListQuery, LoadVisitor,
    Memory, Options, RangeDeleted, StopCause, Store, SubscribeError, Txn,
};

/// How a step fails.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nothing happens, and the answer says so.
    Refused,
    /// The transaction happens, but its answer is lost.
    AnswerLost,
}

/// An engine whose writing steps fail now and then.
struct Faulty {
    inner: Arc<dyn Backend>,
    step: AtomicU64,
    fault_at: fn(u64) -> Option<Fault>,
}

impl Faulty {
    fn fault(&self) -> Option<Fault> {
        (self.fault_at)(self.step.fetch_add(1, Ordering::Relaxed))
    }

    async fn with_fault<T>(&self, work: impl Future<Output = Result<T, CommitError>>) -> Result<T, CommitError> {
        let lost = CommitError::Unavailable { reason: "the line is cut".into() };
        match self.fault() {
            None => work.await,
            Some(Fault::Refused) => Err(lost),
            Some(Fault::AnswerLost) => work.await.and(Err(lost)),
        }
    }
}

impl Backend for Faulty {
    fn load(&self, visit: LoadVisitor) -> BoxFuture<'_, Result<u64, BackendError>> {
        self.inner.load(visit)
    }

    fn subscribe(&self, after: u64, sink: Weak<dyn ChangeSink>) -> BoxFuture<'_, Result<(), SubscribeError>> {
        self.inner.subscribe(after, sink)
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.with_fault(self.inner.commit(txn)).boxed()
    }

    fn delete_range(
        &self,
        range: KeyRange,
        limit: usize,
        guard: Option<Guard>,
    ) -> BoxFuture<'_, Result<RangeDeleted, CommitError>> {
        self.with_fault(self.inner.delete_range(range, limit, guard)).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<u64, BackendError>> {
        self.inner.revision()
    }

    fn compact(&self, revision: u64) -> BoxFuture<'_, Result<(), BackendError>> {
        self.inner.compact(revision)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

/// A disk in memory whose writes and flushes fail from step n on, counted over all disks of a machine.
#[derive(Debug)]
struct FailingDisk {
    inner: InMemoryBackend,
    steps_left: Arc<AtomicU64>,
}

impl FailingDisk {
    fn new(steps_left: &Arc<AtomicU64>) -> Self {
        Self { inner: InMemoryBackend::new(), steps_left: steps_left.clone() }
    }

    fn step(&self) -> std::io::Result<()> {
        let left = self.steps_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| std::io::Error::other("the disk is broken"))
    }
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.step().and_then(|()| self.inner.set_len(len))
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.step().and_then(|()| self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.step().and_then(|()| self.inner.write(offset, data))
    }
}

#[tokio::test]
async fn a_cache_stays_true_to_an_engine_whose_answers_get_lost() {
    let fault_at = |step| match step % 7 {
        2 => Some(Fault::Refused),
        4 | 5 => Some(Fault::AnswerLost),
        _ => None,
    };
    let engine: Arc<dyn Backend> = Arc::new(Faulty { inner: Memory::new(), step: AtomicU64::new(0), fault_at });
    let store = Store::open(engine.clone()).await.unwrap();
    let mut random = Random::new(3);
    let mut failures = 0;
    for number in 0..500 {
        let key = pod(&format!("c{}/n/{}", random.below(3), random.below(20)));
        let action = if random.below(3) == 0 { Action::Delete } else { Action::Put(value(&number.to_string()).into()) };
        match store.commit(Txn::one(key, Expect::Any, action)).await {
            Ok(_) => {}
            Err(CommitError::Unavailable { .. }) => failures += 1,
            Err(other) => panic!("{other}"),
        }
        if number % 50 == 0 {
            // Deletion may stop anywhere and is then begun again.
            let cluster = pod("c1/n/x").cluster;
            while store.delete_cluster(&cluster, None).await.is_err() {}
            assert_eq!(store.cluster_usage(&cluster).objects, 0);
        }
        let (revision, records) = load(&*engine).await;
        let page = store.list(ListQuery::new(&pod("a/n/x").resource, &ClusterScope::All)).unwrap();
        assert_eq!(page.revision, revision);
        let cached: Vec<(u64, bytes::Bytes)> =
            page.entries.iter().map(|entry| (entry.revision, entry.bytes())).collect();
        let stored: Vec<(u64, bytes::Bytes)> =
            records.iter().map(|record| (record.revision, record.value.clone())).collect();
        assert_eq!(cached, stored);
    }
    assert!(failures > 100);
}

#[tokio::test]
async fn after_a_disk_error_nothing_is_acknowledged() {
    let mut failed_while_running = 0;
    for steps in (0..400).step_by(9) {
        let left = Arc::new(AtomicU64::new(steps));
        let disk = || FailingDisk::new(&left);
        // Now and then so small a log that the tables are written all the time.
        let options = Options { log_bytes: if steps % 2 == 0 { 1000 } else { 16 << 20 }, ..Options::default() };
        // The disk may fail before the store is even open, and before it is read.
        let opened = Embedded::open_on(disk(), [Box::new(disk()), Box::new(disk())], options);
        let Ok(engine) = opened else { continue };
        let Ok(store) = Store::open(engine.clone()).await else { continue };
        let recorder = Arc::new(Recorder::default());
        let sink: Weak<Recorder> = Arc::downgrade(&recorder);
        engine.subscribe(store.revision(), sink).await.unwrap();
        let mut acknowledged = 0;
        let error = loop {
            let txn = Txn::create(pod(&format!("a/n/{acknowledged}")), value("1"));
            match store.commit(txn).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CommitError::Fatal { .. }), "{error}");
        assert_eq!(recorder.changes().len(), acknowledged, "what was not durable was shown to nobody");
        assert_eq!(store.cluster_usage(&pod("a/n/x").cluster).objects, acknowledged as u64);
        assert!(matches!(store.stopped().await, StopCause::Failed(_)));
        assert!(matches!(recorder.closed()[..], [StopCause::Failed(_)]));
        for _ in 0..3 {
            let again = store.commit(Txn::create(pod("a/n/again"), value("1"))).await;
            assert!(matches!(again, Err(CommitError::Fatal { .. })));
        }
        assert!(store.get(&pod("a/n/0")).is_some() || acknowledged == 0, "reads go on");
        failed_while_running += 1;
    }
    assert!(failed_while_running > 20);
}
