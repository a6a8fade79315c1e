//! What the plugins' tests share: a store in memory, and a write as the registry would submit it.

use std::sync::Arc;

use atoll_api::{ApiResult, GroupVersionKind, GroupVersionResource, LogicalClusterName, Object, UserInfo};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::collection::Collection;
use super::{AdmissionPlugin, Attributes, Operation};
use crate::request::RequestContext;
use crate::storage::{Memory, Store, Txn};

/// A cluster with a store, and a user who writes to it.
pub(super) struct Bench {
    pub(super) store: Arc<Store>,
    pub(super) cx: RequestContext,
}

impl Bench {
    /// An empty cluster.
    pub(super) async fn new() -> Self {
        let store = Store::open(Memory::new()).await.expect("an empty store");
        Self { store, cx: context("one") }
    }

    /// Stores an object of a resource, and gives the revision.
    pub(super) async fn put(&self, group: &str, resource: &str, object: Value) -> u64 {
        self.put_in(&self.cx.cluster, group, resource, object).await
    }

    /// Stores an object in some cluster.
    pub(super) async fn put_in(&self, cluster: &LogicalClusterName, group: &str, resource: &str, object: Value) -> u64 {
        let object = made(object);
        let key = Collection::of(&self.store, group, resource).key(cluster, object.namespace(), object.name());
        self.store.commit(Txn::create(key, stored_form(&object).expect("encodes"))).await.expect("is new")
    }

    /// The stored object.
    pub(super) fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Object {
        let entry = Collection::of(&self.store, group, resource).get(&self.cx.cluster, namespace, name);
        super::collection::object(&entry.expect("is there"))
    }

    /// Lets a plugin change a new object.
    pub(super) async fn mutate(&self, plugin: &dyn AdmissionPlugin, object: Value) -> Result<Value, String> {
        let mut object = made(object);
        let attributes = creation(&object);
        if plugin.handles(&attributes) {
            told(plugin.mutate(&self.cx, &attributes, &mut object, None).await)?;
        }
        Ok(object.into_value())
    }

    /// Asks a plugin about a new object.
    pub(super) async fn validate(&self, plugin: &dyn AdmissionPlugin, object: Value) -> Result<(), String> {
        let object = made(object);
        let attributes = creation(&object);
        if !plugin.handles(&attributes) {
            return Ok(());
        }
        told(plugin.validate(&self.cx, &attributes, Some(&object), None).await)
    }

    /// Asks a plugin about a changed object, written through a subresource (empty for none).
    pub(super) async fn update(
        &self,
        plugin: &dyn AdmissionPlugin,
        subresource: &str,
        old: Value,
        new: Value,
    ) -> Result<(), String> {
        let (old, new) = (made(old), made(new));
        let mut attributes = creation(&new);
        attributes.operation = Operation::Update;
        attributes.subresource = subresource.to_owned();
        if !plugin.handles(&attributes) {
            return Ok(());
        }
        told(plugin.validate(&self.cx, &attributes, Some(&new), Some(&old)).await)
    }
}

/// A request to a cluster by somebody.
pub(super) fn context(cluster: &str) -> RequestContext {
    let cluster = LogicalClusterName::parse(cluster).expect("a name");
    RequestContext::new(cluster, UserInfo::named("somebody", ["devs"]), Timestamp::UNIX_EPOCH)
}

/// An object.
pub(super) fn made(value: Value) -> Object {
    Object::from_value(value).expect("an object")
}

/// The attributes of the creation of an object; the resource follows from the kind as it does for most.
pub(super) fn creation(object: &Object) -> Attributes {
    let version = object.group_version().expect("a version");
    let kind = object.kind();
    let resource = match kind.strip_suffix('s') {
        Some(_) => format!("{}es", kind.to_lowercase()),
        None => format!("{}s", kind.to_lowercase()),
    };
    Attributes {
        operation: Operation::Create,
        kind: GroupVersionKind::new(version.group.clone(), version.version.clone(), kind),
        resource: GroupVersionResource::new(version.group.clone(), version.version.clone(), resource),
        subresource: String::new(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        dry_run: false,
    }
}

fn told(outcome: ApiResult<()>) -> Result<(), String> {
    outcome.map_err(|error| error.status.message.clone())
}

/// The form in which objects are stored: metadata stand first.
pub(super) fn stored_form(object: &Object) -> ApiResult<Bytes> {
    let mut rest = object.0.clone();
    let metadata = rest.remove("metadata").expect("has metadata");
    let rest = Value::Object(rest).to_string();
    Ok(format!("{{\"metadata\":{metadata},{}", &rest[1..]).into())
}
