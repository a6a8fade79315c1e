//! Declared types from schemas, for as much of schemas as the cases use.

use std::sync::Arc;

use atoll_cel::DeclType;
use atoll_cel::decl::{Length, ListMerge, Presence};
use serde_json::{Value as Json, json};

/// The type that a schema declares; `is_root` adds what every resource has.
pub(crate) fn decl(schema: &Json, is_root: bool) -> DeclType {
    let decl = shape(schema, is_root);
    if schema["nullable"] == json!(true) { decl.or_null() } else { decl }
}

fn nested(schema: &Json) -> Arc<DeclType> {
    Arc::new(decl(schema, schema["x-kubernetes-embedded-resource"] == json!(true)))
}

fn shape(schema: &Json, is_root: bool) -> DeclType {
    let number = |field: &str| schema[field].as_u64();
    if schema["x-kubernetes-int-or-string"] == json!(true) {
        return DeclType::int_or_string(number("maxLength"));
    }
    match schema["type"].as_str() {
        Some("array") => DeclType::list(nested(&schema["items"]), number("maxItems"), merge(schema)),
        Some("object") if schema["additionalProperties"].is_object() => {
            DeclType::map(nested(&schema["additionalProperties"]), number("maxProperties"))
        }
        Some("object") => object(schema, is_root),
        Some("string") => match schema["format"].as_str() {
            Some("byte") => DeclType::bytes(number("maxLength")),
            Some("duration") => DeclType::duration(),
            Some("date") => DeclType::date(),
            Some("date-time") => DeclType::date_time(),
            _ => DeclType::string(length(schema)),
        },
        Some("boolean") => DeclType::bool(),
        Some("number") => DeclType::double(),
        Some("integer") => DeclType::int(),
        _ => DeclType::preserved(),
    }
}

fn merge(schema: &Json) -> ListMerge {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListMerge::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().expect("a list of keys");
            ListMerge::Map(keys.iter().filter_map(Json::as_str).map(Arc::from).collect())
        }
        _ => ListMerge::Atomic,
    }
}

fn length(schema: &Json) -> Length {
    match (schema["maxLength"].as_u64(), schema["enum"].as_array()) {
        (Some(max), _) => Length::AtMost(max),
        (None, Some(choices)) => {
            let lengths = choices.iter().filter_map(Json::as_str).map(|choice| choice.len() as u64);
            Length::LongestChoice(lengths.max().unwrap_or_default())
        }
        (None, None) => Length::Unbounded,
    }
}

fn object(schema: &Json, is_root: bool) -> DeclType {
    let mut properties = schema["properties"].as_object().cloned().unwrap_or_default();
    if is_root {
        let text = json!({"type": "string"});
        let metadata = json!({"type": "object", "properties": {"name": text, "generateName": text}});
        properties.insert("kind".to_owned(), text.clone());
        properties.insert("apiVersion".to_owned(), text);
        properties.insert("metadata".to_owned(), metadata);
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let fields = properties.iter().map(|(name, property)| {
        let is_required = required.contains(&name.as_str()) && property["default"].is_null();
        (name, nested(property), if is_required { Presence::Required } else { Presence::Optional })
    });
    fields
        .fold(DeclType::object(None), |object, (name, decl, presence)| object.field(name.as_str(), decl, presence))
        .build()
}
