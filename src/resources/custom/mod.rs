//! Custom kinds: a CustomResourceDefinition as the same trait that built-in kinds implement.
//!
//! A definition is compiled when it is first needed and hangs on its stored entry, so that it goes when that goes; equal
//! schemas and their texts are held once, by all definitions and clusters.

mod check;
mod compile;
mod everywhere;
mod print;
mod schemas;
mod shell;
mod webhook;

use std::sync::{Arc, OnceLock};

use atoll_api::{ApiResult, FieldError, FieldErrors, FieldPath, GroupVersion, Object};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::conversion::Converter;
use crate::registry::descriptor::{Descriptor, ScalePaths};
use crate::registry::resource::{Definition, GenerationPolicy, Origin, Part, Resource};
use crate::schema::json_path::JsonPath;
use crate::schema::prune::{Extent, prune};
use crate::storage::Entry;
use bytes::Bytes;
use schemas::LazySchema;
use shell::Shell;
use webhook::Webhook;

pub use everywhere::Everywhere;
pub use schemas::Schemas;
pub use shell::Names;
pub use webhook::Conversions;

/// A custom kind.
pub struct Custom {
    descriptor: Descriptor,
    versions: Vec<VersionParts>,
    definition: Definition,
    /// What documents tell of the kind, as a number.
    told: [u8; 32],
    /// What of the definition decides how objects are written and read.
    meaning: [u8; 32],
    is_terminating: bool,
    conversion: Conversion,
}

/// How objects are converted between versions.
enum Conversion {
    /// Versions differ in their schemas only.
    Rename,
    /// By a webhook.
    Webhook(Box<Webhook>),
}

/// What a version of a custom kind needs besides its descriptor.
struct VersionParts {
    schema: Arc<LazySchema>,
    columns: Vec<JsonPath>,
    scale: Option<ScalePaths>,
}

/// What hangs on a stored definition.
struct Derived {
    names: Names,
    /// The kind, once it is needed; nothing if it is not served.
    kind: OnceLock<Option<Arc<Custom>>>,
}

impl Derived {
    fn of(entry: &Entry) -> Arc<Self> {
        entry.derived(|entry| Self { names: Names::read(&entry.bytes()), kind: OnceLock::new() })
    }
}

/// Calls `see` with the names that a stored definition was granted.
pub(super) fn see_names(entry: &Entry, mut see: impl FnMut(&Names)) {
    see(&Derived::of(entry).names);
}

// === impl Custom ===

impl Custom {
    /// The kind that a stored definition defines, if it is served.
    pub fn of(entry: &Entry, schemas: &Schemas) -> Option<Arc<Self>> {
        Derived::of(entry).kind.get_or_init(|| compile::compile(entry, schemas).map(Arc::new)).clone()
    }

    /// The kind of a definition that is part of the program and stored nowhere; `None` if it cannot be served.
    pub(super) fn of_program(mut definition: Object) -> Option<Self> {
        compile::accept(&mut definition);
        let bytes = Bytes::from(serde_json::to_vec(&definition).ok()?);
        let custom = compile::compile_definition(&Shell::read(&bytes)?, 0, &Schemas::default())?;
        // A program that brings what cannot be used is told at once.
        let sound = |parts: &VersionParts| {
            serde_json::from_slice(parts.schema.text())
                .is_ok_and(|raw| crate::schema::structural::compile(&raw).is_ok())
        };
        custom.versions.iter().all(sound).then_some(custom)
    }

    fn parts(&self, version: Option<&GroupVersion>) -> &VersionParts {
        let index = self.descriptor.versions.iter().position(|info| Some(&info.version) == version);
        &self.versions[index.unwrap_or(self.descriptor.storage)]
    }

    /// What is needed for the version an object is in.
    fn parts_of(&self, object: &Object) -> &VersionParts {
        self.parts(object.group_version().as_ref())
    }

    /// The fault of an object that is not of this kind; nothing else is said of such an object.
    fn check_kind(&self, object: &Object) -> FieldErrors {
        if object.kind() == &*self.descriptor.kind {
            return FieldErrors::new();
        }
        let must = format!("must be {}", self.descriptor.kind);
        vec![FieldError::invalid(&FieldPath::new("kind"), &object.kind().into(), must)]
    }
}

impl Converter for Custom {
    fn prepare<'a>(&'a self, objects: Vec<Object>, to: &'a GroupVersion) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(async move {
            match &self.conversion {
                Conversion::Webhook(webhook) => webhook.prepare(objects, to).await,
                Conversion::Rename => Ok(()),
            }
        })
    }
}

impl Resource for Custom {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn origin(&self) -> Origin {
        Origin::Custom
    }

    /// Pruned by the schema of the version it is converted to, as on every way of an object in Kubernetes
    /// (`schemaCoercingConverter`).
    fn convert(&self, object: &mut Object, to: &GroupVersion) -> ApiResult<()> {
        if object.group_version().as_ref() == Some(to) {
            return Ok(());
        }
        if let Conversion::Webhook(webhook) = &self.conversion {
            *object = webhook.converted(object, to)?;
        }
        object.0.insert("apiVersion".into(), to.to_string().into());
        let mut value = Value::Object(std::mem::take(&mut object.0));
        prune(&self.parts(Some(to)).schema.get().whole, &mut value, Extent::Object);
        if let Value::Object(map) = value {
            object.0 = map;
        }
        Ok(())
    }

    fn converter(&self) -> Option<&dyn Converter> {
        matches!(self.conversion, Conversion::Webhook(_)).then_some(self)
    }

    fn is_current(&self, revision: u64) -> bool {
        revision > self.definition.revision
    }

    fn definition(&self) -> Option<&Definition> {
        Some(&self.definition)
    }

    fn is_still_defined_by(&self, entry: &Entry) -> bool {
        Shell::of(entry).is_some_and(|shell| compile::meaning_of(&shell) == self.meaning)
    }

    fn definition_hash(&self) -> Option<[u8; 32]> {
        Some(self.told)
    }

    fn refuses_new(&self) -> Option<&'static str> {
        self.is_terminating.then_some("create not allowed while custom resource definition is terminating")
    }

    fn validate_create(&self, object: &Object) -> FieldErrors {
        let foreign = self.check_kind(object);
        if foreign.is_empty() { check::create(self.parts_of(object), object) } else { foreign }
    }

    fn validate_update(&self, object: &Object, old: &Object, warn: &mut dyn FnMut(String)) -> FieldErrors {
        let foreign = self.check_kind(object);
        if foreign.is_empty() { check::update(self.parts_of(object), object, old, warn) } else { foreign }
    }

    fn validate_status_update(&self, object: &Object, old: &Object, warn: &mut dyn FnMut(String)) -> FieldErrors {
        let foreign = self.check_kind(object);
        if foreign.is_empty() { check::status_update(self.parts_of(object), object, old, warn) } else { foreign }
    }

    fn warnings(&self, object: &Object, old: Option<&Object>) -> Vec<String> {
        check::warnings(object, old)
    }

    fn cells(&self, version: &GroupVersion, object: &Object, now: Timestamp) -> Vec<Value> {
        let Some(info) = self.descriptor.versions.iter().find(|info| info.version == *version) else {
            return Vec::new();
        };
        print::cells(&info.columns, &self.parts(Some(version)).columns, object, now)
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
            (Part::Main, false) | (Part::Sub(_) | Part::Other, _) => Vec::new(),
            (Part::Status, _) => vec!["metadata", "spec"],
        }
    }
}
