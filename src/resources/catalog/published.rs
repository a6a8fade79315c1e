//! The types of the catalog as OpenAPI 3 schemas, with their descriptions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::facts::{FieldFacts, Presence, TypeFacts, TypeName};
use super::{Descriptions, TYPES, openapi_name};

/// Adds the schema of a type, and of all it refers to, to `schemas`.
pub fn publish(name: &str, descriptions: &Descriptions, schemas: &mut BTreeMap<String, Value>) {
    let mut wanted = Wanted { types: vec![name.to_owned()], words: Vec::new() };
    while let Some(name) = wanted.types.pop() {
        let public = openapi_name(&name);
        let Some(facts) = TYPES.facts_of(&name).filter(|_| !schemas.contains_key(&public)) else { continue };
        schemas.insert(public, schema_of(&name, facts, descriptions, &mut wanted));
    }
    for (name, mut schema) in wanted.words {
        if let Some(text) = descriptions.of_type(unqualified(name)) {
            set(&mut schema, "description", text.into());
        }
        schemas.entry(name.to_owned()).or_insert(schema);
    }
}

/// The name under which a type is described: `meta.v1.Time`, but `resource.Quantity`, whose package has no version.
fn unqualified(name: &str) -> &str {
    let from_end = |dots: usize| name.rmatch_indices('.').nth(dots).map_or(name, |(at, _)| &name[at + 1..]);
    let package = from_end(1).split('.').next().unwrap_or_default();
    let is_version = package.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_version { from_end(2) } else { from_end(1) }
}

/// What schemas refer to and is to be published too.
struct Wanted {
    types: Vec<String>,
    /// Types with an encoding of their own.
    words: Vec<(&'static str, Value)>,
}

/// The name of the type that is a kind, such as `apps.v1.Deployment`.
pub fn type_of_kind(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    let is_it = |gvk: &(String, String, String)| gvk.0 == group && gvk.1 == version && gvk.2 == kind;
    TYPES.names().find(|name| TYPES.facts_of(name).is_some_and(|facts| facts.gvk.iter().any(is_it)))
}

fn schema_of(name: &str, facts: &TypeFacts, descriptions: &Descriptions, wanted: &mut Wanted) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<(&FieldFacts, &str)> = Vec::new();
    for (field, field_facts) in &facts.fields {
        let mut schema = value_of(&field_facts.type_name, field_facts.values.as_ref(), wanted);
        describe_field(&mut schema, field_facts);
        if let Some(text) = descriptions.of_field(name, field) {
            set(&mut schema, "description", text.into());
        }
        properties.insert(field.clone(), schema);
        if field_facts.is_required() {
            required.push((field_facts, field));
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
        required.sort_by_key(|(facts, _)| facts.place());
        schema["required"] = required.into_iter().map(|(_, name)| name).collect();
    }
    if !facts.gvk.is_empty() {
        let kinds =
            facts.gvk.iter().map(|(group, version, kind)| json!({"group": group, "version": version, "kind": kind}));
        schema["x-kubernetes-group-version-kind"] = kinds.collect();
    }
    if let Some(map_type) = &facts.map_type {
        schema["x-kubernetes-map-type"] = map_type.as_str().into();
    }
    if let Some(unions) = &facts.unions {
        schema["x-kubernetes-unions"] = unions.clone();
    }
    schema
}

/// How lists and maps are merged, and the default.
fn describe_field(schema: &mut Value, facts: &FieldFacts) {
    match &facts.list {
        Some(Value::String(list_type)) => set(schema, "x-kubernetes-list-type", list_type.as_str().into()),
        Some(keys) => {
            set(schema, "x-kubernetes-list-type", "map".into());
            set(schema, "x-kubernetes-list-map-keys", keys.clone());
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
            set(schema, word, text.as_str().into());
        }
    }
    if let Some(default) = facts.default.clone().or_else(|| zero_of_field(facts)) {
        set(schema, "default", default);
    }
}

/// Adds a word to a schema. Nothing may stand beside a reference, which therefore becomes the one part of `allOf`.
fn set(schema: &mut Value, word: &str, value: Value) {
    if let Some(reference) = schema.as_object_mut().and_then(|schema| schema.remove("$ref")) {
        schema["allOf"] = json!([{"$ref": reference}]);
    }
    schema[word] = value;
}

/// What Go writes for a field that was not set: the default of fields that are no pointers.
fn zero_of_field(facts: &FieldFacts) -> Option<Value> {
    match (&facts.type_name, facts.presence) {
        (TypeName::Struct(_), Presence::Zero | Presence::Drop) => Some(json!({})),
        (TypeName::Struct(_), _) => None,
        (type_name, Presence::Zero) => zero_of(type_name),
        (type_name, _) if facts.publishes_zero() => zero_of(type_name),
        _ => None,
    }
}

/// What Go writes for an element that was not set.
fn zero_of(type_name: &TypeName) -> Option<Value> {
    match type_name {
        TypeName::Struct(_) => Some(json!({})),
        TypeName::String => Some("".into()),
        TypeName::Boolean => Some(false.into()),
        TypeName::Int32 | TypeName::Int64 | TypeName::Double => Some(0.into()),
        _ => None,
    }
}

fn value_of(type_name: &TypeName, values: Option<&Value>, wanted: &mut Wanted) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    match type_name {
        TypeName::String => match values {
            Some(values) => json!({"type": "string", "enum": values}),
            None => json!({"type": "string"}),
        },
        TypeName::Bytes => json!({"type": "string", "format": "byte"}),
        TypeName::Boolean => json!({"type": "boolean"}),
        TypeName::Int32 => json!({"type": "integer", "format": "int32"}),
        TypeName::Int64 => json!({"type": "integer", "format": "int64"}),
        TypeName::Double => json!({"type": "number", "format": "double"}),
        TypeName::Struct(index) => {
            let name = TYPES.name(*index);
            wanted.types.push(name.to_owned());
            reference(&openapi_name(name))
        }
        TypeName::List(items) => json!({"type": "array", "items": element_of(items, values, wanted)}),
        TypeName::Map(elements) => {
            json!({"type": "object", "additionalProperties": element_of(elements, values, wanted)})
        }
        word => {
            let (name, schema) = word_of(word);
            wanted.words.push((name, schema));
            reference(name)
        }
    }
}

fn element_of(type_name: &TypeName, values: Option<&Value>, wanted: &mut Wanted) -> Value {
    let mut schema = value_of(type_name, values, wanted);
    if let Some(zero) = zero_of(type_name) {
        set(&mut schema, "default", zero);
    }
    schema
}

/// The published name and schema of a type with an encoding of its own.
fn word_of(type_name: &TypeName) -> (&'static str, Value) {
    match type_name {
        TypeName::Quantity => (
            "io.k8s.apimachinery.pkg.api.resource.Quantity",
            json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        ),
        TypeName::IntOrString => (
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
        TypeName::Time => {
            ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", json!({"type": "string", "format": "date-time"}))
        }
        TypeName::MicroTime => {
            ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", json!({"type": "string", "format": "date-time"}))
        }
        TypeName::FieldsV1 => ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"type": "object"})),
        TypeName::RawExtension => ("io.k8s.apimachinery.pkg.runtime.RawExtension", json!({"type": "object"})),
        TypeName::SchemaOrBool => {
            ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool", json!({}))
        }
        TypeName::SchemaOrArray => {
            ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", json!({}))
        }
        TypeName::SchemaOrStrings => {
            ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray", json!({}))
        }
        _ => ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", json!({})),
    }
}
