//! Compiled schemas of custom kinds, shared between versions, definitions and clusters for as long as somebody uses them.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use dashmap::DashMap;
use sha2::{Digest, Sha256};

use super::webhook::Conversions;
use crate::resources::catalog;
use crate::schema::cel::Rules;
use crate::schema::{Additional, Link, Maker, Schema, SchemaType, structural};

/// Compiled schemas by the hash of their text.
#[derive(Default)]
pub struct Schemas {
    known: Arc<Known>,
    /// Who asks the webhooks of definitions.
    pub(super) conversions: Arc<Conversions>,
}

type Known = DashMap<[u8; 32], Weak<VersionSchema>>;

/// The schema of a version of a custom kind, compiled when somebody first needs it: most kinds of a cluster lie idle.
pub(super) struct LazySchema {
    /// The `openAPIV3Schema`, a part of the stored definition.
    text: Bytes,
    known: Arc<Known>,
    compiled: OnceLock<Arc<VersionSchema>>,
}

/// The schema of a version of a custom kind.
pub(super) struct VersionSchema {
    /// As its author wrote it: what values are checked against.
    pub checked: Arc<Schema>,
    /// With the fields that every object has: what names the parts of objects.
    pub whole: Arc<Schema>,
    /// The rules that it has for values, if any.
    pub rules: Option<Rules>,
}

// === impl Schemas ===

impl Schemas {
    /// The same, with webhooks asked in another way.
    #[must_use]
    pub fn with_conversions(mut self, conversions: Conversions) -> Self {
        self.conversions = Arc::new(conversions);
        self
    }

    /// The schema for the text of an `openAPIV3Schema`.
    pub(super) fn lazy(&self, text: Bytes) -> Arc<LazySchema> {
        Arc::new(LazySchema { text, known: self.known.clone(), compiled: OnceLock::new() })
    }
}

// === impl LazySchema ===

impl LazySchema {
    /// The schema.
    pub(super) fn get(&self) -> &VersionSchema {
        self.compiled.get_or_init(|| compile(&self.text, &self.known))
    }

    /// The text it is made of.
    pub(super) fn text(&self) -> &Bytes {
        &self.text
    }
}

impl Maker for LazySchema {
    fn schema(&self) -> &Schema {
        &self.get().whole
    }
}

fn compile(text: &[u8], known: &Known) -> Arc<VersionSchema> {
    let hash: [u8; 32] = Sha256::digest(text).into();
    if let Some(known) = known.get(&hash).and_then(|weak| weak.upgrade()) {
        return known;
    }
    let raw = serde_json::from_slice(text).map_err(|error| error.to_string());
    let checked = Arc::new(raw.and_then(|raw| structural::compile(&raw)).unwrap_or_else(|error| {
        // Validation keeps such schemas from being stored; nothing of the objects is lost meanwhile.
        tracing::warn!(%error, "a stored schema cannot be used");
        Schema { preserve_unknown: true, additional: Additional::Anything, ..Schema::default() }
    }));
    let whole = Arc::new(with_object_fields(Schema::clone(&checked)));
    let rules = Rules::compile(&checked);
    let compiled = Arc::new(VersionSchema { checked, whole, rules });
    known.retain(|_, weak| weak.strong_count() > 0);
    known.insert(hash, Arc::downgrade(&compiled));
    compiled
}

/// Every object has a type and metadata, whether or not its schema says so; metadata is that of built-in kinds.
fn with_object_fields(mut schema: Schema) -> Schema {
    let text = || Link::from(Schema { kind: Some(SchemaType::String), ..Schema::default() });
    schema.properties.entry("apiVersion".into()).or_insert_with(text);
    schema.properties.entry("kind".into()).or_insert_with(text);
    if let Some(metadata) = catalog::link("meta.v1.ObjectMeta") {
        schema.properties.insert("metadata".into(), metadata);
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text() -> Bytes {
        json!({"type": "object", "properties": {"spec": {"type": "object"}}}).to_string().into()
    }

    #[test]
    fn schemas_are_compiled_when_they_are_needed_and_equal_ones_once() {
        let schemas = Schemas::default();
        let (one, other) = (schemas.lazy(text()), schemas.lazy(text()));
        assert!(one.compiled.get().is_none() && schemas.known.is_empty(), "nobody has needed it");
        assert!(one.schema().properties.contains_key("metadata"));
        assert!(std::ptr::eq(one.get(), other.get()), "what says the same is compiled once");
        drop((one, other));
        assert!(schemas.known.iter().all(|known| known.strong_count() == 0), "it goes with those who used it");
    }

    #[test]
    fn a_schema_that_cannot_be_used_takes_nothing_away() {
        let broken = Schemas::default().lazy(Bytes::from_static(b"{\"type\":7"));
        assert!(broken.schema().preserve_unknown);
    }
}
