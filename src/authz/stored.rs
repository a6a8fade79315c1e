//! Roles and bindings as the store holds them, parsed once for each stored object.

use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};

use super::rbac::{Binding, GROUP, PolicySource, Role};
use crate::storage::{Entry, Key, ListQuery, Store};

/// The policy of every cluster, read from the store's memory.
pub struct StoredPolicy {
    store: Arc<Store>,
    roles: GroupResource,
    cluster_roles: GroupResource,
    role_bindings: GroupResource,
    cluster_role_bindings: GroupResource,
}

impl StoredPolicy {
    /// The policy in this store.
    pub fn new(store: Arc<Store>) -> Self {
        let of = |resource: &str| GroupResource::new(GROUP, resource);
        Self {
            store,
            roles: of("roles"),
            cluster_roles: of("clusterroles"),
            role_bindings: of("rolebindings"),
            cluster_role_bindings: of("clusterrolebindings"),
        }
    }

    fn one(&self, resource: &GroupResource, cluster: &LogicalClusterName, ns: &str, name: &str) -> Option<Arc<Role>> {
        let entry = self.store.get(&Key::new(resource.clone(), cluster.clone(), ns, name))?;
        Some(entry.derived(|entry| Role::parse(&object(entry))))
    }

    fn all<T: Send + Sync + 'static>(
        &self,
        resource: &GroupResource,
        cluster: &LogicalClusterName,
        namespace: Option<&str>,
        parse: fn(&Object) -> T,
    ) -> Vec<Arc<T>> {
        let scope = ClusterScope::One(cluster.clone());
        let query = ListQuery { namespace, ..ListQuery::new(resource, &scope) };
        let entries = self.store.list(query).map(|page| page.entries).unwrap_or_default();
        entries.iter().map(|entry| entry.derived(|entry| parse(&object(entry)))).collect()
    }
}

fn object(entry: &Entry) -> Object {
    serde_json::from_slice(&entry.bytes).unwrap_or_default()
}

impl PolicySource for StoredPolicy {
    fn cluster_role_bindings(&self, cluster: &LogicalClusterName) -> Vec<Arc<Binding>> {
        self.all(&self.cluster_role_bindings, cluster, None, Binding::parse)
    }

    fn role_bindings(&self, cluster: &LogicalClusterName, namespace: &str) -> Vec<Arc<Binding>> {
        self.all(&self.role_bindings, cluster, Some(namespace), Binding::parse)
    }

    fn cluster_role(&self, cluster: &LogicalClusterName, name: &str) -> Option<Arc<Role>> {
        self.one(&self.cluster_roles, cluster, "", name)
    }

    fn role(&self, cluster: &LogicalClusterName, namespace: &str, name: &str) -> Option<Arc<Role>> {
        self.one(&self.roles, cluster, namespace, name)
    }

    fn gathered_cluster_roles(&self, cluster: &LogicalClusterName) -> Vec<Arc<Role>> {
        let mut roles = self.all(&self.cluster_roles, cluster, None, Role::parse);
        roles.retain(|role| role.may_be_gathered());
        roles
    }
}
