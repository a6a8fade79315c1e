//! Kubernetes read and write semantics for any resource; one verb per file.
//!
//! Knows no concrete kind and nothing of HTTP: what it is asked for is a [`Target`], what it answers is JSON bytes.

pub mod descriptor;
pub mod encode;
pub mod resource;

pub mod claim;
mod commit;
pub mod computed;
pub mod connect;
pub mod conversion;
mod create;
mod decode;
mod delete;
mod delete_collection;
pub mod follow;
mod forms;
mod get;
mod list;
mod meta;
mod modify;
pub mod namespace;
mod patch;
mod patched_type;
mod scale;
mod scale_apply;
pub mod scale_body;
mod tracking;
pub mod underlay;
mod update;
mod view;
mod watch;

use std::borrow::Cow;
use std::sync::Arc;

use atoll_api::{
    ApiError, ApiResult, GroupResource, GroupVersionKind, GroupVersionResource, LogicalClusterName, Object,
};
use bytes::Bytes;

use self::claim::Claimer;
pub use self::decode::{Body, cannot_be_handled, decode, finalizer_faults};
pub use self::delete::Deleted;
use self::descriptor::{Descriptor, ResourceVersionInfo};
use self::follow::Follower;
pub use self::forms::forms;
pub use self::list::{ListAnswer, ListRequest, parse_version};
pub use self::meta::{check_name, seconds};
pub use self::patch::{Patch, PatchKind};
use self::resource::{Part, Resource};
use self::underlay::Underlay;
pub use self::watch::{Happened, Watch, WatchRequest, WatchStep, too_old};
use crate::admission::{self, Attributes, Operation};
use crate::authz::Authorizer;
use crate::storage::{Key, Store};

/// The registry: every read and write of every resource goes through it.
pub struct Registry {
    store: Arc<Store>,
    admission: admission::Chain,
    authorizer: Arc<dyn Authorizer>,
    followers: Vec<(GroupResource, Arc<dyn Follower>)>,
    claimers: Vec<(GroupResource, Arc<dyn Claimer>)>,
    underlays: Vec<(GroupResource, Arc<dyn Underlay>)>,
}

/// A resource in one of its versions, as a request names it.
#[derive(Clone)]
pub struct Target {
    /// The resource.
    pub resource: Arc<dyn Resource>,
    version: usize,
}

/// The name of an object within a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName<'a> {
    /// The namespace, empty for objects of the cluster.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

/// An object that was written (or would have been), as the client gets it.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as JSON in the request's version.
    pub json: Bytes,
    /// Whether it did not exist before.
    pub created: bool,
}

impl Written {
    /// The object, read back.
    pub fn object(&self) -> ApiResult<Object> {
        serde_json::from_slice(&self.json)
            .map_err(|error| ApiError::internal("a written object cannot be read back").caused_by(error))
    }
}

// === impl Target ===

impl Target {
    /// The resource in the version at `version` of its descriptor's list.
    pub fn new(resource: Arc<dyn Resource>, version: usize) -> Self {
        Self { resource, version }
    }

    /// The version.
    pub fn version(&self) -> &ResourceVersionInfo {
        &self.resource.descriptor().versions[self.version]
    }

    /// What the resource is called and what it can do.
    pub fn descriptor(&self) -> &Descriptor {
        self.resource.descriptor()
    }

    /// Group, version and kind, as the client names them.
    pub fn kind(&self) -> GroupVersionKind {
        let version = &self.version().version;
        GroupVersionKind {
            group: version.group.clone(),
            version: version.version.clone(),
            kind: self.descriptor().kind.clone(),
        }
    }

    /// Group, version and resource, as the client names them.
    pub fn gvr(&self) -> GroupVersionResource {
        let version = &self.version().version;
        GroupVersionResource {
            group: version.group.clone(),
            version: version.version.clone(),
            resource: self.descriptor().resource.resource.clone(),
        }
    }

    /// The resource as messages name it: in the group the client used.
    pub fn shown(&self) -> atoll_api::GroupResource {
        self.gvr().group_resource()
    }
}

impl Target {
    /// An object of which nothing is said but its type: what a bookmark shows.
    pub fn empty_object(&self) -> Object {
        let mut object = Object::default();
        object.set_type(&self.version().version.to_string(), &self.kind().kind);
        object.metadata_mut();
        if self.resource.origin() == resource::Origin::Builtin {
            self.resource.default(&self.version().version, &mut object);
        }
        object
    }

    /// The Go package of the kind's internal form, as some messages of Kubernetes name it.
    pub fn go_package(&self) -> &str {
        let group: &str = &self.descriptor().resource.group;
        match (self.resource.origin(), group) {
            (resource::Origin::Custom, _) => "unstructured",
            (resource::Origin::Builtin, "" | "events.k8s.io") => "core",
            (resource::Origin::Builtin, group) => group.split('.').next().unwrap_or_default(),
        }
    }

    /// Where Kubernetes would keep an object in etcd, as some messages tell.
    fn etcd_key(&self, name: &ObjectName<'_>) -> String {
        let resource = &self.descriptor().resource;
        // The places that were chosen before there were rules (kubeapiserver/default_storage_factory_builder.go).
        let place = match (&*resource.group, &*resource.resource) {
            ("", "endpoints") => "services/endpoints",
            ("", "nodes") => "minions",
            ("", "replicationcontrollers") => "controllers",
            ("", "services") => "services/specs",
            ("networking.k8s.io", "ingresses") => "ingress",
            (_, other) => other,
        };
        let mut parts = vec!["/registry", place, name.namespace, name.name];
        let own = ["apiextensions.k8s.io", "apiregistration.k8s.io"];
        if self.resource.origin() == resource::Origin::Custom || own.contains(&&*resource.group) {
            parts.insert(1, &resource.group);
        }
        parts.retain(|part| !part.is_empty());
        parts.join("/")
    }

    /// The same resource in the version objects are stored in.
    pub fn at_storage(&self) -> Self {
        Self { resource: self.resource.clone(), version: self.resource.descriptor().storage }
    }

    /// The same resource in the version in which writes are admitted, readied and checked: for built-in kinds the one
    /// objects are stored in, for custom ones, whose versions have schemas of their own, the request's.
    fn at_work(&self) -> Self {
        match self.resource.origin() {
            resource::Origin::Builtin => self.at_storage(),
            resource::Origin::Custom => self.clone(),
        }
    }

    /// An object as it is stored.
    fn to_stored<'a>(&self, object: &'a Object) -> ApiResult<Cow<'a, Object>> {
        let version = &self.descriptor().storage_version().version;
        if object.group_version().as_ref() == Some(version) {
            return Ok(Cow::Borrowed(object));
        }
        let mut stored = object.clone();
        self.resource.convert(&mut stored, version)?;
        if self.resource.origin() == resource::Origin::Custom {
            // Whoever reads it in this version is to find its defaults, and gets it as it is stored.
            decode::prune_and_default(self, &mut stored)?;
        }
        Ok(Cow::Owned(stored))
    }

    fn subresource_of(&self, part: Part) -> &'static str {
        match part {
            Part::Main => "",
            Part::Status => "status",
            Part::Sub(name) => name,
            Part::Other => "",
        }
    }

    /// What a write is about, for admission.
    fn attributes(
        &self,
        operation: Operation,
        subresource: &str,
        object: &Object,
        options: admission::Options,
    ) -> Attributes {
        Attributes {
            operation,
            kind: self.kind(),
            resource: self.gvr(),
            subresource: subresource.to_owned(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            requested: if operation == Operation::Create { String::new() } else { object.name().to_owned() },
            dry_run: options.is_dry_run(),
            options,
            shapes: forms(self.clone()),
            rounds: admission::Rounds::default(),
        }
    }
}

// === impl Registry ===

impl Registry {
    /// A registry over a store, with its admission chain, who decides about rights that only a write under way asks for,
    /// and those who follow what is written.
    pub fn new(
        store: Arc<Store>,
        admission: admission::Chain,
        authorizer: Arc<dyn Authorizer>,
        followers: Vec<(GroupResource, Arc<dyn Follower>)>,
    ) -> Self {
        Self { store, admission, authorizer, followers, claimers: Vec::new(), underlays: Vec::new() }
    }

    /// The store below.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    fn key(&self, cluster: &LogicalClusterName, target: &Target, name: &ObjectName<'_>) -> Key {
        Key::new(target.descriptor().resource.clone(), cluster.clone(), name.namespace, name.name)
    }
}
