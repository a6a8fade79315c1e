//! The objects that tokens are bound to, as the store holds them.
//!
//! Which logical clusters there are is told by whoever makes this.

use std::sync::Arc;

use atoll_api::time::parse_time;
use atoll_api::{GroupResource, LogicalClusterName, Object, Uid};
use jiff::Timestamp;

use super::lookup::{Found, ObjectLookup, Referent};
use crate::storage::{Entry, Key, Store};

/// Finds the uid of a logical cluster that exists.
pub type FindCluster = dyn Fn(&LogicalClusterName) -> Option<Uid> + Send + Sync;

/// The objects of every cluster, read from the store's memory.
pub struct StoredObjects {
    store: Arc<Store>,
    cluster_uid: Box<FindCluster>,
}

impl StoredObjects {
    /// The objects in this store, of the clusters that `cluster_uid` knows.
    pub fn new(store: Arc<Store>, cluster_uid: Box<FindCluster>) -> Self {
        Self { store, cluster_uid }
    }
}

impl ObjectLookup for StoredObjects {
    fn cluster_uid(&self, cluster: &LogicalClusterName) -> Option<Uid> {
        (self.cluster_uid)(cluster)
    }

    fn find(&self, cluster: &LogicalClusterName, referent: Referent, namespace: &str, name: &str) -> Option<Found> {
        let resource = GroupResource::new("", referent.resource());
        let entry = self.store.get(&Key::new(resource, cluster.clone(), namespace, name))?;
        Some(found(referent, &entry))
    }
}

/// What is asked of an object; most are not parsed for it.
fn found(referent: Referent, entry: &Entry) -> Found {
    let mut found =
        Found { uid: Uid::new(entry.uid()), deleted: None, service_account: String::new(), node: String::new() };
    if entry.is_deleting() || referent == Referent::Pod {
        let object: Object = serde_json::from_slice(&entry.bytes()).unwrap_or_default();
        if entry.is_deleting() {
            // A time that cannot be read must not keep a token good.
            let at = object.deletion_timestamp().and_then(|text| parse_time(text).ok());
            found.deleted = Some(at.unwrap_or(Timestamp::UNIX_EPOCH));
        }
        if referent == Referent::Pod {
            found.service_account = object.text_at(&["spec", "serviceAccountName"]).to_owned();
            found.node = object.text_at(&["spec", "nodeName"]).to_owned();
        }
    }
    found
}
