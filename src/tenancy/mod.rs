//! Logical clusters: which there are, what they serve, and how one comes to be and goes.
//!
//! A cluster is a `Workspace` object of the system cluster; nothing else is kept per cluster.

pub mod reaper;

use std::sync::Arc;

use atoll_api::{GroupResource, LogicalClusterName, Object, Uid};
use serde_json::Value;

use crate::storage::{Entry, Key, Store};

/// The API group of workspaces, as in kcp.
pub const TENANCY_GROUP: &str = "tenancy.kcp.io";
/// The plural name of workspaces.
pub const WORKSPACES: &str = "workspaces";
/// The sets of resources a cluster serves when its workspace names none.
pub const DEFAULT_SETS: &[&str] = &["control-plane"];

/// What requests need to know of a logical cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its identity; another cluster under the same name has another one.
    pub uid: Uid,
    /// The sets and resources it serves, as its workspace names them.
    pub resources: Arc<[String]>,
}

/// The directory of logical clusters, read from the store's memory.
pub struct Clusters {
    store: Arc<Store>,
    workspaces: GroupResource,
    root: Arc<Cluster>,
}

impl Clusters {
    /// The clusters of a store; `root` is what the system cluster is and serves.
    pub fn new(store: Arc<Store>, root: Cluster) -> Self {
        Self { store, workspaces: workspaces(), root: Arc::new(root) }
    }

    /// The cluster of that name, unless there is none or it is being deleted.
    pub fn find(&self, name: &LogicalClusterName) -> Option<Arc<Cluster>> {
        if name.is_root() {
            return Some(self.root.clone());
        }
        let key = Key::new(self.workspaces.clone(), LogicalClusterName::root(), "", name.as_str());
        let entry = self.store.get(&key)?;
        let known: Arc<Known> = entry.derived(Known::read);
        known.0.clone()
    }
}

/// The resource under which clusters are kept.
pub fn workspaces() -> GroupResource {
    GroupResource::new(TENANCY_GROUP, WORKSPACES)
}

/// What a stored workspace says; nothing if its cluster is going or was never there.
struct Known(Option<Arc<Cluster>>);

impl Known {
    fn read(entry: &Entry) -> Self {
        let Ok(object) = serde_json::from_slice::<Object>(&entry.bytes) else { return Self(None) };
        if object.deletion_timestamp().is_some() {
            return Self(None);
        }
        let listed = object.at(&["spec", "resources"]).and_then(Value::as_array);
        let resources: Vec<String> = match listed {
            Some(list) if !list.is_empty() => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => DEFAULT_SETS.iter().map(|set| (*set).to_owned()).collect(),
        };
        Self(Some(Arc::new(Cluster { uid: Uid::new(object.uid()), resources: resources.into() })))
    }
}
