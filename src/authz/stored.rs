//! Roles and bindings as the store holds them: each cluster's own, parsed once for each stored object, and those that
//! all clusters share.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rbac::{BOOTSTRAP_LABEL, Binding, GROUP, PolicySource, Rbac, Role, Underlay};
use crate::storage::{Entry, Key, ListQuery, Store, WatchItem, WatchQuery, Watcher};

/// The resources of which policy is made.
const RESOURCES: [&str; 4] = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"];
/// How long to wait before watching again after history was missed.
const RETRY: Duration = Duration::from_secs(1);

/// The policy of every cluster, read from the store's memory.
pub struct StoredPolicy {
    store: Arc<Store>,
    roles: GroupResource,
    cluster_roles: GroupResource,
    role_bindings: GroupResource,
    cluster_role_bindings: GroupResource,
}

/// Keeps the policy that all clusters share as the system cluster has it.
pub struct StoredUnderlay {
    store: Arc<Store>,
    rbac: Arc<Rbac>,
    reading: Mutex<()>,
}

/// Whether a stored role or binding is one of those that all clusters share.
pub fn is_shared(entry: &Entry) -> bool {
    entry.cluster().is_root() && entry.labels().get(BOOTSTRAP_LABEL).is_some()
}

// === impl StoredPolicy ===

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
        (!is_shared(&entry)).then(|| entry.derived(|entry| Role::parse(&object(entry))))
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
        let own = entries.iter().filter(|entry| !is_shared(entry));
        own.map(|entry| entry.derived(|entry| parse(&object(entry)))).collect()
    }
}

fn object(entry: &Entry) -> Object {
    serde_json::from_slice(&entry.bytes()).unwrap_or_default()
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

// === impl StoredUnderlay ===

impl StoredUnderlay {
    /// Keeps `rbac`'s shared policy; it has been read once when this returns.
    pub fn new(store: Arc<Store>, rbac: Arc<Rbac>) -> Self {
        let underlay = Self { store, rbac, reading: Mutex::new(()) };
        underlay.refresh();
        underlay
    }

    /// Reads the shared policy anew: from now on every cluster is judged by it.
    pub fn refresh(&self) {
        // One after the other, so that what was read first is never put in place last.
        let _one = self.reading.lock();
        let root = ClusterScope::One(LogicalClusterName::root());
        let mut objects = Vec::new();
        for resource in RESOURCES {
            let resource = GroupResource::new(GROUP, resource);
            let query = ListQuery { filter: Some(&is_shared), ..ListQuery::new(&resource, &root) };
            // A store that tells nothing must not take everybody's rights away.
            let Ok(page) = self.store.list(query) else { return };
            objects.extend(page.entries.iter().map(|entry| object(entry)));
        }
        self.rbac.set_underlay(Arc::new(Underlay::from_objects(objects)));
    }

    /// Follows what this and other servers write into the store, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.watch() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Reads anew whenever something shared changes; returns when history was missed.
    async fn watch(&self) {
        let root = ClusterScope::One(LogicalClusterName::root());
        let changed = Notify::new();
        let mut watchers = Vec::new();
        for resource in RESOURCES {
            let resource = GroupResource::new(GROUP, resource);
            let query = WatchQuery { resource: &resource, scope: &root, namespace: None, name: None };
            let Ok(watcher) = self.store.watch(query, self.store.revision()) else { return };
            watchers.push(shared_changes(watcher, &changed));
        }
        self.refresh();
        let mut ended = std::pin::pin!(futures::future::select_all(watchers.into_iter().map(Box::pin)));
        loop {
            tokio::select! {
                _ = &mut ended => return,
                () = changed.notified() => self.refresh(),
            }
        }
    }
}

/// Tells of each change of a shared object; returns when the watch ends.
async fn shared_changes(mut watcher: Watcher, changed: &Notify) {
    while let WatchItem::Event(event) = watcher.next().await {
        if is_shared(&event.entry) || event.previous.as_ref().is_some_and(|previous| is_shared(previous)) {
            changed.notify_one();
        }
    }
}
