//! What every store begins with: the system cluster's identity, its namespaces, and the bootstrap policy all clusters share.

use std::sync::{Arc, LazyLock};

use atoll_api::{GroupResource, LogicalClusterName, Object, Uid};
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
}

fn identity_key() -> Key {
    Key::new(GroupResource::new("core.kcp.io", "logicalclusters"), LogicalClusterName::root(), "", "cluster")
}

/// What was found in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: what every store has was written, at this revision.
    Empty { written: u64 },
    /// What an earlier start wrote.
    Used,
}

impl Found {
    /// The revision at which the store was given what every store has, if that was just now.
    pub(super) fn furnished(self) -> Option<u64> {
        match self {
            Self::Empty { written } => Some(written),
            Self::Used => None,
        }
    }
}

/// An object that every store begins with, in its stored form but for [`UID`] and [`NOW`].
struct Shipped {
    key: Key,
    text: String,
}

impl Shipped {
    /// A new object, made now.
    fn made(&self, now: &str) -> Bytes {
        self.text.replace(NOW, now).replace(UID, &uuid::Uuid::new_v4().to_string()).into()
    }
}

/// What stands where an object's uid comes.
const UID: &str = "{uid}";
/// What stands where the time comes.
const NOW: &str = "{now}";

/// All of them, encoded once in a process.
static SHIPPED: LazyLock<Vec<Shipped>> = LazyLock::new(|| {
    let shipped = objects().into_iter().map(|(resource, mut object)| {
        let metadata = object.metadata_mut();
        metadata.insert("uid".into(), UID.into());
        metadata.insert("creationTimestamp".into(), NOW.into());
        let key = Key::new(resource, LogicalClusterName::root(), object.namespace(), object.name());
        let bytes = encode::encode(&object).expect("JSON can be written to memory");
        Shipped { key, text: String::from_utf8_lossy(&bytes).into_owned() }
    });
    shipped.collect()
});

/// Writes what is missing; on a store that was used before, nothing.
pub(super) async fn ensure(store: &Arc<Store>) -> Result<Found, Error> {
    let identity = identity_key();
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if store.get(&identity).is_some() {
        ensure_priority_classes(store, &now).await?;
        return Ok(Found::Used);
    }
    let mut txn = Txn::default();
    for shipped in SHIPPED.iter() {
        // Where there is no identity, there is nothing else: all of it is written in one transaction.
        let expect = if shipped.key == identity { Expect::Absent } else { Expect::Any };
        txn = txn.and(shipped.key.clone(), expect, Action::Put(shipped.made(&now)));
    }
    match store.commit(txn).await {
        Ok(written) => Ok(Found::Empty { written }),
        // Another server over the same store was faster, and has written the same.
        Err(CommitError::Conflict { .. }) if store.get(&identity).is_some() => Ok(Found::Used),
        Err(error) => Err(Error::Commit(error)),
    }
}

/// Writes the system's priority classes where they are missing: a store may be older than they are.
async fn ensure_priority_classes(store: &Arc<Store>, now: &str) -> Result<(), Error> {
    let classes = SHIPPED.iter().filter(|shipped| &*shipped.key.resource.resource == priority::CLASSES);
    for shipped in classes.filter(|shipped| store.get(&shipped.key).is_none()) {
        let put = Action::Put(shipped.made(now));
        match store.commit(Txn::default().and(shipped.key.clone(), Expect::Absent, put)).await {
            // Another server over the same store may be faster.
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(Error::Commit(error)),
        }
    }
    Ok(())
}

fn objects() -> Vec<(GroupResource, Object)> {
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
    objects.extend(flow_objects());
    objects.extend(priority_classes());
    objects
}

/// The priority classes that all clusters share.
fn priority_classes() -> impl Iterator<Item = (GroupResource, Object)> {
    let class = |(name, value): (&str, i64)| {
        let what = match name {
            "system-node-critical" => "stay on their node",
            _ => "run somewhere in the cluster",
        };
        let owned = json!({"f:description": {}, "f:preemptionPolicy": {}, "f:value": {}});
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name, "generation": 1, "managedFields": [{
                "apiVersion": "scheduling.k8s.io/v1", "fieldsType": "FieldsV1", "fieldsV1": owned,
                "manager": "kube-apiserver", "operation": "Update", "time": NOW,
            }]},
            "value": value, "preemptionPolicy": "PreemptLowerPriority",
            "description": format!("For pods of the system that must {what}."),
        });
        (GroupResource::new(priority::GROUP, priority::CLASSES), Object::from_value(class).unwrap_or_default())
    };
    priority::SYSTEM_CLASSES.into_iter().map(class)
}

/// The flow schemas and priority levels that all clusters share, as they are once it is known that all levels are there.
fn flow_objects() -> Vec<(GroupResource, Object)> {
    let with = |mut object: Object, status| {
        object.0.insert("status".into(), status);
        object.metadata_mut().insert("generation".into(), 1.into());
        object
    };
    let schema = |object: Object| {
        let level = object.at(&["spec", "priorityLevelConfiguration", "name"]).and_then(|name| name.as_str());
        let condition = flow::dangling(level.unwrap_or_default(), true, NOW);
        with(object, json!({"conditions": [condition]}))
    };
    let of = |resource| move |object| (GroupResource::new(flow::GROUP, resource), object);
    let levels = flow::levels().iter().cloned().map(|level| with(level, json!({})));
    let schemas = flow::schemas().iter().cloned().map(schema);
    levels.map(of(flow::PRIORITY_LEVELS)).chain(schemas.map(of(flow::FLOW_SCHEMAS))).collect()
}

/// The system cluster: its identity is kept in the store, what it serves is configured.
pub(super) fn root_cluster(store: &Arc<Store>, resources: &[String], tenancy: Tenancy) -> Cluster {
    let uid = store.get(&identity_key()).map(|entry| entry.uid().to_owned()).unwrap_or_default();
    let platform = (tenancy == Tenancy::Clusters).then(|| PLATFORM.to_owned());
    let resources = resources.iter().cloned().chain(platform).collect();
    Cluster { uid: Uid::new(uid), resources, stage: Stage::Ready }
}
