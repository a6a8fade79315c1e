//! What data looks like to expressions: the declared types that follow from schemas.

use std::sync::Arc;

use atoll_cel::DeclType;
use atoll_cel::decl::{Length, ListMerge, Presence};
use serde_json::Value;

use crate::schema::{Additional, Link, ListType, Schema, SchemaType};

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It describes a whole object, which has a type and metadata even if the schema does not say so.
    Object,
    /// It describes a part of an object.
    Part,
}

/// The declared type of data that a schema describes.
pub fn declared(schema: &Schema, level: Level) -> DeclType {
    let decl = shape(schema, level);
    if schema.nullable { decl.or_null() } else { decl }
}

/// The declared type of what a schema holds. Types of a catalog may hold themselves; expressions see them untyped.
pub(super) fn nested(link: &Link) -> Arc<DeclType> {
    Arc::new(match link {
        Link::Owned(schema) => declared(schema, level(schema)),
        Link::Named(..) => DeclType::dynamic(),
    })
}

/// Whether the schema of a part is that of a whole object all the same.
pub(super) fn level(schema: &Schema) -> Level {
    if schema.embedded_resource { Level::Object } else { Level::Part }
}

fn shape(schema: &Schema, level: Level) -> DeclType {
    if schema.int_or_string {
        return DeclType::int_or_string(max_length(schema));
    }
    let kind = if level == Level::Object { Some(SchemaType::Object) } else { schema.kind };
    match kind {
        None => DeclType::preserved(),
        Some(SchemaType::Array) => match &schema.items {
            Some(items) => {
                DeclType::list(nested(items), schema.rules.as_ref().and_then(|r| r.max_items), merge(schema))
            }
            None => DeclType::preserved(),
        },
        Some(SchemaType::Object) => match &schema.additional {
            Additional::Values(values) if !says_nothing(values) => {
                DeclType::map(nested(values), schema.rules.as_ref().and_then(|rules| rules.max_properties))
            }
            _ => object(schema, level),
        },
        Some(SchemaType::String) => text(schema),
        Some(SchemaType::Boolean) => DeclType::bool(),
        Some(SchemaType::Number) => DeclType::double(),
        Some(SchemaType::Integer) => DeclType::int(),
    }
}

/// Whether a schema comes of `additionalProperties: true`.
fn says_nothing(schema: &Schema) -> bool {
    schema.kind.is_none() && !schema.int_or_string && !schema.preserve_unknown
}

fn max_length(schema: &Schema) -> Option<u64> {
    schema.rules.as_ref().and_then(|rules| rules.max_length)
}

fn text(schema: &Schema) -> DeclType {
    match schema.format.as_deref() {
        Some("byte") => return DeclType::bytes(max_length(schema)),
        Some("duration") => return DeclType::duration(),
        Some("date") => return DeclType::date(),
        Some("date-time") => return DeclType::date_time(),
        _ => {}
    }
    let choices = schema.rules.as_ref().map_or(&[][..], |rules| &rules.enumeration);
    DeclType::string(match max_length(schema) {
        Some(max) => Length::AtMost(max),
        None if choices.is_empty() => Length::Unbounded,
        None => {
            let lengths = choices.iter().filter_map(Value::as_str).map(|choice| choice.len() as u64);
            Length::LongestChoice(lengths.max().unwrap_or_default())
        }
    })
}

fn merge(schema: &Schema) -> ListMerge {
    match &schema.list_type {
        Some(ListType::Set) => ListMerge::Set,
        Some(ListType::Map(keys)) => ListMerge::Map(keys.iter().cloned().collect()),
        Some(ListType::Atomic) | None => ListMerge::Atomic,
    }
}

fn object(schema: &Schema, level: Level) -> DeclType {
    let required = schema.rules.as_ref().map_or(&[][..], |rules| &rules.required);
    let needs_fields = level == Level::Object && !has_object_fields(schema);
    let mut object = DeclType::object(None);
    for (name, field) in &schema.properties {
        if needs_fields && matches!(&**name, "apiVersion" | "kind" | "metadata") {
            continue;
        }
        // What a default fills need not be sent.
        let is_required = field.default.is_none() && required.contains(name);
        let presence = if is_required { Presence::Required } else { Presence::Optional };
        object = object.field(name.clone(), nested(field), presence);
    }
    if needs_fields {
        let text = || Arc::new(DeclType::string(Length::Unbounded));
        let metadata = DeclType::object(None).field("name", text(), Presence::Optional).field(
            "generateName",
            text(),
            Presence::Optional,
        );
        let fields = [("apiVersion", text()), ("kind", text()), ("metadata", Arc::new(metadata.build()))];
        for (name, decl) in fields {
            let is_required = required.iter().any(|required| &**required == name);
            object = object.field(name, decl, if is_required { Presence::Required } else { Presence::Optional });
        }
    }
    object.build()
}

/// Whether a schema declares itself what rules can rely on in any object.
fn has_object_fields(schema: &Schema) -> bool {
    let is = |schema: &Schema, name: &str, kind: SchemaType| {
        schema.properties.get(name).is_some_and(|field| matches!(field, Link::Owned(field) if field.kind == Some(kind)))
    };
    is(schema, "apiVersion", SchemaType::String)
        && is(schema, "kind", SchemaType::String)
        && is(schema, "metadata", SchemaType::Object)
        && schema.properties.get("metadata").is_some_and(|metadata| {
            is(metadata, "name", SchemaType::String) && is(metadata, "generateName", SchemaType::String)
        })
}
