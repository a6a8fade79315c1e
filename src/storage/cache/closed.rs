//! Clusters that are closed for a while: nobody sees how they come to be, or are put back, but only what comes of it.
//!
//! The object that stands for a cluster says so by a label. As long as it has it the cluster has no watches; when it is
//! taken off, history begins anew. Every server over a store hears of it by the object itself.

use std::collections::HashSet;
use std::time::Instant;

use atoll_api::{ClusterScope, LogicalClusterName};
use parking_lot::Mutex;

use super::Store;
use super::entry::Entry;
use super::list::ListQuery;
use crate::storage::Change;

/// The label of an object that stands for a cluster which is closed.
pub const CLOSED_LABEL: &str = "tenancy.atoll.dev/closed";

/// The clusters that are closed.
#[derive(Default)]
pub(super) struct Closed(Mutex<HashSet<LogicalClusterName>>);

impl Store {
    /// Finds the clusters that are closed already.
    pub(super) fn find_closed(&self) {
        let Some(objects) = self.cluster_objects.get() else { return };
        let root = ClusterScope::One(LogicalClusterName::root());
        let Ok(page) = self.list(ListQuery { filter: Some(&is_closed), ..ListQuery::new(objects, &root) }) else {
            return;
        };
        let names = page.entries.iter().filter_map(|entry| LogicalClusterName::parse(entry.name()).ok());
        self.closed.0.lock().extend(names);
    }

    /// Closes or opens the cluster whose object was put.
    pub(super) fn close_or_open(&self, cluster: &LogicalClusterName, change: &Change, now: Instant) {
        let closed = self.get(&change.key).is_some_and(|entry| is_closed(&entry));
        let changed = match closed {
            true => self.closed.0.lock().insert(cluster.clone()),
            false => self.closed.0.lock().remove(cluster),
        };
        if changed {
            self.end_watches_of(cluster);
        }
        if changed && !closed {
            self.floors.raise(cluster, change.revision, now);
        }
    }

    /// Forgets a cluster that is gone.
    pub(super) fn forget_closed(&self, cluster: &LogicalClusterName) {
        self.closed.0.lock().remove(cluster);
    }
}

fn is_closed(entry: &Entry) -> bool {
    entry.labels().get(CLOSED_LABEL).is_some()
}
