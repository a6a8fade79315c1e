//! The policy of every cluster, as the store has it: what all share is read once, what a cluster has of its own when it
//! changes. A cluster without any costs nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use super::bootstrap::{FLOW_SCHEMAS, GROUP, LEVEL_NAMES, PRIORITY_LEVELS, SCHEMA_NAMES};
use super::policy::{Configuration, Policy, Shares};
use super::schema::Schema;
use crate::storage::observe::Observer;
use crate::storage::{Entry, Event, Key, ListQuery, Store};

/// The policies of all clusters.
pub struct Policies {
    store: Arc<Store>,
    /// How many seats the levels of a cluster divide.
    seats: u32,
    schemas: GroupResource,
    levels: GroupResource,
    shared: ArcSwap<Shared>,
    /// What the others have, the system cluster among them.
    own: RwLock<HashMap<LogicalClusterName, Arc<Mutex<Own>>>>,
    reading: Mutex<()>,
}

/// What all clusters share.
struct Shared {
    configuration: Configuration,
    /// What holds in clusters that have nothing of their own.
    policy: Arc<Policy>,
}

/// What a cluster has of its own.
#[derive(Default)]
struct Own {
    configuration: Configuration,
    /// What holds in the cluster, and with what of all clusters'; made when it is asked for.
    policy: Option<(Arc<Policy>, Arc<Shared>)>,
}

/// Whether a stored flow schema or priority level is one that all clusters share.
pub fn is_shared(resource: &GroupResource, entry: &Entry) -> bool {
    is_of_all(resource, entry.cluster(), entry.name())
}

fn is_of_all(resource: &GroupResource, cluster: &LogicalClusterName, name: &str) -> bool {
    let names = if &*resource.resource == FLOW_SCHEMAS { SCHEMA_NAMES } else { LEVEL_NAMES };
    cluster.is_root() && names.contains(&name)
}

// === impl Policies ===

impl Policies {
    /// The policies in this store, whose levels divide so many seats. They have been read when this returns.
    pub fn new(store: Arc<Store>, seats: u32) -> Arc<Self> {
        let policies = Self {
            store,
            seats,
            schemas: GroupResource::new(GROUP, FLOW_SCHEMAS),
            levels: GroupResource::new(GROUP, PRIORITY_LEVELS),
            shared: ArcSwap::from_pointee(Shared::new(Configuration::default(), seats)),
            own: RwLock::default(),
            reading: Mutex::new(()),
        };
        policies.look_at_all();
        Arc::new(policies)
    }

    /// What holds in a cluster.
    pub(super) fn of(&self, cluster: &LogicalClusterName) -> Arc<Policy> {
        let own = self.own.read().get(cluster).cloned();
        match own {
            Some(own) => own.lock().policy(&self.shared.load_full(), self.seats),
            None => self.everywhere(),
        }
    }

    /// What holds in clusters that have nothing of their own.
    pub(super) fn everywhere(&self) -> Arc<Policy> {
        Arc::clone(&self.shared.load().policy)
    }

    /// Whether a priority level is there for the flow schemas of a cluster.
    pub fn has_level(&self, cluster: &LogicalClusterName, name: &str) -> bool {
        let there = |cluster: &LogicalClusterName| {
            self.store.get(&Key::new(self.levels.clone(), cluster.clone(), "", name)).is_some()
        };
        there(cluster) || (LEVEL_NAMES.contains(&name) && there(&LogicalClusterName::root()))
    }

    /// Reads one schema or level anew, or that it is gone. What the system cluster has may hold everywhere.
    pub fn refresh(&self, resource: &GroupResource, cluster: &LogicalClusterName, name: &str) {
        // One after the other, so that what was read first is never put in place last.
        let _one = self.reading.lock();
        let entry = self.store.get(&Key::new(resource.clone(), cluster.clone(), "", name));
        if is_of_all(resource, cluster, name) {
            let mut configuration = self.shared.load().configuration.clone();
            if configuration.set(resource, name, entry.as_deref()) {
                self.shared.store(Arc::new(Shared::new(configuration, self.seats)));
            }
        } else {
            self.set_own(resource, cluster, name, entry.as_deref());
        }
    }

    fn set_own(&self, resource: &GroupResource, cluster: &LogicalClusterName, name: &str, entry: Option<&Entry>) {
        let known = self.own.read().get(cluster).cloned();
        let own = match (known, entry) {
            (Some(own), _) => own,
            (None, Some(_)) => Arc::clone(self.own.write().entry(cluster.clone()).or_default()),
            (None, None) => return,
        };
        let mut own = own.lock();
        if own.configuration.set(resource, name, entry) {
            own.policy = None;
        }
        if own.configuration.is_empty() {
            self.own.write().remove(cluster);
        }
    }

    /// Follows what is written into the store, by whomever, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let resources = [self.schemas.clone(), self.levels.clone()];
        self.store.observe(&resources, &ClusterScope::All, &*self, &stop).await;
    }
}

impl Observer for Policies {
    fn look_at_all(&self) {
        let _one = self.reading.lock();
        let mut shared = Configuration::default();
        let mut own: HashMap<LogicalClusterName, Configuration> = HashMap::new();
        for resource in [&self.schemas, &self.levels] {
            // A store that tells nothing leaves what there is.
            let Ok(page) = self.store.list(ListQuery::new(resource, &ClusterScope::All)) else { return };
            for entry in page.entries {
                let configuration = match is_shared(resource, &entry) {
                    true => &mut shared,
                    false => own.entry(entry.cluster().clone()).or_default(),
                };
                configuration.set(resource, entry.name(), Some(&entry));
            }
        }
        if self.shared.load().configuration != shared {
            self.shared.store(Arc::new(Shared::new(shared, self.seats)));
        }
        let mut known = self.own.write();
        known.retain(|cluster, had| own.get(cluster).is_some_and(|has| had.lock().configuration == *has));
        for (cluster, configuration) in own {
            known.entry(cluster).or_insert_with(|| Arc::new(Mutex::new(Own { configuration, policy: None })));
        }
    }

    fn look_at(&self, resource: &GroupResource, changes: &[Arc<Event>]) {
        let changed: HashSet<_> = changes.iter().map(|event| (event.entry.cluster(), event.entry.name())).collect();
        changed.into_iter().for_each(|(cluster, name)| self.refresh(resource, cluster, name));
    }
}

// === impl Shared ===

impl Shared {
    fn new(configuration: Configuration, seats: u32) -> Self {
        let policy = Arc::new(Policy::new(&Configuration::default(), &configuration, seats));
        Self { configuration, policy }
    }
}

// === impl Own ===

impl Own {
    fn policy(&mut self, shared: &Arc<Shared>, seats: u32) -> Arc<Policy> {
        match &self.policy {
            Some((policy, with)) if Arc::ptr_eq(with, shared) => Arc::clone(policy),
            _ => {
                let policy = Arc::new(Policy::new(&self.configuration, &shared.configuration, seats));
                self.policy = Some((Arc::clone(&policy), Arc::clone(shared)));
                policy
            }
        }
    }
}

// === impl Configuration ===

impl Configuration {
    /// Takes over what is stored under a name; whether that is otherwise than before.
    fn set(&mut self, resource: &GroupResource, name: &str, entry: Option<&Entry>) -> bool {
        if &*resource.resource == FLOW_SCHEMAS {
            self.set_schema(name, entry.map(|entry| entry.derived(|entry| Schema::parse(&object(entry)))))
        } else {
            self.set_level(name, entry.map(|entry| entry.derived(|entry| Shares::parse(&object(entry)))))
        }
    }
}

fn object(entry: &Entry) -> Object {
    serde_json::from_slice(&entry.bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::{Action, Expect, Memory, Txn};

    struct Written {
        store: Arc<Store>,
        policies: Arc<Policies>,
    }

    impl Written {
        async fn new() -> Self {
            let store = Store::open(Memory::new()).await.expect("a store");
            Self { policies: Policies::new(Arc::clone(&store), 100), store }
        }

        /// Writes a level with so many shares, or deletes it, and has it read.
        async fn level(&self, cluster: &str, name: &str, shares: Option<u32>) {
            let cluster = self::cluster(cluster);
            let key = Key::new(self.policies.levels.clone(), cluster.clone(), "", name);
            let object = |shares| {
                json!({"metadata": {"name": name}, "spec": {"type": "Limited", "limited": {
                    "nominalConcurrencyShares": shares, "limitResponse": {"type": "Reject"},
                }}})
            };
            let action = shares.map_or(Action::Delete, |shares| Action::Put(object(shares).to_string().into()));
            self.store.commit(Txn::default().and(key, Expect::Any, action)).await.expect("committed");
            self.policies.refresh(&self.policies.levels, &cluster, name);
        }

        fn of(&self, name: &str) -> Arc<Policy> {
            self.policies.of(&cluster(name))
        }
    }

    #[tokio::test]
    async fn what_a_cluster_writes_is_read_for_it_alone() {
        let written = Written::new().await;
        written.level("b", "mine", Some(10)).await;
        let (a, b) = (written.of("a"), written.of("b"));
        written.level("a", "mine", Some(10)).await;
        assert!(!Arc::ptr_eq(&a, &written.of("a")), "it has a policy of its own now");
        assert!(Arc::ptr_eq(&b, &written.of("b")), "nothing has changed in it");
        written.level("a", "mine", Some(10)).await;
        let again = written.of("a");
        written.level("a", "mine", Some(10)).await;
        assert!(Arc::ptr_eq(&again, &written.of("a")), "what says the same is no change");
        written.level("a", "mine", None).await;
        assert!(Arc::ptr_eq(&a, &written.of("a")), "it has nothing of its own any more");
    }

    #[tokio::test]
    async fn what_all_share_holds_in_clusters_when_they_are_next_asked_for() {
        let written = Written::new().await;
        written.level("a", "mine", Some(10)).await;
        let before = [written.of("a"), written.of("b")];
        written.level("root", "roots-own", Some(10)).await;
        for (before, cluster) in before.iter().zip(["a", "b"]) {
            assert!(Arc::ptr_eq(before, &written.of(cluster)), "what the system cluster has for itself is not shared");
        }
        written.level("root", "workload-low", Some(10)).await;
        for (before, cluster) in before.iter().zip(["a", "b"]) {
            assert!(!Arc::ptr_eq(before, &written.of(cluster)), "{cluster} divides its seats otherwise");
        }
        let (a, own) = (written.of("a"), Arc::clone(&written.policies.own.read()[&cluster("a")]));
        written.policies.look_at_all();
        assert!(Arc::ptr_eq(&a, &written.of("a")) && Arc::ptr_eq(&own, &written.policies.own.read()[&cluster("a")]));
    }

    fn cluster(name: &str) -> LogicalClusterName {
        LogicalClusterName::parse(name).expect("a name")
    }
}
