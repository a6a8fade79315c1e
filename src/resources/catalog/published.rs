//! The types of the catalog as OpenAPI 3 schemas, with their descriptions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::facts::{FieldFacts, TypeFacts, TypeName};
use super::{Descriptions, TYPES, openapi_name};

/// Adds the schema of a type, and of all it refers to, to `schemas`.
pub fn publish(name: &str, descriptions: &Descriptions, schemas: &mut BTreeMap<String, Value>) {
    let mut wanted = vec![name.to_owned()];
    while let Some(name) = wanted.pop() {
        let public = openapi_name(&name);
        let Some(facts) = TYPES.facts_of(&name).filter(|_| !schemas.contains_key(&public)) else { continue };
        schemas.insert(public, schema_of(&name, facts, descriptions, &mut wanted));
    }
}

/// The name of the type that is a kind, such as `apps.v1.Deployment`.
pub fn type_of_kind(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    let is_it = |gvk: &(String, String, String)| gvk.0 == group && gvk.1 == version && gvk.2 == kind;
    TYPES.names().find(|name| TYPES.facts_of(name).is_some_and(|facts| facts.gvk.iter().any(is_it)))
}

fn schema_of(name: &str, facts: &TypeFacts, descriptions: &Descriptions, wanted: &mut Vec<String>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (field, field_facts) in &facts.fields {
        let mut schema = value_of(&field_facts.type_name, wanted);
        describe_field(&mut schema, field_facts);
        if let Some(text) = descriptions.of_field(name, field) {
            schema["description"] = text.into();
        }
        properties.insert(field.clone(), schema);
        if field_facts.is_required() {
            required.push(field.clone());
        }
    }
    let mut schema = json!({"type": "object"});
    // An object without fields says nothing of them.
    if !properties.is_empty() {
        schema["properties"] = properties.into();
    }
    if let Some(text) = descriptions.of_type(name) {
        schema["description"] = text.into();
    }
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if !facts.gvk.is_empty() {
        let kinds =
            facts.gvk.iter().map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind}));
        schema["x-kubernetes-group-version-kind"] = kinds.collect();
    }
    if let Some(map_type) = &facts.map_type {
        schema["x-kubernetes-map-type"] = map_type.as_str().into();
    }
    schema
}

/// How lists and maps are merged, and the default.
fn describe_field(schema: &mut Value, facts: &FieldFacts) {
    match &facts.list {
        Some(Value::String(list_type)) => schema["x-kubernetes-list-type"] = list_type.as_str().into(),
        Some(keys) => {
            schema["x-kubernetes-list-type"] = "map".into();
            schema["x-kubernetes-list-map-keys"] = keys.clone();
        }
        None => {}
    }
    let texts = [
        ("x-kubernetes-map-type", &facts.map_type),
        ("x-kubernetes-patch-strategy", &facts.patch_strategy),
        ("x-kubernetes-patch-merge-key", &facts.merge_key),
    ];
    for (word, text) in texts {
        if let Some(text) = text {
            schema[word] = text.as_str().into();
        }
    }
    if let Some(default) = &facts.default {
        schema["default"] = default.clone();
    }
}

fn value_of(type_name: &TypeName, wanted: &mut Vec<String>) -> Value {
    match type_name {
        TypeName::String => json!({"type": "string"}),
        TypeName::Bytes => json!({"type": "string", "format": "byte"}),
        TypeName::Boolean => json!({"type": "boolean"}),
        TypeName::Int32 => json!({"type": "integer", "format": "int32"}),
        TypeName::Int64 => json!({"type": "integer", "format": "int64"}),
        TypeName::Double => json!({"type": "number", "format": "double"}),
        TypeName::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        TypeName::IntOrString => json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        TypeName::Time | TypeName::MicroTime => json!({"type": "string", "format": "date-time"}),
        TypeName::FieldsV1 | TypeName::RawExtension => json!({"type": "object"}),
        TypeName::Json | TypeName::SchemaOrBool | TypeName::SchemaOrArray | TypeName::SchemaOrStrings => json!({}),
        TypeName::Struct(index) => {
            let name = TYPES.name(*index);
            wanted.push(name.to_owned());
            json!({"allOf": [{"$ref": format!("#/components/schemas/{}", openapi_name(name))}], "default": {}})
        }
        TypeName::List(items) => json!({"type": "array", "items": value_of(items, wanted)}),
        TypeName::Map(values) => json!({"type": "object", "additionalProperties": value_of(values, wanted)}),
    }
}
