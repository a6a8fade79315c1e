//! The one trait behind every resource, built-in or custom: a descriptor and the few hooks in which kinds differ.
//!
//! The registry calls the hooks in a fixed order (`create.rs`, `update.rs`); a hook never does I/O and never panics on
//! what a client sent. Unless said otherwise objects are in the storage version (those of custom kinds, whose versions have
//! schemas of their own, in the request's), pruned, defaulted and of the right types.

use atoll_api::{ApiResult, FieldErrors, GroupResource, GroupVersion, LogicalClusterName, Object};
use jiff::Timestamp;
use serde_json::Value;

use super::conversion::Converter;
use super::descriptor::Descriptor;
use crate::request::RequestContext;
use crate::storage::Entry;

/// Whether a resource's types come with the server or from a CustomResourceDefinition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A type of the server: decoded as Go decodes into structs (nulls are absent, unknown fields dropped).
    Builtin,
    /// A type of a tenant: nulls and unknown fields are treated by its schema.
    Custom,
}

/// Which part of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The object itself; status is kept as it was if it is a subresource.
    Main,
    /// The status subresource: everything else is kept as it was.
    Status,
    /// Another subresource that takes and gives the whole object, of which it may change what the kind says, such as
    /// `approval`.
    Sub(&'static str),
    /// Another subresource, whose handler has made the new object from the old one.
    Other,
}

/// What a kind's own checks of a change look at in metadata, each time telling its faults once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetadataChecks {
    /// Nothing.
    None,
    /// Metadata, as what has changed.
    AsChange,
    /// Metadata, as that of a new object.
    AsNew,
    /// Both.
    Both,
}

/// When `metadata.generation` is counted up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GenerationPolicy {
    /// The kind has no generation.
    None,
    /// Starts at 1, counted up when `spec` changes (workloads and most kinds with a status).
    SpecChanges,
    /// Starts at 1, counted up when anything but metadata and status changes (custom resources).
    ContentChanges,
}

/// How a deletion begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grace {
    /// The object is removed at once (unless finalizers hold it).
    Immediate,
    /// The object is marked and stays for this many seconds, until somebody deletes it with grace 0 (pods on nodes). With no
    /// seconds it is marked and removed, which watchers see as two events.
    Seconds(i64),
}

/// A resource: what it is called, and in what it differs from the others. Implemented once for each built-in kind and
/// once for all custom ones.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no resource that can be served",
    note = "a Rust type becomes one by `atoll::resources::Typed`; or implement `atoll::registry::resource::Resource`"
)]
pub trait Resource: Send + Sync + 'static {
    /// Names, scope, versions, verbs: all that is told by data alone.
    fn descriptor(&self) -> &Descriptor;

    /// Where the type comes from.
    fn origin(&self) -> Origin {
        Origin::Builtin
    }

    /// Whether nothing but the metadata of objects can be told: of a custom resource read over all clusters, since
    /// each of them defines it in its own way.
    fn is_metadata_only(&self) -> bool {
        false
    }

    /// Turns an object of one version of this resource into another. The default renames `apiVersion` only.
    fn convert(&self, object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
        object.0.insert("apiVersion".into(), to.to_string().into());
        Ok(())
    }

    /// Who must be asked before objects of the kind can be converted, if somebody must.
    fn converter(&self) -> Option<&dyn Converter> {
        None
    }

    /// Whether an object written at `revision` was pruned and defaulted by today's schema, so that its stored bytes can
    /// be shown as they are. Only custom types change their schema while the server runs.
    fn is_current(&self, revision: u64) -> bool {
        let _ = revision;
        true
    }

    /// The stored object that defines the kind, if one does. Writes are committed only while it says the same.
    fn definition(&self) -> Option<&Definition> {
        None
    }

    /// The definition of a kind that is part of the program, in the form of a `CustomResourceDefinition`: what clients are
    /// told of its schema.
    fn described_by(&self) -> Option<&Object> {
        None
    }

    /// Whether the object that defines the kind, which has been changed since, still says the same of how objects are
    /// written and read.
    fn is_still_defined_by(&self, definition: &Entry) -> bool {
        let _ = definition;
        false
    }

    /// What the stored object that defines the kind says of it, as a number: equal only where all is equal that documents tell
    /// of the kind.
    fn definition_hash(&self) -> Option<[u8; 32]> {
        None
    }

    /// Why no objects may be created just now, if that is so.
    fn refuses_new(&self) -> Option<&'static str> {
        None
    }

    /// Fills in defaults beyond those of the schema, in the request's version. Runs after the schema's defaults, on
    /// every write and again after mutating admission; must be idempotent.
    fn default(&self, version: &GroupVersion, object: &mut Object) {
        let _ = (version, object);
    }

    /// Readies a new object: drops what clients may not set. The registry has already dropped the status (where status
    /// is a subresource), and set name, namespace, uid, creation time and generation.
    fn prepare_create(&self, object: &mut Object) {
        let _ = object;
    }

    /// Readies a changed object: carries over what clients may not change. The registry has already carried over the
    /// status, system metadata and generation.
    fn prepare_update(&self, object: &mut Object, old: &Object) {
        let _ = (object, old);
    }

    /// Readies a write to `status`: the registry has already carried over everything but the status and, for most
    /// kinds, kept the old metadata.
    fn prepare_status_update(&self, object: &mut Object, old: &Object) {
        let _ = (object, old);
    }

    /// Readies a write to another subresource of the whole object ([`Part::Sub`]): carries over all that it does not change.
    fn prepare_part_update(&self, subresource: &str, object: &mut Object, old: &Object) {
        let _ = (subresource, object, old);
    }

    /// Checks a write to another subresource of the whole object ([`Part::Sub`]).
    fn validate_part_update(&self, subresource: &str, object: &Object, old: &Object) -> FieldErrors {
        let _ = (subresource, object, old);
        FieldErrors::new()
    }

    /// What the kind's own checks of a change to a part look at in metadata, after what is common to all kinds.
    fn metadata_checks(&self, part: Part) -> MetadataChecks {
        let _ = part;
        MetadataChecks::AsChange
    }

    /// Sets what follows from who asks and when, once the object is readied; there is no `old` of a new object.
    fn stamp(&self, cx: &RequestContext, object: &mut Object, old: Option<&Object>, part: Part) {
        let _ = (cx, object, old, part);
    }

    /// Checks a new or changed object for what depends on the version the client speaks. The object is in the storage
    /// version all the same.
    fn validate_in(&self, version: &GroupVersion, object: &Object, old: Option<&Object>) -> FieldErrors {
        let _ = (version, object, old);
        FieldErrors::new()
    }

    /// Checks a new object. Metadata common to all kinds is checked by the registry.
    fn validate_create(&self, object: &Object) -> FieldErrors {
        let _ = object;
        FieldErrors::new()
    }

    /// Checks a changed object; the default checks it as a new one. What `warn` takes reaches the client even if the
    /// object is refused.
    fn validate_update(&self, object: &Object, old: &Object, warn: &mut dyn FnMut(String)) -> FieldErrors {
        let _ = (old, warn);
        self.validate_create(object)
    }

    /// Checks a changed status; the same holds for warnings.
    fn validate_status_update(&self, object: &Object, old: &Object, warn: &mut dyn FnMut(String)) -> FieldErrors {
        let _ = (object, old, warn);
        FieldErrors::new()
    }

    /// The shape names must have.
    fn name_rule(&self) -> NameRule {
        NameRule::Subdomain
    }

    /// Things worth telling the client in `Warning` headers, for an object that is accepted.
    fn warnings(&self, object: &Object, old: Option<&Object>) -> Vec<String> {
        let _ = (object, old);
        Vec::new()
    }

    /// The cells of a table row after `Name`, one for each of the version's columns but the first, in the request's version.
    fn cells(&self, version: &GroupVersion, object: &Object, now: Timestamp) -> Vec<Value> {
        let _ = (version, object, now);
        Vec::new()
    }

    /// Conditions of a table row, such as that a pod has completed.
    fn row_conditions(&self, object: &Object) -> Vec<Value> {
        let _ = object;
        Vec::new()
    }

    /// The value a field selector compares for `field`, one of the version's selectable fields; `None` reads as empty.
    /// The default walks the dotted path.
    fn selectable(&self, object: &Object, field: &str) -> Option<String> {
        let path: Vec<&str> = field.split('.').collect();
        match object.at(&path)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// When the generation is counted up.
    fn generation_policy(&self) -> GenerationPolicy {
        if self.descriptor().storage_version().has_status() {
            GenerationPolicy::SpecChanges
        } else {
            GenerationPolicy::None
        }
    }

    /// Whether a PUT of a name that does not exist creates it.
    fn create_on_update(&self) -> bool {
        false
    }

    /// Whether a PUT may leave `metadata.resourceVersion` out.
    fn unconditional_update(&self) -> bool {
        true
    }

    /// How a deletion with this (or no) `gracePeriodSeconds` begins.
    fn grace(&self, object: &Object, requested: Option<i64>) -> Grace {
        let _ = (object, requested);
        Grace::Immediate
    }

    /// What is created together with an object, in one transaction: a workspace's cluster begins with a namespace.
    /// The objects are complete: name, uid, times, type of the storage version.
    fn companions(&self, cx: &RequestContext, object: &Object) -> Vec<Companion> {
        let _ = (cx, object);
        Vec::new()
    }

    /// Whether something besides `metadata.finalizers` keeps a deleted object, as `spec.finalizers` keeps a namespace.
    fn holds_deleted(&self, object: &Object) -> bool {
        let _ = object;
        false
    }

    /// Readies an object whose deletion begins but cannot end yet (a namespace becomes `Terminating`). `old` is as it was
    /// before it was marked as deleted; it is marked already if it is not deleted for the first time.
    fn prepare_deletion(&self, object: &mut Object, old: &Object) {
        let _ = (object, old);
    }

    /// Whether deleting answers with the object that was deleted rather than with a `Status`.
    fn returns_deleted_object(&self) -> bool {
        false
    }

    /// Whether a new object keeps the status it was sent with.
    fn keeps_new_status(&self) -> bool {
        false
    }

    /// Whether some objects of the system cluster are seen in every cluster.
    fn has_underlay(&self) -> bool {
        false
    }

    /// Whether a stored object is one of those. Asked only of kinds that have some.
    fn is_shared(&self, entry: &Entry) -> bool {
        let _ = entry;
        false
    }

    /// Whether a cluster may change those for itself. Asked only of kinds that have some.
    fn may_be_taken_over(&self) -> bool {
        false
    }

    /// Why the object of that name is never deleted, if it is not. Asked before anything else of a deletion.
    fn refuses_deletion(&self, name: &str) -> Option<&'static str> {
        let _ = name;
        None
    }

    /// Whether dependents are orphaned when a deletion names no propagation policy.
    fn orphans_by_default(&self) -> bool {
        false
    }

    /// What a client is told whose deletion names no propagation policy.
    fn deletion_warning(&self) -> Option<&'static str> {
        None
    }

    /// An object of that version of which nothing is said: for built-in kinds the zero value of the Go type as Go writes
    /// it, without defaults; whatever it has is nobody's.
    fn blank(&self, version: &GroupVersion) -> Value {
        serde_json::json!({"apiVersion": version.to_string(), "kind": &*self.descriptor().kind})
    }

    /// Fields, as paths, that writes to this part never own in `managedFields` (`GetResetFields`).
    fn reset_fields(&self, part: Part) -> Vec<&'static str> {
        if !self.descriptor().storage_version().has_status() {
            return Vec::new();
        }
        match part {
            Part::Main => vec!["status"],
            Part::Status => vec!["spec", "metadata.labels"],
            Part::Sub(_) | Part::Other => Vec::new(),
        }
    }
}

/// The stored object that defines a kind, as it was when the kind was read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its resource.
    pub resource: GroupResource,
    /// Its name.
    pub name: String,
    /// The revision that put it.
    pub revision: u64,
}

/// An object that is created together with another.
#[derive(Debug, Clone)]
pub struct Companion {
    /// Its resource.
    pub resource: GroupResource,
    /// Its cluster.
    pub cluster: LogicalClusterName,
    /// The object.
    pub object: Object,
}

/// The shape a kind's names must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameRule {
    /// A DNS subdomain (RFC 1123): most kinds.
    Subdomain,
    /// A DNS label (RFC 1123): namespaces.
    Label,
    /// A DNS label that begins with a letter (RFC 1035): services.
    Rfc1035Label,
    /// Anything that can stand in a URL path segment: RBAC's kinds.
    PathSegment,
    /// Checked by the kind's own validation.
    Own,
}
