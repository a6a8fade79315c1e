//! Schemas for the tests of this folder, read from JSON schemas in short form.
//!
//! Not a schema compiler: only what the patches look at is read.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::schema::{Additional, Link, ListType, MapType, PatchStrategy, Schema, SchemaType, ValueRules};

/// Reads a schema. A string is a type (`"string"`); an object has the words of JSON schema, and for the extensions `list`
/// (`"set"`, `"atomic"` or the keys of a map list), `map` (`"atomic"`), `merge` (`true` or the merge key), `retainKeys`, `open` and `embedded`.
pub(crate) fn schema(source: &Value) -> Schema {
    if let Value::String(kind) = source {
        return schema(&json!({ "type": kind }));
    }
    let arcs = |list: &Value| -> Vec<Arc<str>> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(Arc::from).collect()
    };
    let kind = match source["type"].as_str() {
        Some("object") => Some(SchemaType::Object),
        Some("array") => Some(SchemaType::Array),
        Some("string") => Some(SchemaType::String),
        Some("integer") => Some(SchemaType::Integer),
        Some("number") => Some(SchemaType::Number),
        Some("boolean") => Some(SchemaType::Boolean),
        _ => None,
    };
    let list_type = match &source["list"] {
        Value::String(kind) if kind == "set" => Some(ListType::Set),
        Value::String(_) => Some(ListType::Atomic),
        Value::Array(_) => Some(ListType::Map(arcs(&source["list"]))),
        _ => None,
    };
    let properties = source["properties"].as_object().into_iter().flatten();
    Schema {
        kind,
        format: source["format"].as_str().map(Arc::from),
        properties: properties.map(|(name, property)| (Arc::from(name.as_str()), schema(property).into())).collect(),
        additional: match source.get("additional") {
            Some(Value::Bool(true)) => Additional::Anything,
            Some(values) => Additional::Values(schema(values).into()),
            None => Additional::Nothing,
        },
        items: source.get("items").map(|items| Link::from(schema(items))),
        nullable: source["nullable"] == true,
        preserve_unknown: source["open"] == true,
        embedded_resource: source["embedded"] == true,
        int_or_string: source["intOrString"] == true,
        list_type,
        map_type: (source["map"] == "atomic").then_some(MapType::Atomic),
        patch: PatchStrategy {
            merge: source.get("merge").is_some(),
            retain_keys: source["retainKeys"] == true,
            merge_key: source["merge"].as_str().map(Arc::from),
        },
        default: source.get("default").cloned(),
        rules: source
            .get("required")
            .map(|required| Box::new(ValueRules { required: arcs(required), ..ValueRules::default() })),
        ..Schema::default()
    }
}

/// The metadata of objects.
pub(crate) fn metadata() -> Value {
    json!({"type": "object", "properties": {
        "name": "string", "namespace": "string", "uid": "string", "resourceVersion": "string", "generation": "integer",
        "labels": {"type": "object", "additional": "string"},
        "annotations": {"type": "object", "additional": "string"},
        "finalizers": {"type": "array", "items": "string", "list": "set", "merge": true},
        "ownerReferences": {"type": "array", "list": ["uid"], "merge": "uid", "items": {"type": "object", "map": "atomic",
            "properties": {"uid": "string", "name": "string", "kind": "string", "apiVersion": "string", "controller": "boolean"}}},
    }})
}

/// A pod template, as PodTemplate and Deployment have it.
pub(crate) fn pod_template() -> Value {
    let port = json!({"type": "object", "required": ["containerPort"], "properties": {
        "containerPort": "integer", "name": "string", "protocol": {"type": "string", "default": "TCP"}}});
    let container = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "default": ""}, "image": "string", "imagePullPolicy": "string",
        "args": {"type": "array", "items": "string", "list": "atomic"},
        "env": {"type": "array", "list": ["name"], "merge": "name", "items": {"type": "object",
            "properties": {"name": {"type": "string", "default": ""}, "value": "string"}}},
        "ports": {"type": "array", "list": ["containerPort", "protocol"], "merge": "containerPort", "items": port},
        "resources": {"type": "object", "default": {}, "properties": {
            "limits": {"type": "object", "additional": {"type": "string", "format": "quantity"}}}},
    }});
    let volume = json!({"type": "object", "properties": {
        "name": {"type": "string", "default": ""},
        "emptyDir": {"type": "object", "properties": {"medium": "string", "sizeLimit": {"type": "string", "format": "quantity"}}},
        "configMap": {"type": "object", "properties": {"name": "string", "defaultMode": "integer"}},
    }});
    json!({"type": "object", "default": {}, "properties": {
        "metadata": with(metadata(), "default", json!({})),
        "spec": {"type": "object", "default": {}, "required": ["containers"], "properties": {
            "containers": {"type": "array", "list": ["name"], "merge": "name", "items": container},
            "volumes": {"type": "array", "list": ["name"], "merge": "name", "retainKeys": true, "items": volume},
            "nodeSelector": {"type": "object", "map": "atomic", "additional": "string"},
            "securityContext": {"type": "object", "properties": {"runAsUser": "integer"}},
            "restartPolicy": "string", "terminationGracePeriodSeconds": "integer",
        }},
    }})
}

/// A kind with metadata and these further fields.
pub(crate) fn kind(fields: Value) -> Schema {
    let mut properties =
        json!({"apiVersion": "string", "kind": "string", "metadata": with(metadata(), "default", json!({}))});
    for (name, field) in fields.as_object().into_iter().flatten() {
        properties[name] = field.clone();
    }
    schema(&json!({"type": "object", "properties": properties}))
}

fn with(mut value: Value, key: &str, field: Value) -> Value {
    value[key] = field;
    value
}
