//! What every store begins with: the system cluster's identity, its namespaces, and the bootstrap policy all clusters share.

use std::sync::Arc;

use atoll_api::{ApiError, GroupResource, LogicalClusterName, Object, Uid};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::builder::Tenancy;
use crate::admission::plugins::priority;
use crate::authz::rbac;
use crate::flow::bootstrap as flow;
use crate::registry::encode;
use crate::storage::{Action, CommitError, Expect, Key, Store, Txn};
use crate::tenancy::{Cluster, Stage};

/// The name that stands for Atoll's own kinds among the resources of the system cluster.
const PLATFORM: &str = crate::resources::sets::PLATFORM;
/// The namespaces of the system cluster.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Why a store could not be readied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not take it.
    #[error("the store did not take the bootstrap objects")]
    Commit(#[source] CommitError),
    /// An object could not be written.
    #[error("a bootstrap object cannot be written")]
    Encode(#[source] ApiError),
}

fn identity_key() -> Key {
    Key::new(GroupResource::new("core.kcp.io", "logicalclusters"), LogicalClusterName::root(), "", "cluster")
}

/// What was found in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: what every store has was written.
    Empty,
    /// What an earlier start wrote.
    Used,
}

/// Writes what is missing; on a store that was used before, nothing.
pub(super) async fn ensure(store: &Arc<Store>) -> Result<Found, Error> {
    let identity = identity_key();
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if store.get(&identity).is_some() {
        ensure_priority_classes(store, &now).await?;
        return Ok(Found::Used);
    }
    let mut txn = Txn::default();
    for (resource, object) in objects(&now) {
        let (key, bytes) = record(resource, object, &now)?;
        // Where there is no identity, there is nothing else: all of it is written in one transaction.
        let expect = if key == identity { Expect::Absent } else { Expect::Any };
        txn = txn.and(key, expect, Action::Put(bytes));
    }
    match store.commit(txn).await {
        Ok(_) => Ok(Found::Empty),
        // Another server over the same store was faster, and has written the same.
        Err(CommitError::Conflict { .. }) if store.get(&identity).is_some() => Ok(Found::Used),
        Err(error) => Err(Error::Commit(error)),
    }
}

/// Writes the system's priority classes where they are missing: a store may be older than they are.
async fn ensure_priority_classes(store: &Arc<Store>, now: &str) -> Result<(), Error> {
    for (resource, class) in priority_classes(now) {
        let (key, bytes) = record(resource, class, now)?;
        if store.get(&key).is_some() {
            continue;
        }
        match store.commit(Txn::default().and(key, Expect::Absent, Action::Put(bytes))).await {
            // Another server over the same store may be faster.
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(Error::Commit(error)),
        }
    }
    Ok(())
}

/// Where and how a new object of the system cluster is stored.
fn record(resource: GroupResource, mut object: Object, now: &str) -> Result<(Key, Bytes), Error> {
    let metadata = object.metadata_mut();
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), now.into());
    let key = Key::new(resource, LogicalClusterName::root(), object.namespace(), object.name());
    Ok((key, encode::encode(&object).map_err(Error::Encode)?))
}

fn objects(now: &str) -> Vec<(GroupResource, Object)> {
    let make = |value| Object::from_value(value).unwrap_or_default();
    let identity = make(json!({
        "apiVersion": "core.kcp.io/v1alpha1", "kind": "LogicalCluster", "metadata": {"name": "cluster"},
        "spec": {}, "status": {"phase": "Ready"},
    }));
    let mut objects = vec![(identity_key().resource, identity)];
    for name in NAMESPACES {
        let namespace = make(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        }));
        objects.push((GroupResource::new("", "namespaces"), namespace));
    }
    // As the underlay has them, so that roles that gather others hold their rules.
    let policy = rbac::Underlay::bootstrap();
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"] {
        let resource = GroupResource::new(rbac::GROUP, format!("{}s", kind.to_ascii_lowercase()));
        objects.extend(policy.objects(kind).map(|object| (resource.clone(), Object::clone(object))));
    }
    objects.extend(flow_objects(now));
    objects.extend(priority_classes(now));
    objects
}

/// The priority classes that all clusters share.
fn priority_classes(now: &str) -> impl Iterator<Item = (GroupResource, Object)> {
    let class = move |(name, value): (&str, i64)| {
        let what = match name {
            "system-node-critical" => "stay on their node",
            _ => "run somewhere in the cluster",
        };
        let owned = json!({"f:description": {}, "f:preemptionPolicy": {}, "f:value": {}});
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name, "generation": 1, "managedFields": [{
                "apiVersion": "scheduling.k8s.io/v1", "fieldsType": "FieldsV1", "fieldsV1": owned,
                "manager": "kube-apiserver", "operation": "Update", "time": now,
            }]},
            "value": value, "preemptionPolicy": "PreemptLowerPriority",
            "description": format!("For pods of the system that must {what}."),
        });
        (GroupResource::new(priority::GROUP, priority::CLASSES), Object::from_value(class).unwrap_or_default())
    };
    priority::SYSTEM_CLASSES.into_iter().map(class)
}

/// The flow schemas and priority levels that all clusters share, as they are once it is known that all levels are there.
fn flow_objects(now: &str) -> Vec<(GroupResource, Object)> {
    let with = |mut object: Object, status| {
        object.0.insert("status".into(), status);
        object.metadata_mut().insert("generation".into(), 1.into());
        object
    };
    let schema = |object: Object| {
        let level = object.at(&["spec", "priorityLevelConfiguration", "name"]).and_then(|name| name.as_str());
        let condition = flow::dangling(level.unwrap_or_default(), true, now);
        with(object, json!({"conditions": [condition]}))
    };
    let of = |resource| move |object| (GroupResource::new(flow::GROUP, resource), object);
    let levels = flow::levels().into_iter().map(|level| with(level, json!({})));
    let schemas = flow::schemas().into_iter().map(schema);
    levels.map(of(flow::PRIORITY_LEVELS)).chain(schemas.map(of(flow::FLOW_SCHEMAS))).collect()
}

/// The system cluster: its identity is kept in the store, what it serves is configured.
pub(super) fn root_cluster(store: &Arc<Store>, resources: &[String], tenancy: Tenancy) -> Cluster {
    let uid = store.get(&identity_key()).map(|entry| entry.uid().to_owned()).unwrap_or_default();
    let platform = (tenancy == Tenancy::Clusters).then(|| PLATFORM.to_owned());
    let resources = resources.iter().cloned().chain(platform).collect();
    Cluster { uid: Uid::new(uid), resources, stage: Stage::Ready }
}
