//! Logical clusters: which there are, what they serve, and how one comes to be, is copied, and goes.
//!
//! A cluster is a `Workspace` object of the system cluster; nothing else is kept per cluster.

mod follow;
mod identities;
pub mod keeper;
pub mod maker;
mod pour;
pub mod reaper;
mod retention;
pub mod snapshot;
mod workspace;

use std::sync::Arc;

use atoll_api::{ApiResult, GroupResource, LogicalClusterName, Object, Uid};
use bytes::Bytes;
use serde_json::Value;

use crate::storage::{Entry, Key, Store};

pub use retention::{DELETED, RETAIN, Retention, parse_span};
pub use workspace::{MOVING_LABEL, Stage, put_back, revived};

/// The API group of workspaces, as in kcp.
pub const TENANCY_GROUP: &str = "tenancy.kcp.io";
/// The plural name of workspaces.
pub const WORKSPACES: &str = "workspaces";
/// The sets of resources a cluster serves when its workspace names none.
pub const DEFAULT_SETS: &[&str] = &["control-plane"];
/// The binding by which whoever creates a workspace may do everything in its cluster.
pub const OWNER_BINDING: &str = "workspace-owner";

/// Makes the bytes under which an object of the storage version is stored.
pub type StoredForm = fn(&Object) -> ApiResult<Bytes>;

/// What requests need to know of a logical cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its identity; another cluster under the same name has another one.
    pub uid: Uid,
    /// The sets and resources it serves, as its workspace names them.
    pub resources: Arc<[String]>,
    /// What may be done with it now.
    pub stage: Stage,
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

    /// The cluster of that name, unless there is none, or it is being made or deleted.
    pub fn find(&self, name: &LogicalClusterName) -> Option<Arc<Cluster>> {
        self.known(name).filter(|cluster| cluster.stage != Stage::Making)
    }

    /// Whether there will be a cluster of that name, but nothing of it can be seen yet.
    pub fn is_being_made(&self, name: &LogicalClusterName) -> bool {
        self.known(name).is_some_and(|cluster| cluster.stage == Stage::Making)
    }

    fn known(&self, name: &LogicalClusterName) -> Option<Arc<Cluster>> {
        if name.is_root() {
            return Some(self.root.clone());
        }
        let key = Key::new(self.workspaces.clone(), LogicalClusterName::root(), "", name.as_str());
        cluster_of(&*self.store.get(&key)?)
    }
}

/// The resource under which clusters are kept.
pub fn workspaces() -> GroupResource {
    GroupResource::new(TENANCY_GROUP, WORKSPACES)
}

/// Where the workspace of a cluster is kept.
pub fn workspace_key(cluster: &LogicalClusterName) -> Key {
    Key::new(workspaces(), LogicalClusterName::root(), "", cluster.as_str())
}

/// The cluster that a stored workspace stands for; nothing if it is going, or is none.
pub fn cluster_of(workspace: &Entry) -> Option<Arc<Cluster>> {
    let known: Arc<Known> = workspace.derived(Known::read);
    known.0.clone()
}

/// What a stored workspace says; nothing if its cluster is going or was never there.
struct Known(Option<Arc<Cluster>>);

impl Known {
    fn read(entry: &Entry) -> Self {
        let Ok(object) = serde_json::from_slice::<Object>(&entry.bytes()) else { return Self(None) };
        if object.deletion_timestamp().is_some() {
            return Self(None);
        }
        let listed = object.at(&["spec", "resources"]).and_then(Value::as_array);
        let resources: Vec<String> = match listed {
            Some(list) if !list.is_empty() => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => DEFAULT_SETS.iter().map(|set| (*set).to_owned()).collect(),
        };
        let uid = Uid::new(object.uid());
        Self(Some(Arc::new(Cluster { uid, resources: resources.into(), stage: Stage::of(&object) })))
    }
}
