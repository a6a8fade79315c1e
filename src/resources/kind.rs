//! The declaration of a built-in kind, and the one implementation of `Resource` behind all of them.
//!
//! A kind's file says what is particular to it as data and small functions; what all share is done here.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use atoll_api::{ApiResult, FieldErrors, GroupResource, GroupVersion, GroupVersionKind, Object};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::BUILTINS;
use super::canonical::{self, Stage};
use super::catalog::{self, Descriptions, TYPES};
use super::defaults::TypeDefaults;
use crate::authz::stored::is_shared;
use crate::registry::descriptor::{
    ALL_VERBS, Column, Description, Descriptor, ResourceVersionInfo, ScalePaths, Scope, Subresource, Verb,
};
use crate::registry::resource::{Companion, GenerationPolicy, Grace, MetadataChecks, NameRule, Part, Resource};
use crate::request::RequestContext;
use crate::storage::Entry;

/// A built-in kind: its names and what is particular about it.
pub struct Kind {
    /// The plural name.
    pub resource: &'static str,
    /// The singular name; empty for the kind in lower case.
    pub singular: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Abbreviations.
    pub short_names: &'static [&'static str],
    /// Such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// What can be done.
    pub verbs: &'static [Verb],
    /// The versions, the preferred one first.
    pub versions: &'static [Version],
    /// The index in `versions` of the one objects are stored in.
    pub storage: usize,
    /// The shape of names.
    pub name_rule: NameRule,
    /// When the generation is counted up.
    pub generation: GenerationPolicy,
    /// What kinds differ in when objects are written and deleted.
    pub manners: Manners,
    /// Turns an object of one version into another; called only if there are several.
    pub convert: fn(&mut Object, &GroupVersion) -> ApiResult<()>,
    /// Readies a new object.
    pub prepare_create: fn(&mut Object),
    /// Readies a changed object.
    pub prepare_update: fn(&mut Object, &Object),
    /// Readies a changed status.
    pub prepare_status_update: fn(&mut Object, &Object),
    /// Sets what follows from who asks and when.
    pub stamp: fn(&RequestContext, &mut Object, Option<&Object>, Part),
    /// The fields, besides the status, that a write to the object itself leaves as they are.
    pub keeps: &'static [&'static str],
    /// The fields that a write to the status leaves as they are.
    pub status_keeps: &'static [&'static str],
    /// The fields that a write to another subresource of the whole object leaves as they are: nobody comes to own them.
    pub part_keeps: &'static [&'static str],
    /// Checks a new object.
    pub validate_create: fn(&Object, &mut FieldErrors),
    /// Checks a changed object; `None` to check it as a new one.
    pub validate_update: Option<fn(&Object, &Object, &mut FieldErrors)>,
    /// Checks for what depends on the version the client speaks.
    pub validate_in: fn(&GroupVersion, &Object, Option<&Object>, &mut FieldErrors),
    /// Checks a changed status.
    pub validate_status_update: fn(&Object, &Object, &mut FieldErrors),
    /// Readies a change through another subresource of the whole object.
    pub prepare_part_update: fn(&str, &mut Object, &Object),
    /// Checks a change through another subresource of the whole object.
    pub validate_part_update: fn(&str, &Object, &Object, &mut FieldErrors),
    /// What the kind's own checks of a change look at in metadata.
    pub metadata_checks: MetadataChecks,
    /// What the kind's own checks of a change to the status or another part look at in metadata.
    pub part_metadata_checks: MetadataChecks,
    /// Warnings for an object that is accepted.
    pub warnings: fn(&Object, Option<&Object>) -> Vec<String>,
    /// The cells of a table row, one for each column.
    pub cells: fn(&Object, Timestamp) -> Vec<Value>,
    /// The value of a selectable field, which is not empty text for numbers and booleans that are absent.
    pub selectable: fn(&Object, &str) -> Option<String>,
    /// Why the object of that name is never deleted, if it is not.
    pub refuses_deletion: fn(&str) -> Option<&'static str>,
    /// How a deletion begins.
    pub grace: fn(&Object, Option<i64>) -> Grace,
    /// Whether something besides `metadata.finalizers` keeps a deleted object.
    pub holds_deleted: fn(&Object) -> bool,
    /// Readies an object whose deletion begins but cannot end yet.
    pub prepare_deletion: fn(&mut Object, &Object),
    /// What is created together with an object.
    pub companions: fn(&RequestContext, &Object) -> Vec<Companion>,
    /// The conditions of a table row.
    pub row_conditions: fn(&Object) -> Vec<Value>,
    /// The defaults of types that are this kind's alone.
    pub(super) type_defaults: TypeDefaults,
}

/// What kinds differ in when objects are written and deleted.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// A PUT of a name that does not exist creates it.
    pub create_on_update: bool,
    /// A PUT may leave the resource version out.
    pub unconditional_update: bool,
    /// Deleting answers with the object.
    pub returns_deleted: bool,
    /// Dependents are orphaned if a deletion says nothing.
    pub orphans_by_default: bool,
    /// What a client is told whose deletion says nothing of dependents.
    pub deletion_warning: Option<&'static str>,
    /// Which objects of the system cluster all clusters see.
    pub underlay: Underlay,
    /// A new object keeps the status it was sent with.
    pub keeps_new_status: bool,
}

/// Which objects of the system cluster all clusters see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underlay {
    /// None.
    None,
    /// Those with the label of the bootstrap policy.
    Marked,
    /// The same, and a cluster may change them for itself.
    MarkedForChange,
    /// Those of these names.
    Named(&'static [&'static str]),
}

/// One version of a kind.
#[derive(Clone, Copy)]
pub struct Version {
    /// The group and version, such as `apps/v1`.
    pub api_version: &'static str,
    /// The type in the catalog, such as `apps.v1.Deployment`.
    pub type_name: &'static str,
    /// The columns after `Name`. If one of them is called `Name` itself, they are all the columns, and so are the cells.
    pub columns: &'static [ColumnSpec],
    /// The subresources, in the order of discovery.
    pub subresources: &'static [SubresourceSpec],
    /// The warning that every request gets; empty for none.
    pub deprecated: &'static str,
    /// Field paths that selectors may use, besides name and namespace.
    pub selectable_fields: &'static [&'static str],
}

/// A column of a table.
pub struct ColumnSpec {
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    priority: i32,
    /// A sentence, or `@` and the field of a type whose description it is, such as `@core.v1.PodSpec.nodeName`.
    description: &'static str,
}

/// A subresource of a kind.
pub enum SubresourceSpec {
    /// `status`.
    Status,
    /// Another part of the object that is read and written as the status is.
    Part(&'static str),
    /// `scale`: where it finds the wanted and actual replicas and the selector (empty for none).
    Scale(&'static str, &'static str, &'static str),
    /// Another one: its name, `apiVersion` (empty for the parent's) and kind, and verbs.
    Other(&'static str, &'static str, &'static str, &'static [Verb]),
}

/// A column that is always shown.
pub const fn column(name: &'static str, kind: &'static str, description: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, format: "", priority: 0, description }
}

/// A column that is shown with `-o wide`.
pub const fn wide(name: &'static str, kind: &'static str, description: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind, format: "", priority: 1, description }
}

/// A column with a format.
pub const fn formatted(name: &'static str, format: &'static str, description: &'static str) -> ColumnSpec {
    ColumnSpec { name, kind: "string", format, priority: 0, description }
}

/// The name of an object as the last column, for tables that do not begin with it.
pub const NAME_LAST: ColumnSpec =
    ColumnSpec { name: "Name", kind: "string", format: "name", priority: 1, description: "@meta.v1.ObjectMeta.name" };

/// The name of an object as the first column, for kinds that print more than the name there.
pub const NAME: ColumnSpec =
    ColumnSpec { name: "Name", kind: "string", format: "name", priority: 0, description: "@meta.v1.ObjectMeta.name" };

/// The age of an object.
pub const AGE: ColumnSpec = column("Age", "string", "@meta.v1.ObjectMeta.creationTimestamp");

/// The one column, after the name, of kinds without a printer of their own.
pub const CREATED_AT: &[ColumnSpec] = &[column("Created At", "date", "@meta.v1.ObjectMeta.creationTimestamp")];

/// The columns of kinds that show their age only.
pub const AGE_ONLY: &[ColumnSpec] = &[AGE];

const MANNERS: Manners = Manners {
    create_on_update: false,
    unconditional_update: true,
    returns_deleted: false,
    orphans_by_default: false,
    deletion_warning: None,
    underlay: Underlay::None,
    keeps_new_status: false,
};

// === impl Kind ===

impl Kind {
    /// What most kinds in namespaces have in common.
    pub const NAMESPACED: Self = Self {
        resource: "",
        singular: "",
        kind: "",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: ALL_VERBS,
        versions: &[],
        storage: 0,
        name_rule: NameRule::Subdomain,
        generation: GenerationPolicy::None,
        manners: MANNERS,
        convert: rename_version,
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status_update: |_, _| {},
        stamp: |_, _, _, _| {},
        keeps: &[],
        status_keeps: &["spec"],
        part_keeps: &[],
        validate_in: |_, _, _, _| {},
        validate_create: |_, _| {},
        validate_update: None,
        validate_status_update: |_, _, _| {},
        prepare_part_update: |_, _, _| {},
        validate_part_update: |_, _, _, _| {},
        metadata_checks: MetadataChecks::AsChange,
        part_metadata_checks: MetadataChecks::AsChange,
        warnings: |_, _| Vec::new(),
        cells: super::printing::created_at,
        selectable: by_path,
        refuses_deletion: |_| None,
        grace: |_, _| Grace::Immediate,
        holds_deleted: |_| false,
        prepare_deletion: |_, _| {},
        companions: |_, _| Vec::new(),
        row_conditions: |_| Vec::new(),
        type_defaults: &[],
    };

    /// What most cluster-scoped kinds have in common.
    pub const CLUSTER: Self = Self { scope: Scope::Cluster, ..Self::NAMESPACED };

    /// The group objects are stored under.
    pub fn group(&self) -> &'static str {
        self.versions[self.storage].api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// What reviews have in common: they are answered, not stored.
    pub const REVIEW: Self = Self { scope: Scope::Cluster, verbs: &[Verb::Create], ..Self::NAMESPACED };
}

// === impl Version ===

impl Version {
    /// A version with nothing but a name.
    pub const BARE: Self = Self {
        api_version: "",
        type_name: "",
        columns: CREATED_AT,
        subresources: &[],
        deprecated: "",
        selectable_fields: &[],
    };
}

// === impl Manners ===

impl Manners {
    /// The manners of most kinds.
    pub const USUAL: Self = MANNERS;
    /// Deleting answers with the object.
    /// New objects keep their status: nodes tell of themselves.
    pub const KEEPS_NEW_STATUS: Self = Self { keeps_new_status: true, ..MANNERS };
    /// Deleting answers with the object.
    pub const RETURNS_DELETED: Self = Self { returns_deleted: true, ..MANNERS };
    /// A PUT creates what does not exist.
    pub const CREATE_ON_UPDATE: Self = Self { create_on_update: true, ..MANNERS };
    /// A PUT must name the resource version.
    pub const CONDITIONAL: Self = Self { unconditional_update: false, ..MANNERS };
    /// A PUT must name the resource version; deleting answers with the object.
    pub const CONDITIONAL_RETURNS_DELETED: Self = Self { returns_deleted: true, ..Self::CONDITIONAL };
}

/// A built-in resource: a declaration, and what is derived from it once.
pub struct Builtin {
    kind: &'static Kind,
    descriptor: Descriptor,
    /// The types of the versions, by their index in the descriptor.
    types: Vec<u16>,
}

// === impl Builtin ===

impl Builtin {
    /// The resource of a declaration, made once in a process.
    pub fn of(kind: &'static Kind) -> Arc<Self> {
        /// By where the declaration is.
        static MADE: LazyLock<Mutex<HashMap<usize, Arc<Builtin>>>> = LazyLock::new(Mutex::default);
        let mut made = MADE.lock();
        Arc::clone(made.entry(std::ptr::from_ref(kind).addr()).or_insert_with(|| Arc::new(Self::new(kind))))
    }

    fn new(kind: &'static Kind) -> Self {
        let types = kind.versions.iter().map(type_index).collect();
        Self { kind, descriptor: descriptor(kind), types }
    }

    /// The declaration.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    fn type_of(&self, version: &GroupVersion) -> u16 {
        let found = self.descriptor.versions.iter().position(|info| info.version == *version);
        self.types[found.unwrap_or(self.kind.storage)]
    }

    /// Writes the stored form as Go would after the hook has changed it.
    fn settle(&self, object: &mut Object) {
        canonical::settle(self.types[self.kind.storage], object, Stage::Ready);
    }
}

impl Resource for Builtin {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn convert(&self, object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
        if self.kind.versions.len() > 1 && object.api_version() != to.to_string() {
            (self.kind.convert)(object, to)?;
            canonical::settle(self.type_of(to), object, Stage::Sent);
        }
        rename_version(object, to)
    }

    fn default(&self, version: &GroupVersion, object: &mut Object) {
        canonical::settle(self.type_of(version), object, Stage::Sent);
    }

    fn reset_fields(&self, part: Part) -> Vec<&'static str> {
        match part {
            Part::Status => self.kind.status_keeps.to_vec(),
            Part::Main => {
                let status = self.descriptor.storage_version().has_status().then_some("status");
                self.kind.keeps.iter().copied().chain(status).collect()
            }
            Part::Sub(_) => self.kind.part_keeps.to_vec(),
            Part::Other => Vec::new(),
        }
    }

    fn prepare_part_update(&self, subresource: &str, object: &mut Object, old: &Object) {
        (self.kind.prepare_part_update)(subresource, object, old);
        self.settle(object);
    }

    fn validate_part_update(&self, subresource: &str, object: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        (self.kind.validate_part_update)(subresource, object, old, &mut errors);
        errors
    }

    fn metadata_checks(&self, part: Part) -> MetadataChecks {
        if part == Part::Main { self.kind.metadata_checks } else { self.kind.part_metadata_checks }
    }

    fn blank(&self, version: &GroupVersion) -> Value {
        canonical::blank(self.type_of(version))
    }

    fn prepare_create(&self, object: &mut Object) {
        (self.kind.prepare_create)(object);
        self.settle(object);
    }

    fn prepare_update(&self, object: &mut Object, old: &Object) {
        (self.kind.prepare_update)(object, old);
        self.settle(object);
    }

    fn prepare_status_update(&self, object: &mut Object, old: &Object) {
        if self.kind.status_keeps.contains(&"metadata") {
            keep_metadata(object, old);
        }
        (self.kind.prepare_status_update)(object, old);
        self.settle(object);
    }

    fn validate_create(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        (self.kind.validate_create)(object, &mut errors);
        errors
    }

    fn validate_update(&self, object: &Object, old: &Object, _: &mut dyn FnMut(String)) -> FieldErrors {
        let mut errors = FieldErrors::new();
        match self.kind.validate_update {
            Some(validate) => validate(object, old, &mut errors),
            None => (self.kind.validate_create)(object, &mut errors),
        }
        errors
    }

    fn validate_status_update(&self, object: &Object, old: &Object, _: &mut dyn FnMut(String)) -> FieldErrors {
        let mut errors = FieldErrors::new();
        (self.kind.validate_status_update)(object, old, &mut errors);
        errors
    }

    fn stamp(&self, cx: &RequestContext, object: &mut Object, old: Option<&Object>, part: Part) {
        (self.kind.stamp)(cx, object, old, part);
    }

    fn validate_in(&self, version: &GroupVersion, object: &Object, old: Option<&Object>) -> FieldErrors {
        let mut errors = FieldErrors::new();
        (self.kind.validate_in)(version, object, old, &mut errors);
        errors
    }

    fn name_rule(&self) -> NameRule {
        self.kind.name_rule
    }

    fn warnings(&self, object: &Object, old: Option<&Object>) -> Vec<String> {
        (self.kind.warnings)(object, old)
    }

    fn cells(&self, _: &GroupVersion, object: &Object, now: Timestamp) -> Vec<Value> {
        (self.kind.cells)(object, now)
    }

    fn row_conditions(&self, object: &Object) -> Vec<Value> {
        (self.kind.row_conditions)(object)
    }

    fn selectable(&self, object: &Object, field: &str) -> Option<String> {
        (self.kind.selectable)(object, field)
    }

    fn generation_policy(&self) -> GenerationPolicy {
        self.kind.generation
    }

    fn create_on_update(&self) -> bool {
        self.kind.manners.create_on_update
    }

    fn unconditional_update(&self) -> bool {
        self.kind.manners.unconditional_update
    }

    fn grace(&self, object: &Object, requested: Option<i64>) -> Grace {
        (self.kind.grace)(object, requested)
    }

    fn holds_deleted(&self, object: &Object) -> bool {
        (self.kind.holds_deleted)(object)
    }

    fn prepare_deletion(&self, object: &mut Object, old: &Object) {
        (self.kind.prepare_deletion)(object, old);
    }

    fn companions(&self, cx: &RequestContext, object: &Object) -> Vec<Companion> {
        (self.kind.companions)(cx, object)
    }

    fn returns_deleted_object(&self) -> bool {
        self.kind.manners.returns_deleted
    }

    fn keeps_new_status(&self) -> bool {
        self.kind.manners.keeps_new_status
    }

    fn has_underlay(&self) -> bool {
        self.kind.manners.underlay != Underlay::None
    }

    fn is_shared(&self, entry: &Entry) -> bool {
        match self.kind.manners.underlay {
            Underlay::None => false,
            Underlay::Marked | Underlay::MarkedForChange => is_shared(entry),
            Underlay::Named(names) => entry.cluster().is_root() && names.contains(&entry.name()),
        }
    }

    fn may_be_taken_over(&self) -> bool {
        self.kind.manners.underlay == Underlay::MarkedForChange
    }

    fn refuses_deletion(&self, name: &str) -> Option<&'static str> {
        (self.kind.refuses_deletion)(name)
    }

    fn orphans_by_default(&self) -> bool {
        self.kind.manners.orphans_by_default
    }

    fn deletion_warning(&self) -> Option<&'static str> {
        self.kind.manners.deletion_warning
    }
}

/// The scalar at a dotted path, as text.
pub fn by_path(object: &Object, field: &str) -> Option<String> {
    let path: Vec<&str> = field.split('.').collect();
    match object.at(&path)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Keeps what clients write into the metadata as it was (`ResetObjectMetaForStatus`).
pub(super) fn keep_metadata(object: &mut Object, old: &Object) {
    for field in ["labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp", "selfLink"] {
        match old.metadata().and_then(|metadata| metadata.get(field)) {
            Some(value) => object.metadata_mut().insert(field.to_owned(), value.clone()),
            None => object.metadata_mut().remove(field),
        };
    }
}

fn rename_version(object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
    object.0.insert("apiVersion".into(), to.to_string().into());
    Ok(())
}

fn type_index(version: &Version) -> u16 {
    TYPES.index(version.type_name).expect("every declared type is in the catalog, which is tested")
}

fn descriptor(kind: &'static Kind) -> Descriptor {
    let versions: Vec<ResourceVersionInfo> = kind.versions.iter().map(version_info).collect();
    let group = versions[kind.storage].version.group.clone();
    let singular = if kind.singular.is_empty() { kind.kind.to_lowercase() } else { kind.singular.to_owned() };
    Descriptor {
        resource: GroupResource::new(group, kind.resource),
        singular: singular.into(),
        kind: kind.kind.into(),
        list_kind: format!("{}List", kind.kind).into(),
        short_names: texts(kind.short_names),
        categories: texts(kind.categories),
        scope: kind.scope,
        verbs: kind.verbs,
        versions,
        storage: kind.storage,
    }
}

fn version_info(version: &'static Version) -> ResourceVersionInfo {
    ResourceVersionInfo {
        version: group_version(version.api_version),
        served: true,
        schema: catalog::link(version.type_name).expect("every declared type is in the catalog, which is tested"),
        columns: version.columns.iter().map(column_of).collect(),
        subresources: version.subresources.iter().map(subresource_of).collect(),
        selectable_fields: texts(version.selectable_fields),
        deprecation_warning: (!version.deprecated.is_empty()).then(|| version.deprecated.into()),
    }
}

fn group_version(text: &str) -> GroupVersion {
    GroupVersion::parse(text).expect("declared versions have at most one slash")
}

/// The descriptions that columns borrow from fields, taken from the catalog once.
static BORROWED: LazyLock<HashMap<&'static str, Arc<str>>> = LazyLock::new(|| {
    let descriptions = Descriptions::unpack();
    let columns = BUILTINS.iter().flat_map(|kind| kind.versions).flat_map(|version| version.columns);
    let borrowed = columns.filter_map(|column| column.description.strip_prefix('@'));
    borrowed
        .filter_map(|path| {
            let (type_name, field) = path.rsplit_once('.')?;
            Some((path, descriptions.of_field(type_name, field)?.into()))
        })
        .collect()
});

/// A column's description: its own sentence, or that of the field it names.
fn described(text: &'static str) -> Description {
    match text.strip_prefix('@') {
        None => Description::Said(text.into()),
        Some(path) => Description::Borrowed(|path| BORROWED.get(path).cloned().unwrap_or_default(), path),
    }
}

/// The description of the column that most tables begin with.
pub fn name_description() -> Arc<str> {
    described(NAME.description).text()
}

fn column_of(column: &ColumnSpec) -> Column {
    Column {
        name: column.name.into(),
        kind: column.kind.into(),
        format: column.format.into(),
        description: described(column.description),
        priority: column.priority,
    }
}

fn subresource_of(spec: &SubresourceSpec) -> Subresource {
    match spec {
        SubresourceSpec::Status => Subresource::Status,
        SubresourceSpec::Part(name) => Subresource::Part(name),
        SubresourceSpec::Scale(wanted, actual, selector) => Subresource::Scale(ScalePaths {
            spec_replicas: (*wanted).into(),
            status_replicas: (*actual).into(),
            selector: (!selector.is_empty()).then(|| (*selector).into()),
        }),
        SubresourceSpec::Other(name, api_version, kind, verbs) => {
            let version = match *api_version {
                "" => GroupVersion::new("", ""),
                text => group_version(text),
            };
            Subresource::Other {
                name: (*name).into(),
                kind: GroupVersionKind::new(version.group, version.version, *kind),
                verbs,
            }
        }
    }
}

fn texts(list: &[&'static str]) -> Arc<[Arc<str>]> {
    list.iter().map(|text| Arc::from(*text)).collect()
}
