//! The policy of every cluster, as the store has it: what all share is read once, what a cluster has of its own when it
//! changes. A cluster without any costs nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use super::bootstrap::{FLOW_SCHEMAS, GROUP, LEVEL_NAMES, PRIORITY_LEVELS, SCHEMA_NAMES};
use super::policy::{Configuration, Policy};
use crate::storage::{Entry, Key, ListQuery, Store, WatchItem, WatchQuery, Watcher};

/// How long to wait before watching again after history was missed.
const RETRY: Duration = Duration::from_secs(1);

/// The policies of all clusters.
pub struct Policies {
    store: Arc<Store>,
    /// How many seats the levels of a cluster divide.
    seats: u32,
    schemas: GroupResource,
    levels: GroupResource,
    /// What holds in clusters that have nothing of their own.
    shared: ArcSwap<Policy>,
    /// What holds in the others, the system cluster among them.
    own: RwLock<HashMap<LogicalClusterName, Arc<Policy>>>,
    reading: Mutex<()>,
}

/// Whether a stored flow schema or priority level is one that all clusters share.
pub fn is_shared(resource: &GroupResource, entry: &Entry) -> bool {
    let names = if &*resource.resource == FLOW_SCHEMAS { SCHEMA_NAMES } else { LEVEL_NAMES };
    entry.cluster().is_root() && names.contains(&entry.name())
}

// === impl Policies ===

impl Policies {
    /// The policies in this store, whose levels divide so many seats. They have been read when this returns.
    pub fn new(store: Arc<Store>, seats: u32) -> Arc<Self> {
        let nothing = Configuration::default();
        let policies = Self {
            store,
            seats,
            schemas: GroupResource::new(GROUP, FLOW_SCHEMAS),
            levels: GroupResource::new(GROUP, PRIORITY_LEVELS),
            shared: ArcSwap::from_pointee(Policy::new(&nothing, &nothing, seats)),
            own: RwLock::default(),
            reading: Mutex::new(()),
        };
        policies.read_all();
        Arc::new(policies)
    }

    /// What holds in a cluster.
    pub(super) fn of(&self, cluster: &LogicalClusterName) -> Arc<Policy> {
        let own = self.own.read();
        match own.get(cluster) {
            Some(policy) => policy.clone(),
            None => self.shared.load_full(),
        }
    }

    /// What holds in clusters that have nothing of their own.
    pub(super) fn everywhere(&self) -> Arc<Policy> {
        self.shared.load_full()
    }

    /// Whether a priority level is there for the flow schemas of a cluster.
    pub fn has_level(&self, cluster: &LogicalClusterName, name: &str) -> bool {
        let there = |cluster: &LogicalClusterName| {
            self.store.get(&Key::new(self.levels.clone(), cluster.clone(), "", name)).is_some()
        };
        there(cluster) || (LEVEL_NAMES.contains(&name) && there(&LogicalClusterName::root()))
    }

    /// Reads anew what a cluster has. What the system cluster has may hold everywhere.
    pub fn refresh(&self, cluster: &LogicalClusterName) {
        let _one = self.reading.lock();
        if cluster.is_root() {
            self.read_shared();
            let others: Vec<LogicalClusterName> = self.own.read().keys().cloned().collect();
            others.iter().for_each(|cluster| self.read(cluster));
        }
        self.read(cluster);
    }

    /// Follows what is written into the store, by whomever, until told to stop.
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

    /// Reads anew where something changes; returns when history was missed.
    async fn watch(&self) {
        let after = self.store.revision();
        let watch = |resource| {
            let query = WatchQuery { resource, scope: &ClusterScope::All, namespace: None, name: None };
            self.store.watch(query, after)
        };
        let (Ok(schemas), Ok(levels)) = (watch(&self.schemas), watch(&self.levels)) else { return };
        self.read_all();
        tokio::select! {
            () = self.follow(schemas) => {}
            () = self.follow(levels) => {}
        }
    }

    async fn follow(&self, mut watcher: Watcher) {
        loop {
            let mut item = watcher.next().await;
            let mut changed = HashSet::new();
            loop {
                match item {
                    WatchItem::Event(event) => changed.insert(event.entry.cluster().clone()),
                    WatchItem::Closed(_) => return,
                };
                match watcher.try_next() {
                    Some(further) => item = further,
                    None => break,
                }
            }
            changed.iter().for_each(|cluster| self.refresh(cluster));
        }
    }

    fn read_all(&self) {
        let mut clusters: HashSet<LogicalClusterName> = self.own.read().keys().cloned().collect();
        for resource in [&self.schemas, &self.levels] {
            let entries = self.entries(resource, &ClusterScope::All);
            clusters.extend(entries.iter().map(|entry| entry.cluster().clone()));
        }
        let _one = self.reading.lock();
        self.read_shared();
        clusters.iter().for_each(|cluster| self.read(cluster));
    }

    fn read_shared(&self) {
        let shared = self.shared();
        self.shared.store(Arc::new(Policy::new(&Configuration::default(), &shared, self.seats)));
    }

    fn shared(&self) -> Configuration {
        let root = ClusterScope::One(LogicalClusterName::root());
        let read = |resource: &GroupResource| {
            let entries = self.entries(resource, &root);
            entries.iter().filter(|entry| is_shared(resource, entry)).map(|entry| object(entry)).collect()
        };
        Configuration { schemas: read(&self.schemas), levels: read(&self.levels) }
    }

    fn read(&self, cluster: &LogicalClusterName) {
        let scope = ClusterScope::One(cluster.clone());
        let read = |resource: &GroupResource| -> Vec<Object> {
            let entries = self.entries(resource, &scope);
            entries.iter().filter(|entry| !is_shared(resource, entry)).map(|entry| object(entry)).collect()
        };
        let own = Configuration { schemas: read(&self.schemas), levels: read(&self.levels) };
        if own.schemas.is_empty() && own.levels.is_empty() {
            self.own.write().remove(cluster);
            return;
        }
        let policy = Arc::new(Policy::new(&own, &self.shared(), self.seats));
        self.own.write().insert(cluster.clone(), policy);
    }

    fn entries(&self, resource: &GroupResource, scope: &ClusterScope) -> Vec<Arc<Entry>> {
        // A store that tells nothing leaves what the server has by itself.
        self.store.list(ListQuery::new(resource, scope)).map(|page| page.entries).unwrap_or_default()
    }
}

fn object(entry: &Entry) -> Object {
    serde_json::from_slice(&entry.bytes()).unwrap_or_default()
}
