//! Compiled schemas of custom kinds, shared between versions, definitions and clusters for as long as somebody uses them.

use std::sync::{Arc, Weak};

use dashmap::DashMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::webhook::Conversions;
use crate::resources::catalog;
use crate::schema::cel::Rules;
use crate::schema::{Link, Schema, SchemaType, structural};

/// Compiled schemas by the hash of their text.
#[derive(Default)]
pub struct Schemas {
    known: DashMap<[u8; 32], Weak<VersionSchema>>,
    /// Who asks the webhooks of definitions.
    pub(super) conversions: Arc<Conversions>,
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

    /// The schema for an `openAPIV3Schema`; `None` if it cannot be used, which validation keeps from being stored.
    pub(super) fn compile(&self, raw: &Value) -> Option<Arc<VersionSchema>> {
        let hash: [u8; 32] = Sha256::digest(raw.to_string()).into();
        if let Some(known) = self.known.get(&hash).and_then(|weak| weak.upgrade()) {
            return Some(known);
        }
        let checked = match structural::compile(raw) {
            Ok(schema) => Arc::new(schema),
            Err(error) => {
                tracing::warn!(%error, "a stored schema cannot be used");
                return None;
            }
        };
        let whole = Arc::new(with_object_fields(Schema::clone(&checked)));
        let rules = Rules::compile(&checked);
        let compiled = Arc::new(VersionSchema { checked, whole, rules });
        self.known.retain(|_, weak| weak.strong_count() > 0);
        self.known.insert(hash, Arc::downgrade(&compiled));
        Some(compiled)
    }
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
