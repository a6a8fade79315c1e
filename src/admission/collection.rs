//! The stored objects of one resource, as plugins read them: by name or as a whole, each parsed once.

use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};

use crate::storage::{Entry, Key, ListQuery, Store};

/// The objects of one resource, in all clusters.
pub(super) struct Collection {
    store: Arc<Store>,
    resource: GroupResource,
}

impl Collection {
    /// The objects of the resource of that group and name.
    pub(super) fn of(store: &Arc<Store>, group: &str, resource: &str) -> Self {
        Self { store: store.clone(), resource: GroupResource::new(group, resource) }
    }

    /// The key of an object.
    pub(super) fn key(&self, cluster: &LogicalClusterName, namespace: &str, name: &str) -> Key {
        Key::new(self.resource.clone(), cluster.clone(), namespace, name)
    }

    /// The object of that name; the namespace is empty for what has none.
    pub(super) fn get(&self, cluster: &LogicalClusterName, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.store.get(&self.key(cluster, namespace, name))
    }

    /// All objects of a namespace.
    pub(super) fn in_namespace(&self, cluster: &LogicalClusterName, namespace: &str) -> Vec<Arc<Entry>> {
        self.list(cluster, Some(namespace))
    }

    /// All objects of a cluster.
    pub(super) fn in_cluster(&self, cluster: &LogicalClusterName) -> Vec<Arc<Entry>> {
        self.list(cluster, None)
    }

    fn list(&self, cluster: &LogicalClusterName, namespace: Option<&str>) -> Vec<Arc<Entry>> {
        let scope = ClusterScope::One(cluster.clone());
        let query = ListQuery { namespace, ..ListQuery::new(&self.resource, &scope) };
        // Reading what is there now cannot fail: only the past can be too far back.
        self.store.list(query).map(|page| page.entries).unwrap_or_default()
    }
}

/// A stored object, parsed.
pub(super) fn object(entry: &Entry) -> Object {
    serde_json::from_slice(&entry.bytes()).unwrap_or_default()
}
