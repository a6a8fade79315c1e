//! Turns a schema of a definition into one that OpenAPI documents can say and kubectl can read.

use serde_json::{Map, Value, json};

use super::{Document, Words, set_object_fields};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

/// The published form of an accepted schema.
pub(super) fn publish(schema: &Value, document: Document, words: Words<'_>) -> Map<String, Value> {
    let mut map = schema.as_object().cloned().unwrap_or_default();
    map.retain(|name, value| matches!(name.as_str(), "default" | "example") || !says_nothing(value));
    match document {
        Document::V2 => reduce(&mut map),
        Document::V3 => unfold(&mut map),
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(|schema| *schema = Value::Object(publish(schema, document, words)));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(schema @ Value::Object(_)) = map.get_mut(name) {
            *schema = Value::Object(publish(schema, document, words));
        }
    }
    embed(&mut map, document, words);
    map
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Says of integers or strings in OpenAPI's words what the extension says.
fn unfold(map: &mut Map<String, Value>) {
    if map.get("x-kubernetes-int-or-string") != Some(&Value::Bool(true)) {
        return;
    }
    let types = json!([{"type": "integer"}, {"type": "string"}]);
    let first_any_of = map.get("allOf").and_then(|all| all[0].get("anyOf"));
    if map.get("anyOf") == Some(&types) || first_any_of == Some(&types) {
        return;
    }
    if !map.contains_key("anyOf") {
        map.insert("anyOf".to_owned(), types);
    } else if let Value::Array(all) = map.entry("allOf").or_insert_with(|| json!([])) {
        all.insert(0, json!({"anyOf": types}));
    }
}

/// Takes away what OpenAPI v2 cannot say, and what kubectl would take for more than it says.
fn reduce(map: &mut Map<String, Value>) {
    for name in ["allOf", "anyOf", "oneOf", "not", "default"] {
        map.remove(name);
    }
    drop_nullable_from_required(map);
    let preserves = map.get(PRESERVE) == Some(&Value::Bool(true));
    let nullable = map.remove("nullable").is_some();
    if nullable || preserves {
        map.remove("items");
        map.remove("properties");
    }
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let misleads = (kind == "array" && !map.contains_key("items")) || (kind == "object" && preserves);
    if nullable || misleads {
        map.remove("type");
    }
}

/// A value that may be null cannot be told from one that is absent, so it cannot be required.
fn drop_nullable_from_required(map: &mut Map<String, Value>) {
    let is_nullable = |schema: &Value| schema["nullable"] == true;
    if map.get("additionalProperties").is_some_and(is_nullable) {
        map.remove("required");
        return;
    }
    let Some(Value::Array(required)) = map.get("required") else { return };
    let keeps = |name: &&Value| {
        let property = map.get("properties").and_then(|all| all.get(name.as_str()?));
        !property.is_some_and(is_nullable)
    };
    let kept: Vec<Value> = required.iter().filter(keeps).cloned().collect();
    if kept.is_empty() {
        map.remove("required");
    } else {
        map.insert("required".to_owned(), kept.into());
    }
}

/// Objects embedded in others have the fields of objects, and their type is required.
fn embed(map: &mut Map<String, Value>, document: Document, words: Words<'_>) {
    let is_set = |name| map.get(name) == Some(&Value::Bool(true));
    // kubectl would refuse all but the named fields.
    if !is_set(EMBEDDED) || (document == Document::V2 && is_set(PRESERVE)) {
        return;
    }
    set_object_fields(map, document, words);
    if let Value::Array(required) = map.entry("required").or_insert_with(|| json!([])) {
        for name in ["kind", "apiVersion"] {
            if !required.iter().any(|value| value == name) {
                required.push(name.into());
            }
        }
    }
}
