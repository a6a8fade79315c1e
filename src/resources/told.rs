//! What objects have in common that the server tells a cluster without storing them: since when they are there, and who they are.

use atoll_api::{GroupResource, LogicalClusterName};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::storage::{Key, Store};
use crate::tenancy::Clusters;

/// When a cluster began: with its first namespace.
pub(super) fn created(store: &Store, cluster: &LogicalClusterName) -> Option<String> {
    Some(first_namespace(store, cluster)?["metadata"]["creationTimestamp"].as_str()?.to_owned())
}

/// An identity that stays when the cluster is renamed, as that of its first namespace does.
pub(super) fn lasting_uid(store: &Store, cluster: &LogicalClusterName, what: &[&str]) -> Option<String> {
    Some(uid_within(first_namespace(store, cluster)?["metadata"]["uid"].as_str()?, what))
}

fn first_namespace(store: &Store, cluster: &LogicalClusterName) -> Option<Value> {
    let key = Key::new(GroupResource::new("", "namespaces"), cluster.clone(), "", "default");
    serde_json::from_slice(&store.get(&key)?.bytes()).ok()
}

/// The identity of something that is told to a cluster: always the same there, and another one elsewhere.
pub(super) fn uid(clusters: &Clusters, cluster: &LogicalClusterName, what: &[&str]) -> String {
    let of = clusters.find(cluster).map(|found| found.uid.to_string()).unwrap_or_default();
    uid_within(&of, what)
}

fn uid_within(of: &str, what: &[&str]) -> String {
    let digest = Sha256::digest(format!("{of}/{}", what.join("/")));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
