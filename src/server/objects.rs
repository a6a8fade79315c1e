//! Reading stored objects from beside a request: for admission plugins and other parts that an embedder brings along.
//!
//! Reads with the server's own rights and in the storage version, from memory.

use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};

use crate::registry::encode;
use crate::storage::{Key, ListQuery, Store};

/// The objects that are stored, of all logical clusters.
#[derive(Clone)]
pub struct Objects(Arc<Store>);

// === impl Objects ===

impl Objects {
    pub(super) fn of(store: Arc<Store>) -> Self {
        Self(store)
    }

    /// One object of a resource (`secrets`, `deployments.apps`); the namespace is empty for what lives in none.
    pub fn get(&self, cluster: &LogicalClusterName, resource: &str, namespace: &str, name: &str) -> Option<Object> {
        let entry = self.0.get(&Key::new(resource_of(resource), cluster.clone(), namespace, name))?;
        encode::decode(&entry).ok()
    }

    /// The objects of a resource in a namespace, or in all if it is empty, by name.
    pub fn list(&self, cluster: &LogicalClusterName, resource: &str, namespace: &str) -> Vec<Object> {
        let (resource, scope) = (resource_of(resource), ClusterScope::One(cluster.clone()));
        let mut query = ListQuery::new(&resource, &scope);
        query.namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let entries = self.0.list(query).map(|page| page.entries).unwrap_or_default();
        entries.iter().filter_map(|entry| encode::decode(entry).ok()).collect()
    }
}

/// `deployments.apps`, or `secrets` of the core group.
pub(super) fn resource_of(text: &str) -> GroupResource {
    let (name, group) = text.split_once('.').unwrap_or((text, ""));
    GroupResource::new(group, name)
}
