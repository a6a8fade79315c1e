//! What an object of a built-in kind holds before anything was said about it.
//!
//! Kubernetes compares a new object with the empty Go value of its type. Structs in it are there even when empty, so that nobody
//! owns them by themselves; lists and maps that are always written are null.

use serde_json::{Map, Value, json};

use crate::schema::{Schema, SchemaType};

/// How deep structs are followed; no type nests as deep.
const MAX_DEPTH: usize = 32;

/// The empty object of a built-in kind: [`super::Tracking::blank`] for it. That of a custom kind has `apiVersion` and `kind` only.
///
/// A field counts as a struct if its default is an empty object, and as always written if the schema requires it.
pub fn blank(schema: &Schema, api_version: &str, kind: &str) -> Value {
    let mut blank = fields(schema, MAX_DEPTH);
    blank.insert("apiVersion".to_owned(), api_version.into());
    blank.insert("kind".to_owned(), kind.into());
    blank.insert("metadata".to_owned(), json!({}));
    Value::Object(blank)
}

fn fields(schema: &Schema, depth: usize) -> Map<String, Value> {
    let mut present = Map::new();
    for (name, link) in &schema.properties {
        let field: &Schema = link;
        let is_struct = field.default.as_ref().and_then(Value::as_object).is_some_and(Map::is_empty);
        let container = matches!(field.kind, Some(SchemaType::Array | SchemaType::Object));
        let required = || schema.rules.as_ref().is_some_and(|rules| rules.required.contains(name));
        if is_struct && depth > 0 {
            present.insert(name.to_string(), Value::Object(fields(field, depth - 1)));
        } else if container && required() {
            present.insert(name.to_string(), Value::Null);
        }
    }
    present
}
