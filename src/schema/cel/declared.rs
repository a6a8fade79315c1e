//! What data looks like to expressions: the declared types that follow from schemas.

use std::sync::Arc;

use atoll_cel::DeclType;
use atoll_cel::decl::{Length, ListMerge, Presence};
use serde_json::Value;

use crate::schema::{Additional, Link, ListType, Schema, SchemaType, metadata};

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It describes a whole object, which has a type and metadata even if the schema does not say so.
    Object,
    /// It describes a part of an object.
    Part,
}

/// What is made of the types of a catalog, which may hold themselves.
#[derive(Clone, Copy)]
pub(super) enum Named<'a> {
    /// They are untyped.
    Untyped,
    /// They are written out, as far as they are not inside of themselves.
    WrittenOut(Option<&'a Open<'a>>),
}

/// A type of a catalog that is being written out, and those around it.
pub(super) struct Open<'a> {
    index: u16,
    around: Option<&'a Open<'a>>,
}

/// The declared type of data that a schema describes. Expressions see the types of a catalog untyped.
pub fn declared(schema: &Schema, level: Level) -> DeclType {
    declare(schema, level, Named::Untyped)
}

/// The declared type of whole objects that a schema describes, with the types of a catalog written out. Only for the
/// checking of expressions: what holds itself looks empty where it does.
pub fn declared_throughout(schema: &Schema) -> DeclType {
    declare(schema, Level::Object, Named::WrittenOut(None))
}

fn declare(schema: &Schema, level: Level, named: Named<'_>) -> DeclType {
    let decl = shape(schema, level, named);
    if schema.nullable { decl.or_null() } else { decl }
}

/// The declared type of what a schema holds.
pub(super) fn nested(link: &Link, named: Named<'_>) -> Arc<DeclType> {
    Arc::new(match (link, named) {
        (Link::Owned(schema), _) => declare(schema, level(schema), named),
        (Link::Made(maker), _) => declare(maker.schema(), level(maker.schema()), named),
        (Link::Named(..), Named::Untyped) => DeclType::dynamic(),
        (Link::Named(_, index), Named::WrittenOut(around)) => {
            if std::iter::successors(around, |open| open.around).any(|open| open.index == *index) {
                return Arc::new(DeclType::object(None).build());
            }
            declare(link, level(link), Named::WrittenOut(Some(&Open { index: *index, around })))
        }
    })
}

/// Whether the schema of a part is that of a whole object all the same.
pub(super) fn level(schema: &Schema) -> Level {
    if schema.embedded_resource { Level::Object } else { Level::Part }
}

fn shape(schema: &Schema, level: Level, named: Named<'_>) -> DeclType {
    if schema.int_or_string {
        return DeclType::int_or_string(max_length(schema));
    }
    let kind = if level == Level::Object { Some(SchemaType::Object) } else { schema.kind };
    match kind {
        None => DeclType::preserved(),
        Some(SchemaType::Array) => match &schema.items {
            Some(items) => {
                DeclType::list(nested(items, named), schema.rules.as_ref().and_then(|r| r.max_items), merge(schema))
            }
            None => DeclType::preserved(),
        },
        Some(SchemaType::Object) => match &schema.additional {
            Additional::Values(values) if !says_nothing(values) => {
                DeclType::map(nested(values, named), schema.rules.as_ref().and_then(|rules| rules.max_properties))
            }
            _ => object(schema, level, named),
        },
        Some(SchemaType::String) => text(schema, named),
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

fn text(schema: &Schema, named: Named<'_>) -> DeclType {
    let is_of_catalog = matches!(named, Named::WrittenOut(Some(_)));
    match schema.format.as_deref() {
        Some("time" | "micro-time") if is_of_catalog => return DeclType::date_time(),
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

fn object(schema: &Schema, level: Level, named: Named<'_>) -> DeclType {
    let required = schema.rules.as_ref().map_or(&[][..], |rules| &rules.required);
    let needs_fields = level == Level::Object && !has_object_fields(schema);
    let mut object = DeclType::object(None);
    for (name, field) in &schema.properties {
        if matches!(named, Named::WrittenOut(Some(_))) && is_untold(field) {
            continue;
        }
        if needs_fields && matches!(&**name, "apiVersion" | "kind" | "metadata") {
            continue;
        }
        // What a default fills need not be sent.
        let is_required = field.default.is_none() && required.contains(name);
        let presence = if is_required { Presence::Required } else { Presence::Optional };
        object = object.field(name.clone(), nested(field, named), presence);
    }
    if needs_fields {
        let text = || Arc::new(DeclType::string(Length::Unbounded));
        let fields = [("apiVersion", text()), ("kind", text()), ("metadata", Arc::new(object_metadata(named)))];
        for (name, decl) in fields {
            let is_required = required.iter().any(|required| &**required == name);
            object = object.field(name, decl, if is_required { Presence::Required } else { Presence::Optional });
        }
    }
    object.build()
}

/// The metadata of objects: rules see names only, and the checking of expressions all of it.
fn object_metadata(named: Named<'_>) -> DeclType {
    match named {
        Named::Untyped => {
            let text = || Arc::new(DeclType::string(Length::Unbounded));
            let names = ["name", "generateName"];
            let metadata = names
                .into_iter()
                .fold(DeclType::object(None), |metadata, name| metadata.field(name, text(), Presence::Optional));
            metadata.build()
        }
        Named::WrittenOut(around) => {
            let open = Open { index: u16::MAX, around };
            declare(metadata::schema(), Level::Part, Named::WrittenOut(Some(&open)))
        }
    }
}

/// Whether Kubernetes tells no type of a field of a built-in type: of quantities, and of what holds them.
fn is_untold(schema: &Schema) -> bool {
    schema.format.as_deref() == Some("quantity")
        || schema.items.as_ref().is_some_and(|items| is_untold(items))
        || matches!(&schema.additional, Additional::Values(values) if is_untold(values))
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
