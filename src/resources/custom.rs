//! Custom kinds: a CustomResourceDefinition as the same trait that built-in kinds implement.
//!
//! A definition is compiled when it is first needed and hangs on its stored entry, so that it goes when that goes; equal
//! schemas are shared between definitions and clusters.

use std::sync::{Arc, Weak};

use atoll_api::{FieldErrors, FieldPath, GroupResource, GroupVersion, Object};
use dashmap::DashMap;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::catalog;
use super::printing::{age, since};
use crate::registry::descriptor::{
    ALL_VERBS, Column, Descriptor, ResourceVersionInfo, ScalePaths, Scope, Subresource, compare_versions,
};
use crate::registry::resource::{GenerationPolicy, Origin, Part, Resource};
use crate::schema::json_path::JsonPath;
use crate::schema::{Link, Schema, SchemaType, structural};
use crate::storage::Entry;

/// Compiled schemas by the hash of their text, for as long as somebody uses them.
#[derive(Default)]
pub struct Schemas(DashMap<[u8; 32], Weak<Schema>>);

/// A custom kind.
pub struct Custom {
    descriptor: Descriptor,
    versions: Vec<VersionParts>,
    since: u64,
}

/// What a version of a custom kind needs besides its descriptor.
struct VersionParts {
    schema: Arc<Schema>,
    columns: Vec<JsonPath>,
    selectable: Vec<(Arc<str>, JsonPath)>,
}

/// What hangs on a stored definition; nothing if it is not served.
struct Compiled(Option<Arc<Custom>>);

// === impl Schemas ===

impl Schemas {
    fn compile(&self, raw: &Value) -> Option<Arc<Schema>> {
        let hash: [u8; 32] = Sha256::digest(raw.to_string()).into();
        if let Some(known) = self.0.get(&hash).and_then(|weak| weak.upgrade()) {
            return Some(known);
        }
        let mut schema = match structural::compile(raw) {
            Ok(schema) => schema,
            Err(error) => {
                tracing::warn!(%error, "a stored schema cannot be used");
                return None;
            }
        };
        add_object_fields(&mut schema);
        let schema = Arc::new(schema);
        self.0.retain(|_, weak| weak.strong_count() > 0);
        self.0.insert(hash, Arc::downgrade(&schema));
        Some(schema)
    }
}

/// Every object has a type and metadata, whether or not its schema says so; metadata is that of built-in kinds.
fn add_object_fields(schema: &mut Schema) {
    let text = || Link::from(Schema { kind: Some(SchemaType::String), ..Schema::default() });
    schema.properties.entry("apiVersion".into()).or_insert_with(text);
    schema.properties.entry("kind".into()).or_insert_with(text);
    if let Some(metadata) = catalog::link("meta.v1.ObjectMeta") {
        schema.properties.insert("metadata".into(), metadata);
    }
}

// === impl Custom ===

impl Custom {
    /// The kind that a stored definition defines, if it is served.
    pub fn of(entry: &Entry, schemas: &Schemas) -> Option<Arc<Self>> {
        entry.derived(|entry| Compiled(Self::compile(entry, schemas).map(Arc::new))).0.clone()
    }

    fn compile(entry: &Entry, schemas: &Schemas) -> Option<Self> {
        let definition: Object = serde_json::from_slice(&entry.bytes).ok()?;
        if !is_established(&definition) {
            return None;
        }
        let spec = definition.get("spec")?;
        let group: Arc<str> = spec["group"].as_str()?.into();
        let names = definition.at(&["status", "acceptedNames"])?;
        let text = |field: &str| names[field].as_str().unwrap_or_default().into();
        let list = |field: &str| -> Arc<[Arc<str>]> {
            names[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(Arc::from).collect()
        };
        let mut raw: Vec<&Value> = spec["versions"].as_array()?.iter().collect();
        raw.sort_by(|a, b| {
            compare_versions(b["name"].as_str().unwrap_or_default(), a["name"].as_str().unwrap_or_default())
        });
        let storage = raw.iter().position(|version| version["storage"] == true)?;
        let mut versions = Vec::with_capacity(raw.len());
        let mut parts = Vec::with_capacity(raw.len());
        for version in raw {
            let (info, part) = compile_version(&group, names, version, schemas)?;
            versions.push(info);
            parts.push(part);
        }
        let descriptor = Descriptor {
            resource: GroupResource::new(group, spec["names"]["plural"].as_str()?),
            singular: text("singular"),
            kind: text("kind"),
            list_kind: text("listKind"),
            short_names: list("shortNames"),
            categories: list("categories"),
            scope: if spec["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
            verbs: ALL_VERBS,
            versions,
            storage,
        };
        Some(Self { descriptor, versions: parts, since: entry.revision })
    }

    fn parts(&self, version: &GroupVersion) -> &VersionParts {
        let index = self.descriptor.versions.iter().position(|info| info.version == *version);
        &self.versions[index.unwrap_or(self.descriptor.storage)]
    }
}

fn is_established(definition: &Object) -> bool {
    let conditions = definition.at(&["status", "conditions"]).and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Established" && c["status"] == "True")
}

fn compile_version(
    group: &Arc<str>,
    names: &Value,
    version: &Value,
    schemas: &Schemas,
) -> Option<(ResourceVersionInfo, VersionParts)> {
    let name = version["name"].as_str()?;
    let schema = schemas.compile(&version["schema"]["openAPIV3Schema"])?;
    let (columns, paths) = columns(version);
    let selectable: Vec<(Arc<str>, JsonPath)> = version["selectableFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|field| field["jsonPath"].as_str())
        .filter_map(|path| Some((path.trim_start_matches('.').into(), JsonPath::parse(path).ok()?)))
        .collect();
    let kind = names["kind"].as_str().unwrap_or_default();
    let deprecation_warning = (version["deprecated"] == true).then(|| {
        let told = version["deprecationWarning"].as_str().map(Arc::from);
        told.unwrap_or_else(|| format!("{group}/{name} {kind} is deprecated").into())
    });
    let info = ResourceVersionInfo {
        version: GroupVersion { group: group.clone(), version: name.into() },
        served: version["served"] == true,
        schema: Link::Owned(schema.clone()),
        columns,
        subresources: subresources(version),
        selectable_fields: selectable.iter().map(|(name, _)| name.clone()).collect(),
        deprecation_warning,
    };
    Some((info, VersionParts { schema, columns: paths, selectable }))
}

fn subresources(version: &Value) -> Arc<[Subresource]> {
    let mut found = Vec::new();
    if version["subresources"]["status"].is_object() {
        found.push(Subresource::Status);
    }
    if let Value::Object(scale) = &version["subresources"]["scale"] {
        let path = |field: &str| scale.get(field).and_then(Value::as_str).map(|p| p.trim_start_matches('.').into());
        found.push(Subresource::Scale(ScalePaths {
            spec_replicas: path("specReplicasPath").unwrap_or_else(|| "".into()),
            status_replicas: path("statusReplicasPath").unwrap_or_else(|| "".into()),
            selector: path("labelSelectorPath"),
        }));
    }
    found.into()
}

/// The columns after the name, and where their cells come from. Without columns of its own a kind shows its age.
fn columns(version: &Value) -> (Arc<[Column]>, Vec<JsonPath>) {
    let Some(declared) = version["additionalPrinterColumns"].as_array().filter(|list| !list.is_empty()) else {
        let age =
            Column { name: "Age".into(), kind: "date".into(), format: "".into(), description: "".into(), priority: 0 };
        return (Arc::new([age]), JsonPath::parse(".metadata.creationTimestamp").into_iter().collect());
    };
    let mut columns = Vec::new();
    let mut paths = Vec::new();
    for column in declared {
        let text = |field: &str| column[field].as_str().unwrap_or_default();
        // A path that cannot be followed shows an empty column, as in Kubernetes.
        let path = JsonPath::parse(text("jsonPath")).or_else(|_| JsonPath::parse(".\u{0}"));
        let Ok(path) = path else { continue };
        paths.push(path);
        columns.push(Column {
            name: text("name").into(),
            kind: text("type").into(),
            format: text("format").into(),
            description: text("description").into(),
            priority: column["priority"].as_i64().and_then(|p| i32::try_from(p).ok()).unwrap_or(0),
        });
    }
    (columns.into(), paths)
}

/// The cell of a column for a value that was found (apiextensions' table converter).
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        ("string", Value::Null) => "<nil>".into(),
        ("string", Value::String(text)) => text.as_str().into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(n)) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)).into(),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) => match since(text, now).as_str() {
            "<unknown>" => "<invalid>".into(),
            ago => ago.into(),
        },
        _ => Value::Null,
    }
}

impl Resource for Custom {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn origin(&self) -> Origin {
        Origin::Custom
    }

    fn is_current(&self, revision: u64) -> bool {
        revision > self.since
    }

    fn validate_create(&self, object: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if object.kind() != &*self.descriptor.kind {
            let must = format!("must be {}", self.descriptor.kind);
            errors.push(atoll_api::FieldError::invalid(&FieldPath::new("kind"), &object.kind().into(), must));
        }
        let _ = &self.parts(&self.descriptor.storage_version().version).schema;
        errors
    }

    fn cells(&self, version: &GroupVersion, object: &Object, now: Timestamp) -> Vec<Value> {
        let parts = self.parts(version);
        let info = self.descriptor.versions.iter().find(|info| info.version == *version);
        let Some(info) = info else { return vec![age(object, now)] };
        let value = Value::Object(object.0.clone());
        let found = parts.columns.iter().zip(info.columns.iter());
        found.map(|(path, column)| path.first(&value).map_or(Value::Null, |v| cell(&column.kind, v, now))).collect()
    }

    fn selectable(&self, object: &Object, field: &str) -> Option<String> {
        let parts = self.parts(&object.group_version()?);
        let (_, path) = parts.selectable.iter().find(|(name, _)| &**name == field)?;
        let value = Value::Object(object.0.clone());
        match path.first(&value)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    fn generation_policy(&self) -> GenerationPolicy {
        GenerationPolicy::ContentChanges
    }

    fn unconditional_update(&self) -> bool {
        false
    }

    fn reset_fields(&self, part: Part) -> Vec<&'static str> {
        match (part, self.descriptor.storage_version().has_status()) {
            (Part::Main, true) => vec!["status"],
            (Part::Main, false) | (Part::Other, _) => Vec::new(),
            (Part::Status, _) => vec!["metadata", "spec"],
        }
    }
}
