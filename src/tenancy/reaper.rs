//! Ends clusters whose workspace is being deleted: first the data, which may be kept as a snapshot, then the workspace.
//!
//! One loop for all clusters, level-triggered: after a restart it begins with whatever is still marked. Several clusters go
//! at a time, so that they share the store's flushes and a large one does not keep small ones waiting.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use atoll_api::{ClusterScope, LogicalClusterName};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use super::snapshot::ContentError;
use super::{Retention, workspaces};
use crate::storage::observe::again_until_stopped;
use crate::storage::{CommitError, Entry, EventKind, Guard, Key, ListQuery, Store, Txn, WatchItem, WatchQuery};

/// How many clusters are emptied at a time.
const AT_A_TIME: usize = 64;

/// Deletes what is in clusters that are to go.
pub struct Reaper {
    store: Arc<Store>,
    retention: Retention,
}

/// The clusters that are to go, each once.
#[derive(Default)]
struct Doomed {
    waiting: VecDeque<LogicalClusterName>,
    /// Those that wait and those being emptied.
    known: HashSet<LogicalClusterName>,
}

// === impl Reaper ===

impl Reaper {
    /// A reaper of this store's clusters, which keeps what they held for so long.
    pub fn new(store: Arc<Store>, retention: Retention) -> Self {
        Self { store, retention }
    }

    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        again_until_stopped(&stop, || self.watch()).await;
    }

    /// Reaps what is marked now, then what will be; returns when something failed or history was missed.
    async fn watch(&self) {
        let resource = workspaces();
        let root = ClusterScope::One(LogicalClusterName::root());
        let Ok(page) = self.store.list(ListQuery::new(&resource, &root)) else { return };
        let query = WatchQuery { resource: &resource, scope: &root, namespace: None, name: None };
        let Ok(mut watcher) = self.store.watch(query, page.revision) else { return };
        let mut doomed = Doomed::default();
        page.entries.iter().for_each(|entry| doomed.add_if_marked(entry));
        drop(page);
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < AT_A_TIME
                && let Some(cluster) = doomed.waiting.pop_front()
            {
                under_way.push(self.reap(cluster));
            }
            if doomed.known.is_empty() {
                // Nothing of a mass deletion is kept.
                doomed = Doomed::default();
            }
            tokio::select! {
                Some((cluster, done)) = under_way.next(), if !under_way.is_empty() => {
                    doomed.known.remove(&cluster);
                    if let Err(error) = done {
                        tracing::warn!(%cluster, %error, "a logical cluster could not be emptied; trying again");
                        return;
                    }
                    // Another one of its name may have come and been marked before this one was known to be gone.
                    self.marked(&cluster).into_iter().for_each(|entry| doomed.add_if_marked(&entry));
                }
                item = watcher.next() => match item {
                    WatchItem::Event(event) if event.kind == EventKind::Delete => {}
                    WatchItem::Event(event) => doomed.add_if_marked(&event.entry),
                    WatchItem::Closed(_) => return,
                },
            }
        }
    }

    async fn reap(&self, cluster: LogicalClusterName) -> (LogicalClusterName, Result<(), CommitError>) {
        let done = self.empty_and_remove(&cluster).await;
        (cluster, done)
    }

    async fn empty_and_remove(&self, cluster: &LogicalClusterName) -> Result<(), CommitError> {
        // Asked again, since the workspace may have gone since it was marked, and another one of its name have come.
        let Some(mut marked) = self.marked(cluster) else { return Ok(()) };
        let uid = marked.uid().to_owned();
        self.retention.keep(&self.store, &marked).await.map_err(|error| match error {
            ContentError::Store(error) => error,
            other => CommitError::Unavailable { reason: other.to_string().into() },
        })?;
        loop {
            match self.empty_while(cluster, &marked).await {
                Ok(()) => break,
                // Somebody has changed the workspace meanwhile, and it goes all the same; or another server was faster.
                Err(CommitError::Conflict { .. }) => match self.marked(cluster).filter(|now| now.uid() == uid) {
                    Some(now) => marked = now,
                    None => return Ok(()),
                },
                Err(error) => return Err(error),
            }
        }
        tracing::info!(%cluster, "logical cluster deleted");
        Ok(())
    }

    /// Empties a cluster and removes its workspace, as long as that is as it was seen.
    async fn empty_while(&self, cluster: &LogicalClusterName, marked: &Entry) -> Result<(), CommitError> {
        let guard = Guard { key: key(cluster), revision: marked.revision };
        self.store.delete_cluster(cluster, Some(&guard)).await?;
        self.store.commit(Txn::delete(guard.key, guard.revision)).await.map(drop)
    }

    /// The workspace of a cluster, if it is there and marked.
    fn marked(&self, cluster: &LogicalClusterName) -> Option<Arc<Entry>> {
        self.store.get(&key(cluster)).filter(|entry| entry.is_deleting())
    }
}

fn key(cluster: &LogicalClusterName) -> Key {
    Key::new(workspaces(), LogicalClusterName::root(), "", cluster.as_str())
}

// === impl Doomed ===

impl Doomed {
    fn add_if_marked(&mut self, entry: &Entry) {
        if !entry.is_deleting() {
            return;
        }
        let Ok(cluster) = LogicalClusterName::parse(entry.name()) else { return };
        if !cluster.is_root() && self.known.insert(cluster.clone()) {
            self.waiting.push_back(cluster);
        }
    }
}
