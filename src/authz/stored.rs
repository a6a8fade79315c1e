//! Roles and bindings as the store holds them: each cluster's own, parsed once for each stored object, and those that
//! all clusters share.

use std::collections::HashMap;
use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::rbac::{BOOTSTRAP_LABEL, Binding, GROUP, PolicySource, Rbac, Role, Underlay};
use crate::storage::observe::Observer;
use crate::storage::{Entry, Event, Key, ListQuery, Store};

/// The resources of which policy is made, and their kinds.
const RESOURCES: [(&str, &str); 4] = [
    ("roles", "Role"),
    ("clusterroles", "ClusterRole"),
    ("rolebindings", "RoleBinding"),
    ("clusterrolebindings", "ClusterRoleBinding"),
];

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
    read: Mutex<Vec<Read>>,
}

/// What was read last, and of which it was made.
type Read = (Arc<Entry>, Arc<Object>);

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
        (!is_shared(&entry)).then(|| entry.derived(|entry| Role::parse(&object_of(entry))))
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
        own.map(|entry| entry.derived(|entry| parse(&object_of(entry)))).collect()
    }
}

fn object_of(entry: &Entry) -> Object {
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
    /// Keeps `rbac`'s shared policy; it has been read once when this returns. What was written at the revision `furnished`
    /// is the bootstrap policy as it is shipped, and need not be read.
    pub fn new(store: Arc<Store>, rbac: Arc<Rbac>, furnished: Option<u64>) -> Self {
        let underlay = Self { store, rbac, read: Mutex::default() };
        let shipped = |kind: &str, entry: &Entry| {
            let as_shipped = furnished == Some(entry.revision);
            as_shipped.then(|| Underlay::bootstrap().object(kind, entry.namespace(), entry.name()).cloned()).flatten()
        };
        underlay.read_with(&shipped);
        underlay
    }

    /// Reads what has changed of the shared policy: from now on every cluster is judged by it.
    pub fn refresh(&self) {
        self.read_with(&|_, _| None);
    }

    /// Reads what is otherwise than before, unless it is known, by kind and entry, what is in it.
    fn read_with(&self, known: &dyn Fn(&str, &Entry) -> Option<Arc<Object>>) {
        // One after the other, so that what was read first is never put in place last.
        let mut read = self.read.lock();
        let root = ClusterScope::One(LogicalClusterName::root());
        let mut entries = Vec::with_capacity(read.len());
        for (resource, kind) in RESOURCES {
            let resource = GroupResource::new(GROUP, resource);
            let query = ListQuery { filter: Some(&is_shared), ..ListQuery::new(&resource, &root) };
            // A store that tells nothing must not take everybody's rights away.
            let Ok(page) = self.store.list(query) else { return };
            entries.extend(page.entries.into_iter().map(|entry| (kind, entry)));
        }
        let same = |((_, entry), (had, _)): (&(&str, Arc<Entry>), &Read)| Arc::ptr_eq(entry, had);
        if !read.is_empty() && entries.len() == read.len() && entries.iter().zip(read.iter()).all(same) {
            return;
        }
        let before: HashMap<*const Entry, Arc<Object>> =
            read.iter().map(|(entry, object)| (Arc::as_ptr(entry), Arc::clone(object))).collect();
        let objects = entries.into_iter().map(|(kind, entry)| {
            let object = before.get(&Arc::as_ptr(&entry)).cloned().or_else(|| known(kind, &entry));
            let object = object.unwrap_or_else(|| Arc::new(object_of(&entry)));
            (entry, object)
        });
        *read = objects.collect();
        let objects = || read.iter().map(|(_, object)| object);
        let shipped = Underlay::bootstrap_if_made_of(objects());
        self.rbac.set_underlay(shipped.unwrap_or_else(|| Arc::new(Underlay::from_objects(objects().cloned()))));
    }

    /// Follows what this and other servers write into the store, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let resources = RESOURCES.map(|(resource, _)| GroupResource::new(GROUP, resource));
        let root = ClusterScope::One(LogicalClusterName::root());
        self.store.observe(&resources, &root, &*self, &stop).await;
    }
}

impl Observer for StoredUnderlay {
    fn look_at_all(&self) {
        self.refresh();
    }

    fn look_at(&self, _: &GroupResource, changes: &[Arc<Event>]) {
        let shared =
            |event: &Arc<Event>| is_shared(&event.entry) || event.previous.as_ref().is_some_and(|old| is_shared(old));
        if changes.iter().any(shared) {
            self.refresh();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::rbac::bootstrap_objects;
    use crate::storage::{Action, Expect, Memory, Txn};

    fn key_of(object: &Object) -> Key {
        let (resource, _) = RESOURCES.into_iter().find(|(_, kind)| *kind == object.kind()).expect("a kind of policy");
        let resource = GroupResource::new(GROUP, resource);
        Key::new(resource, LogicalClusterName::root(), object.namespace(), object.name())
    }

    fn put(txn: Txn, object: &Object) -> Txn {
        let metadata = object.get("metadata").expect("metadata");
        let rest = serde_json::to_string(object).expect("JSON");
        let text = format!("{{\"metadata\":{metadata},{}", rest.trim_start_matches('{'));
        txn.and(key_of(object), Expect::Any, Action::Put(text.into()))
    }

    #[tokio::test]
    async fn what_is_stored_as_it_was_shipped_is_not_read_and_the_rest_is_read_once() {
        let store = Store::open(Memory::new()).await.expect("a store");
        let all = bootstrap_objects();
        let written = store.commit(all.iter().fold(Txn::default(), put)).await.expect("committed");
        let shipped = Underlay::bootstrap();
        for furnished in [Some(written), None] {
            let rbac = Arc::new(Rbac::new(Arc::new(StoredPolicy::new(store.clone()))));
            let underlay = StoredUnderlay::new(store.clone(), rbac.clone(), furnished);
            assert_eq!(Arc::ptr_eq(&rbac.underlay(), &shipped), furnished.is_some());
            let before = rbac.underlay();
            underlay.refresh();
            assert!(Arc::ptr_eq(&rbac.underlay(), &before), "nothing has changed");
        }

        let rbac = Arc::new(Rbac::new(Arc::new(StoredPolicy::new(store.clone()))));
        let underlay = StoredUnderlay::new(store.clone(), rbac.clone(), Some(written));
        let mut changed = all.iter().find(|object| object.name() == "system:discovery").cloned().expect("a role");
        changed.0.insert("rules".into(), serde_json::json!([]));
        store.commit(put(Txn::default(), &changed)).await.expect("committed");
        underlay.refresh();
        let now = rbac.underlay();
        assert_eq!(
            now.object("ClusterRole", "", "system:discovery").and_then(|role| role.get("rules")).cloned(),
            changed.get("rules").cloned()
        );
        let other = |underlay: &Underlay| underlay.object("ClusterRole", "", "view").cloned().expect("a role");
        assert!(Arc::ptr_eq(&other(&now), &other(&shipped)), "what has not changed is not read again");
    }
}
