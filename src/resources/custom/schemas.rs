//! Compiled schemas of custom kinds, held once by all versions, definitions and clusters for as long as somebody uses them.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use dashmap::DashMap;
use sha2::{Digest, Sha256};

use super::webhook::Conversions;
use crate::resources::catalog;
use crate::schema::cel::Rules;
use crate::schema::{Additional, Link, Maker, Schema, SchemaType, structural};

/// Compiled schemas that are in use.
#[derive(Default)]
pub struct Schemas {
    known: Arc<Known>,
    /// Who asks the webhooks of definitions.
    pub(super) conversions: Arc<Conversions>,
}

/// The hash of a schema's text.
type Hash = [u8; 32];

/// What is in use, by the hash of its text.
///
/// How long it takes until a schema can be used tells nobody whether somebody else uses the same: each definition compiles its own,
/// and lets its own go if there is one like it. Only what the same definition has compiled before, for another of its
/// versions or as it was before a change, is found at once.
#[derive(Default)]
struct Known {
    all: DashMap<Hash, Weak<Compiled>>,
    of_definitions: DashMap<(Arc<str>, Hash), Weak<Own>>,
}

/// A compiled schema, known as long as it is used.
struct Compiled {
    schema: VersionSchema,
    hash: Hash,
    among: Weak<Known>,
}

/// A definition's hold on a schema.
struct Own {
    compiled: Arc<Compiled>,
    definition: Arc<str>,
}

/// The schema of a version of a custom kind, compiled when somebody first needs it: most kinds of a cluster lie idle.
pub(super) struct LazySchema {
    /// The `openAPIV3Schema`, a part of the stored definition.
    text: Bytes,
    /// The uid of the definition.
    definition: Arc<str>,
    known: Arc<Known>,
    compiled: OnceLock<Arc<Own>>,
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

    /// The schema for the text of an `openAPIV3Schema` of the definition with this uid.
    pub(super) fn lazy(&self, definition: &str, text: Bytes) -> Arc<LazySchema> {
        let (known, compiled) = (self.known.clone(), OnceLock::new());
        Arc::new(LazySchema { text, definition: definition.into(), known, compiled })
    }
}

// === impl LazySchema ===

impl LazySchema {
    /// The schema.
    pub(super) fn get(&self) -> &VersionSchema {
        &self.compiled.get_or_init(|| self.known.schema(&self.definition, &self.text)).compiled.schema
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

// === impl Known ===

impl Known {
    fn schema(self: &Arc<Self>, definition: &Arc<str>, text: &[u8]) -> Arc<Own> {
        let hash: Hash = Sha256::digest(text).into();
        let place = (definition.clone(), hash);
        if let Some(own) = self.of_definitions.get(&place).and_then(|own| own.upgrade()) {
            return own;
        }
        let made = Arc::new(Compiled { schema: compile(text), hash, among: Arc::downgrade(self) });
        let compiled = found_or(&mut self.all.entry(hash).or_default(), &made);
        // On another thread whether or not there is something to let go, which takes longer the larger the schema is.
        let superfluous = Some(made).filter(|made| !Arc::ptr_eq(made, &compiled));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(superfluous))),
            Err(_) => drop(superfluous),
        }
        let own = Arc::new(Own { compiled, definition: definition.clone() });
        found_or(&mut self.of_definitions.entry(place).or_default(), &own)
    }
}

/// What is still in use there, or else this, which is put there.
fn found_or<T>(place: &mut Weak<T>, new: &Arc<T>) -> Arc<T> {
    place.upgrade().unwrap_or_else(|| {
        *place = Arc::downgrade(new);
        new.clone()
    })
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // Unless the same came again in the meantime.
        if let Some(known) = self.among.upgrade() {
            known.all.remove_if(&self.hash, |_, compiled| compiled.strong_count() == 0);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(known) = self.compiled.among.upgrade() {
            let place = (self.definition.clone(), self.compiled.hash);
            known.of_definitions.remove_if(&place, |_, own| own.strong_count() == 0);
        }
    }
}

fn compile(text: &[u8]) -> VersionSchema {
    let raw = serde_json::from_slice(text).map_err(|error| error.to_string());
    let checked = Arc::new(raw.and_then(|raw| structural::compile(&raw)).unwrap_or_else(|error| {
        // Validation keeps such schemas from being stored; nothing of the objects is lost meanwhile.
        tracing::warn!(%error, "a stored schema cannot be used");
        Schema { preserve_unknown: true, additional: Additional::Anything, ..Schema::default() }
    }));
    let whole = Arc::new(with_object_fields(Schema::clone(&checked)));
    let rules = Rules::compile(&checked);
    VersionSchema { checked, whole, rules }
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
    fn schemas_are_compiled_when_they_are_needed_and_equal_ones_held_once() {
        let schemas = Schemas::default();
        let (one, other) = (schemas.lazy("uid-1", text()), schemas.lazy("uid-2", text()));
        assert!(one.compiled.get().is_none() && schemas.known.all.is_empty(), "nobody has needed it");
        assert!(one.schema().properties.contains_key("metadata"));
        assert!(std::ptr::eq(one.get(), other.get()), "what says the same is held once");
        let own = |schema: &LazySchema| schema.compiled.get().map(Arc::as_ptr);
        let again = schemas.lazy("uid-1", text());
        again.get();
        assert!(own(&again) == own(&one) && own(&one) != own(&other), "found at once only by the definition itself");
        assert_eq!((schemas.known.all.len(), schemas.known.of_definitions.len()), (1, 2));
        drop((one, again));
        assert_eq!((schemas.known.all.len(), schemas.known.of_definitions.len()), (1, 1));
        drop(other);
        assert!(schemas.known.all.is_empty() && schemas.known.of_definitions.is_empty(), "it goes with its last user");
    }

    #[test]
    fn a_schema_that_cannot_be_used_takes_nothing_away() {
        let broken = Schemas::default().lazy("", Bytes::from_static(b"{\"type\":7"));
        assert!(broken.schema().preserve_unknown);
    }
}
