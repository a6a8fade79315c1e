//! What the plugins' tests share: a store in memory, and a write as the registry would submit it.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{
    ApiResult, GroupVersion, GroupVersionKind, GroupVersionResource, LogicalClusterName, Object, UserInfo,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::collection::Collection;
use super::{AdmissionPlugin, Attributes, Fields, Operation, Options, Rounds, Shape, Shapes};
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
    let shape = Shape {
        resource: GroupVersionResource::new(version.group.clone(), version.version.clone(), resource),
        kind: GroupVersionKind::new(version.group.clone(), version.version.clone(), kind),
    };
    Attributes {
        operation: Operation::Create,
        kind: shape.kind.clone(),
        resource: shape.resource.clone(),
        subresource: String::new(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        dry_run: false,
        options: Options::Write(WriteOptions::default()),
        shapes: Arc::new(TwoVersions { shape }),
        requested: String::new(),
        rounds: Rounds::default(),
    }
}

/// A resource that is served in `v1` and in `v2`, which differ in name only; fields called `unknown` are dropped.
#[derive(Debug)]
struct TwoVersions {
    shape: Shape,
}

impl Shapes for TwoVersions {
    fn versions(&self) -> Vec<Shape> {
        let in_version = |version: &str| {
            let mut shape = self.shape.clone();
            shape.resource.version = version.into();
            shape.kind.version = version.into();
            shape
        };
        vec![in_version("v1"), in_version("v2")]
    }

    fn show(&self, object: &Object, version: &GroupVersion) -> ApiResult<Object> {
        let mut shown = object.clone();
        shown.set_type(&version.to_string(), &self.shape.kind.kind);
        Ok(shown)
    }

    fn take(&self, value: Value, _: &GroupVersion, _: Fields) -> ApiResult<Object> {
        let mut object =
            Object::from_value(value).map_err(|_| atoll_api::ApiError::bad_request("this is not an object"))?;
        object.0.remove("unknown");
        self.show(&object, &self.shape.kind.group_version())
    }

    fn overlay(&self, object: &Value, part: &Value, _: &GroupVersion) -> Result<Value, String> {
        crate::patch::merge::apply(object.clone(), part).map_err(|error| error.to_string())
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
