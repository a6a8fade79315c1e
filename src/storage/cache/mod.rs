//! The watch cache: every object of the store in memory, and the only way to read and write it.
//!
//! It applies the engine's changes in order and answers reads, lists of the past, and watches. It knows neither kinds nor users.
//!
//! Nothing exists per logical cluster but its objects and one small record of what it holds; an idle one has no task, timer,
//! channel or ring.

mod aside;
mod bell;
mod closed;
mod clusters;
mod cut;
mod entry;
mod event;
mod floors;
mod fresh;
mod groups;
mod index;
mod list;
mod load;
mod resource;
mod ring;
mod shared;
#[cfg(test)]
mod tests;
mod tree;
mod watch;
mod watched;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use atoll_api::{GroupResource, LogicalClusterName};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch as latest;

use self::bell::Bell;
use self::clusters::Clusters;
use self::resource::{Effects, Resource, Step};
use self::ring::Limits;
use self::watched::Watched;
use super::{
    Action, Backend, BackendError, Change, ChangeBatch, ChangeSink, CommitError, Guard, KeyRange, StopCause,
    SubscribeError, Txn,
};

pub use closed::CLOSED_LABEL;
use closed::Closed;
pub use clusters::ClusterUsage;
pub use cut::Cut;
pub use entry::{Entry, Labels, VALUE_PREFIX};
pub use event::{Event, EventKind};
use floors::Floors;
pub use fresh::Behind;
use fresh::Rounds;
pub use groups::CloseReason;
pub use list::{ListQuery, Page, ReadError};
pub use shared::SharedSpec;
use shared::Texts;
pub use watch::{WatchItem, WatchQuery, Watcher};

/// Definitions are large, and the same ones are in many clusters.
const DEFINITIONS: &[(&str, &str)] = &[("apiextensions.k8s.io", "customresourcedefinitions")];
/// How many keys one transaction of a cluster's deletion deletes.
const DELETE_CHUNK: usize = 200;

/// How long and how large the history is that watches resume from and lists of the past read.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// Events older than this are let go.
    pub history_age: Duration,
    /// The most events kept of one resource.
    pub history_events: usize,
    /// About the most bytes that events of all resources keep alive; who uses most gives way first.
    pub history_bytes: usize,
    /// The resources, as groups and names, of which many clusters hold objects with equal specs: each such spec is held once.
    pub shared: &'static [(&'static str, &'static str)],
}

/// The cache over one engine.
pub struct Store {
    backend: Arc<dyn Backend>,
    options: StoreOptions,
    resources: RwLock<Resources>,
    clusters: Clusters,
    /// What entries of different clusters hold together.
    texts: Arc<Texts>,
    watched: Watched,
    /// Everything up to this revision is applied.
    revision: AtomicU64,
    /// The same, for those who wait for it.
    reached: latest::Sender<u64>,
    stopped: latest::Sender<Option<StopCause>>,
    /// The revision at which the cache was loaded; of resources that have no entry in the table, nothing older is known.
    loaded: AtomicU64,
    history: AtomicI64,
    floors: Floors,
    /// The resource whose objects stand for clusters.
    cluster_objects: OnceLock<GroupResource>,
    closed: Closed,
    rounds: Rounds,
    bell: Arc<Bell>,
    /// Sweeps old history and wakes crowds of watchers.
    attendant: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

#[derive(Default)]
struct Resources {
    by_name: HashMap<GroupResource, Arc<Resource>>,
    by_id: Vec<Arc<Resource>>,
}

/// Why the cache could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine could not be read.
    #[error("load the store")]
    Load(#[source] BackendError),
    /// The engine could not be followed.
    #[error("follow the store's changes")]
    Subscribe(#[source] SubscribeError),
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            history_age: Duration::from_secs(90),
            history_events: 500_000,
            history_bytes: 256 << 20,
            shared: DEFINITIONS,
        }
    }
}

// === impl Store ===

impl Store {
    /// Loads everything from an engine and follows it from there.
    pub async fn open(backend: Arc<dyn Backend>) -> Result<Arc<Self>, LoadError> {
        Self::open_with(backend, StoreOptions::default()).await
    }

    /// Like [`open`](Self::open), with limits of history other than the usual.
    pub async fn open_with(backend: Arc<dyn Backend>, options: StoreOptions) -> Result<Arc<Self>, LoadError> {
        let store = Arc::new(Self {
            backend,
            options,
            resources: RwLock::default(),
            clusters: Clusters::default(),
            texts: Arc::default(),
            watched: Watched::default(),
            revision: AtomicU64::new(0),
            reached: latest::Sender::new(0),
            stopped: latest::Sender::new(None),
            loaded: AtomicU64::new(0),
            history: AtomicI64::new(0),
            floors: Floors::default(),
            cluster_objects: OnceLock::new(),
            closed: Closed::default(),
            rounds: Rounds::default(),
            bell: Arc::default(),
            attendant: Mutex::new(None),
        });
        let started = Instant::now();
        let revision = store.load().await?;
        store.begin_at(revision);
        tracing::info!(revision, clusters = store.clusters.len(), elapsed = ?started.elapsed(), "loaded the store");
        let sink: Weak<Self> = Arc::downgrade(&store);
        store.backend.subscribe(revision, sink).await.map_err(LoadError::Subscribe)?;
        let attendant = attend(Arc::downgrade(&store), store.bell.clone(), options.history_age);
        *store.attendant.lock() = Some(tokio::spawn(attendant));
        Ok(store)
    }

    /// The revision up to which everything is applied.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Waits until everything up to `revision` is applied, and gives the revision reached; an error when it takes longer than `timeout`.
    pub async fn wait_for(&self, revision: u64, timeout: Duration) -> Result<u64, ReadError> {
        let current = self.revision();
        if current >= revision {
            return Ok(current);
        }
        let mut reached = self.reached.subscribe();
        match tokio::time::timeout(timeout, reached.wait_for(|reached| *reached >= revision)).await {
            Ok(Ok(reached)) => Ok(*reached),
            Ok(Err(_)) | Err(_) => Err(ReadError::Future { current: self.revision() }),
        }
    }

    /// Commits a transaction; when it returns, reads see it.
    ///
    /// Values must begin with [`VALUE_PREFIX`].
    pub async fn commit(&self, txn: Txn) -> Result<u64, CommitError> {
        let malformed = |action: &Action| matches!(action, Action::Put(value) if !value.starts_with(VALUE_PREFIX));
        if let Some(index) = txn.ops.iter().position(|op| malformed(&op.action)) {
            return Err(CommitError::Malformed { index, why: "its value does not begin with metadata" });
        }
        let revision = self.backend.commit(txn).await?;
        self.applied(revision).await?;
        Ok(revision)
    }

    /// The resources of which a cluster holds objects.
    pub fn resources_of(&self, cluster: &LogicalClusterName) -> Vec<GroupResource> {
        let ids = self.clusters.resources(cluster);
        let resources = self.resources.read();
        ids.into_iter().filter_map(|id| resources.by_id.get(id as usize)).map(|found| found.name.clone()).collect()
    }

    /// What a cluster holds.
    pub fn cluster_usage(&self, cluster: &LogicalClusterName) -> ClusterUsage {
        self.clusters.usage(cluster)
    }

    /// About what a cluster holds of one resource: its bytes are those of so many objects of average size.
    pub fn cluster_usage_of(&self, cluster: &LogicalClusterName, resource: &GroupResource) -> ClusterUsage {
        self.resource(resource).map_or_else(ClusterUsage::default, |found| self.clusters.usage_of(cluster, found.id))
    }

    /// How many clusters hold something.
    pub fn cluster_count(&self) -> usize {
        self.clusters.len()
    }

    /// Tells which objects of the system cluster stand for logical clusters, by their names: when one is deleted, by
    /// whatever server, the cluster's watches end and its history is closed. To be told before anything is served.
    pub fn stand_for_clusters(&self, resource: GroupResource) {
        // Told twice, it is the same.
        drop(self.cluster_objects.set(resource));
        self.find_closed();
    }

    /// Deletes all that a cluster holds and ends its watches; watchers of all clusters see the deletions.
    ///
    /// The caller keeps others from writing to the cluster meanwhile. May be called again after an error, and goes on. What
    /// the guard speaks of must be there all the while: else somebody else has finished the deletion, and the cluster
    /// may be another one by now.
    pub async fn delete_cluster(&self, cluster: &LogicalClusterName, guard: Option<&Guard>) -> Result<(), CommitError> {
        self.end_watches_of(cluster);
        let mut deleted = usize::MAX;
        // Again until nothing is left, since a write may have been under way when this began.
        while deleted > 0 {
            let resources = self.resources_of(cluster);
            // Side by side, so that they share the engine's flushes.
            let ranges =
                resources.iter().map(|resource| self.delete_range(KeyRange::cluster(resource, cluster), guard));
            deleted = futures::future::try_join_all(ranges).await?.into_iter().sum();
        }
        // Those that came while the deletion was under way.
        self.end_watches_of(cluster);
        self.floors.raise(cluster, self.revision(), Instant::now());
        Ok(())
    }

    /// Deletes all of a range, as long as the guard is as it should be. May be called again after an error, and goes on.
    pub async fn delete_all(&self, range: KeyRange, guard: Option<&Guard>) -> Result<(), CommitError> {
        self.delete_range(range, guard).await.map(drop)
    }

    /// Stops: ends all watches and closes the engine.
    pub async fn close(&self) {
        let attendant = self.attendant.lock().take();
        if let Some(attendant) = attendant {
            attendant.abort();
            // Aborted or done, either will do.
            let _ = attendant.await;
        }
        self.backend.close().await;
        self.stop(&StopCause::Closed);
    }

    /// Waits until the store has stopped, and tells why: a server stops when its store does.
    pub async fn stopped(&self) -> StopCause {
        let mut stopped = self.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await.map(|cause| cause.clone()) {
            Ok(Some(cause)) => cause,
            Ok(None) | Err(_) => StopCause::Closed,
        }
    }

    /// Everything is as of `revision` now, and nothing older is known.
    fn begin_at(&self, revision: u64) {
        for resource in &self.resources.read().by_id {
            resource.begin_at(revision);
        }
        self.loaded.store(revision, Ordering::Release);
        self.reach(revision);
    }

    /// Deletes a range in steps, so that other writers need not wait for all of it.
    async fn delete_range(&self, range: KeyRange, guard: Option<&Guard>) -> Result<usize, CommitError> {
        let mut deleted = 0;
        loop {
            let step = self.backend.delete_range(range.clone(), DELETE_CHUNK, guard.cloned()).await?;
            self.applied(step.revision).await?;
            deleted += step.deleted;
            if !step.more {
                return Ok(deleted);
            }
        }
    }

    /// Waits until a commit's changes came back as changes; with an engine in this process they have.
    async fn applied(&self, revision: u64) -> Result<(), CommitError> {
        if self.revision() >= revision {
            return Ok(());
        }
        let mut reached = self.reached.subscribe();
        tokio::select! {
            _ = reached.wait_for(|reached| *reached >= revision) => Ok(()),
            cause = self.stopped() => Err(CommitError::Fatal { reason: cause.reason() }),
        }
    }

    /// Ends the clusters whose objects are deleted.
    fn end_clusters(&self, changes: &[Change], now: Instant) {
        let Some(objects) = self.cluster_objects.get() else { return };
        for change in changes.iter().filter(|change| change.value.is_none()) {
            if change.key.resource != *objects || !change.key.cluster.is_root() {
                continue;
            }
            if let Ok(cluster) = LogicalClusterName::parse(&change.key.name) {
                self.end_watches_of(&cluster);
                self.floors.raise(&cluster, change.revision, now);
            }
        }
    }

    fn end_watches_of(&self, cluster: &LogicalClusterName) {
        let watched = self.watched.resources(cluster);
        for resource in watched.into_iter().filter_map(|id| self.resource_by_id(id)) {
            resource.state.write().groups.end_cluster(cluster, CloseReason::ClusterDeleted);
        }
    }

    fn resource(&self, name: &GroupResource) -> Option<Arc<Resource>> {
        self.resources.read().by_name.get(name).cloned()
    }

    fn resource_by_id(&self, id: u32) -> Option<Arc<Resource>> {
        self.resources.read().by_id.get(id as usize).cloned()
    }

    fn resource_or_new(&self, name: &GroupResource) -> Arc<Resource> {
        if let Some(resource) = self.resource(name) {
            return resource;
        }
        let mut resources = self.resources.write();
        if let Some(resource) = resources.by_name.get(name) {
            return resource.clone();
        }
        let id = u32::try_from(resources.by_id.len()).expect("four billion resources do not fit into memory");
        let resource = Arc::new(Resource::new(id, name.clone(), self.loaded.load(Ordering::Acquire)));
        if self.stopped.borrow().is_some() {
            resource.state.write().groups.end_all(CloseReason::Shutdown);
        }
        resources.by_name.insert(name.clone(), resource.clone());
        resources.by_id.push(resource.clone());
        resource
    }

    /// Whether a resource without objects and events can be read at a revision.
    fn check_readable(&self, revision: u64, current: u64) -> Result<(), ReadError> {
        let oldest = self.loaded.load(Ordering::Acquire);
        if revision < oldest {
            return Err(ReadError::Expired { oldest });
        }
        if revision > current { Err(ReadError::Future { current }) } else { Ok(()) }
    }

    fn limits(&self) -> Limits {
        Limits { age: self.options.history_age, events: self.options.history_events }
    }

    fn reach(&self, revision: u64) {
        self.revision.fetch_max(revision, Ordering::AcqRel);
        self.reached.send_if_modified(|reached| {
            let further = *reached < revision;
            *reached = revision.max(*reached);
            further
        });
    }

    /// Applies changes; those of closed clusters where nobody sees them.
    fn apply_changes(
        &self,
        changes: &[Change],
        closed: &HashSet<LogicalClusterName>,
        now: Instant,
        effects: &mut Effects,
    ) {
        for (resource, steps) in self.steps(changes) {
            resource.apply(steps, closed, self.limits(), now, effects);
        }
    }

    /// Changes by resource. Within a resource the order stays.
    fn steps<'a>(&self, changes: &'a [Change]) -> Vec<(Arc<Resource>, Vec<Step<'a>>)> {
        let mut by_resource: Vec<(Arc<Resource>, Vec<Step<'a>>)> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        for change in changes {
            let place = match by_resource.last() {
                Some((resource, _)) if resource.name == change.key.resource => by_resource.len() - 1,
                _ => {
                    let resource = self.resource_or_new(&change.key.resource);
                    *places.entry(resource.id).or_insert_with(|| {
                        by_resource.push((resource, Vec::new()));
                        by_resource.len() - 1
                    })
                }
            };
            let step = self.step(change, &by_resource[place].0);
            by_resource[place].1.push(step);
        }
        by_resource
    }

    fn step<'a>(&self, change: &'a Change, resource: &Resource) -> Step<'a> {
        match &change.value {
            None => Step::Delete { key: &change.key, revision: change.revision },
            Some(value) => {
                let cluster = self.clusters.intern(&change.key.cluster);
                Step::Put(self.entry(resource, Entry::new(&change.key, cluster, value.clone(), change.revision)))
            }
        }
    }

    /// The entry as the cache holds it.
    fn entry(&self, resource: &Resource, entry: Entry) -> Arc<Entry> {
        let name = (&*resource.name.group, &*resource.name.resource);
        Arc::new(if self.options.shared.contains(&name) { entry.sharing(&self.texts) } else { entry })
    }

    /// Lets the resource with the longest history give way while all histories together are too large.
    fn give_way(&self) {
        let limit = self.options.history_bytes as i64;
        while self.history.load(Ordering::Relaxed) > limit {
            let resources = self.resources.read().by_id.clone();
            let largest = resources.iter().max_by_key(|resource| resource.state.read().ring.bytes());
            let Some(largest) = largest else { return };
            let mut state = largest.state.write();
            let before = state.ring.bytes();
            // A good step at once, so that the largest is not looked for again after every event.
            state.ring.trim_to_bytes(before.saturating_sub(self.options.history_bytes / 16 + 1));
            let freed = before - state.ring.bytes();
            self.history.fetch_sub(freed as i64, Ordering::Relaxed);
            if freed == 0 {
                return;
            }
        }
    }

    /// Whether there is history that may become too old.
    fn remembers(&self) -> bool {
        !self.floors.is_empty() || self.resources.read().by_id.iter().any(|found| found.state.read().ring.len() > 0)
    }

    /// Lets go of history that is too old, also where nothing happens any more.
    fn sweep(&self, now: Instant) {
        self.floors.sweep(self.options.history_age, now);
        let resources = self.resources.read().by_id.clone();
        for resource in resources {
            if resource.state.read().ring.len() == 0 {
                continue;
            }
            let mut state = resource.state.write();
            let before = state.ring.bytes();
            state.ring.trim(self.limits(), now);
            self.history.fetch_sub((before - state.ring.bytes()) as i64, Ordering::Relaxed);
        }
    }

    fn stop(&self, cause: &StopCause) {
        self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert_with(|| cause.clone());
            first
        });
        let resources = self.resources.read().by_id.clone();
        resources.iter().for_each(|resource| resource.state.write().groups.end_all(CloseReason::Shutdown));
    }
}

impl ChangeSink for Store {
    fn apply(&self, batch: &ChangeBatch) {
        let now = Instant::now();
        let mut effects = Effects::default();
        let current = self.revision();
        let changes = &batch.changes[batch.changes.partition_point(|change| change.revision <= current)..];
        self.apply_in_turns(changes, now, &mut effects);
        self.clusters.account(&effects.usage);
        self.end_clusters(changes, now);
        self.reach(batch.revision);
        self.bell.ring(effects.touched);
        self.history.fetch_add(effects.history, Ordering::Relaxed);
        self.give_way();
    }

    fn closed(&self, cause: &StopCause) {
        self.stop(cause);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(attendant) = self.attendant.get_mut().take() {
            attendant.abort();
        }
    }
}

/// Sweeps old history now and then, and wakes crowds when the bell rings, as long as the store is there.
async fn attend(store: Weak<Store>, bell: Arc<Bell>, age: Duration) {
    let mut ticks = tokio::time::interval((age / 8).max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = bell.rung() => bell.wake_crowds(),
            _ = ticks.tick() => match store.upgrade() {
                Some(store) if store.remembers() => {
                    // On a thread of its own, which ends soon after: that is when the allocator gives back to the system
                    // what was let go, even if nothing happens any more.
                    let swept = tokio::task::spawn_blocking(move || store.sweep(Instant::now())).await;
                    if swept.is_err() {
                        tracing::error!("old history could not be swept");
                    }
                }
                Some(_) => {}
                None => return,
            },
        }
    }
}
