//! Ends clusters whose workspace is being deleted: first the data, then the workspace.
//!
//! One loop for all clusters, level-triggered: after a restart it begins with whatever is still marked.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::{ClusterScope, LogicalClusterName, Object};
use tokio_util::sync::CancellationToken;

use super::workspaces;
use crate::storage::{Entry, EventKind, Key, ListQuery, Store, Txn, WatchItem, WatchQuery};

/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_secs(1);

/// Deletes what is in clusters that are to go.
pub struct Reaper {
    store: Arc<Store>,
}

impl Reaper {
    /// A reaper of this store's clusters.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.watch() => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Reaps what is marked now, then what will be; returns when something failed or history was missed.
    async fn watch(&self) {
        let resource = workspaces();
        let root = ClusterScope::One(LogicalClusterName::root());
        let Ok(page) = self.store.list(ListQuery::new(&resource, &root)) else { return };
        let query = WatchQuery { resource: &resource, scope: &root, namespace: None, name: None };
        let Ok(mut watcher) = self.store.watch(query, page.revision) else { return };
        for entry in &page.entries {
            if self.reap_if_marked(entry).await.is_err() {
                return;
            }
        }
        while let WatchItem::Event(event) = watcher.next().await {
            if event.kind != EventKind::Delete && self.reap_if_marked(&event.entry).await.is_err() {
                return;
            }
        }
    }

    async fn reap_if_marked(&self, entry: &Entry) -> Result<(), crate::storage::CommitError> {
        let Ok(workspace) = serde_json::from_slice::<Object>(&entry.bytes) else { return Ok(()) };
        let Ok(cluster) = LogicalClusterName::parse(workspace.name()) else { return Ok(()) };
        if workspace.deletion_timestamp().is_none() || cluster.is_root() {
            return Ok(());
        }
        self.store.delete_cluster(&cluster).await?;
        let key = Key::new(workspaces(), LogicalClusterName::root(), "", workspace.name());
        if let Some(entry) = self.store.get(&key).filter(|current| current.uid() == workspace.uid()) {
            self.store.commit(Txn::delete(key, entry.revision)).await?;
        }
        tracing::info!(%cluster, "logical cluster deleted");
        Ok(())
    }
}
