//! Schemas from the facts of the tables.
//!
//! `required` is left out on purpose: Kubernetes checks built-in objects by code, and decodes a missing field as empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::TYPES;
use super::facts::{FieldFacts, Presence, TypeFacts, TypeName};
use crate::schema::{Additional, Catalog, GoType, Link, ListType, MapType, PatchStrategy, Schema, SchemaType};

/// The schema of a type of the table, by its name such as `core.v1.PodSpec`.
pub(super) fn of_type(name: &str, facts: &TypeFacts, go_fields: &str) -> Schema {
    // Go knows a type by the last part of its package.
    let go_type = name.split_once('.').map(|(_, type_name)| GoType::with_fields(type_name, go_fields));
    let properties: BTreeMap<Arc<str>, Link> =
        facts.fields.iter().map(|(name, field)| (name.as_str().into(), of_field(field))).collect();
    Schema {
        kind: Some(SchemaType::Object),
        properties,
        map_type: map_type(facts.map_type.as_deref()),
        go_type,
        ..Schema::default()
    }
}

fn of_field(field: &FieldFacts) -> Link {
    let link = of_name(&field.type_name);
    let patch = patch_strategy(field);
    // OpenAPI calls bytes a list in one place; nothing merges them as one.
    let listed = field.list.as_ref().filter(|_| field.type_name != TypeName::Bytes);
    let list_type = listed.map(list_type);
    let map_type = map_type(field.map_type.as_deref());
    let default = field.default.clone().or_else(|| zero(field));
    if patch == PatchStrategy::default() && list_type.is_none() && map_type.is_none() && default.is_none() {
        return link;
    }
    let mut schema = match link {
        Link::Named(catalog, index) => Catalog::schema(catalog, index).clone(),
        Link::Owned(schema) => Arc::unwrap_or_clone(schema),
        Link::Made(maker) => maker.schema().clone(),
    };
    schema.patch = patch;
    schema.list_type = list_type;
    schema.map_type = map_type.or(schema.map_type);
    schema.default = default;
    schema.into()
}

/// What OpenAPI says is the default of a scalar that Go always writes. It matters for the keys of lists: an element that
/// leaves its key out has this one.
fn zero(field: &FieldFacts) -> Option<Value> {
    match field.type_name {
        _ if field.presence != Presence::Zero => None,
        TypeName::String => Some("".into()),
        TypeName::Int32 | TypeName::Int64 => Some(0.into()),
        TypeName::Boolean => Some(false.into()),
        _ => None,
    }
}

fn of_name(name: &TypeName) -> Link {
    let (kind, format) = match name {
        TypeName::Struct(index) => return Link::Named(&TYPES, *index),
        TypeName::List(element) => {
            return Schema { kind: Some(SchemaType::Array), items: Some(of_name(element)), ..Schema::default() }.into();
        }
        TypeName::Map(values) => {
            let additional = Additional::Values(of_name(values));
            return Schema { kind: Some(SchemaType::Object), additional, ..Schema::default() }.into();
        }
        TypeName::IntOrString => {
            let format = Some("int-or-string".into());
            return Schema { int_or_string: true, format, ..Schema::default() }.into();
        }
        TypeName::FieldsV1 => {
            let kind = Some(SchemaType::Object);
            return Schema { kind, additional: Additional::Anything, preserve_unknown: true, ..Schema::default() }
                .into();
        }
        TypeName::SchemaOrBool | TypeName::SchemaOrArray | TypeName::SchemaOrStrings => {
            let format = match name {
                TypeName::SchemaOrBool => "schema-or-bool",
                TypeName::SchemaOrArray => "schema-or-list",
                _ => "schema-or-names",
            };
            let props = TYPES.index("apiextensions.v1.JSONSchemaProps").map(|index| of_name(&TypeName::Struct(index)));
            let (additional, format) = (Additional::Anything, Some(format.into()));
            return Schema { additional, preserve_unknown: true, format, items: props, ..Schema::default() }.into();
        }
        TypeName::Json | TypeName::RawExtension => {
            return Schema { additional: Additional::Anything, preserve_unknown: true, ..Schema::default() }.into();
        }
        TypeName::Quantity => (None, "quantity"),
        TypeName::String => (Some(SchemaType::String), ""),
        TypeName::Bytes => (Some(SchemaType::String), "byte"),
        TypeName::Time => (Some(SchemaType::String), "time"),
        TypeName::MicroTime => (Some(SchemaType::String), "micro-time"),
        TypeName::Boolean => (Some(SchemaType::Boolean), ""),
        TypeName::Int32 => (Some(SchemaType::Integer), "int32"),
        TypeName::Int64 => (Some(SchemaType::Integer), "int64"),
        TypeName::Double => (Some(SchemaType::Number), "double"),
    };
    let format = (!format.is_empty()).then(|| format.into());
    Schema { kind, format, ..Schema::default() }.into()
}

fn list_type(value: &Value) -> ListType {
    match value {
        Value::Array(keys) => ListType::Map(keys.iter().filter_map(Value::as_str).map(Into::into).collect()),
        Value::String(text) if text == "set" => ListType::Set,
        _ => ListType::Atomic,
    }
}

fn map_type(text: Option<&str>) -> Option<MapType> {
    match text {
        Some("atomic") => Some(MapType::Atomic),
        Some(_) => Some(MapType::Granular),
        None => None,
    }
}

fn patch_strategy(field: &FieldFacts) -> PatchStrategy {
    let named = |strategy| field.patch_strategy.as_deref().is_some_and(|all| all.split(',').any(|one| one == strategy));
    PatchStrategy {
        merge: named("merge"),
        retain_keys: named("retainKeys"),
        merge_key: field.merge_key.as_deref().map(Into::into),
    }
}
