//! How server-side apply sees a place in an object: as a scalar, a list or a map, owned whole or piece by piece.
//!
//! The rules by which a schema says so are those that Kubernetes uses to make structured-merge-diff types out of OpenAPI.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::schema::{Additional, Link, ListType, MapType, Schema, SchemaType};

/// What is known about the value at one place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    /// A schema describes it.
    Known {
        schema: &'a Schema,
        role: Role,
        /// A schema above keeps unknown fields, which holds for everything below.
        open: bool,
    },
    /// Nothing is known: each entry of a map has its own owner, lists are owned whole.
    Deduced,
    /// Nothing is known, and it is part of something that is owned whole.
    Opaque,
}

/// Whether a schema describes an object, one that is a field of another, the object's metadata, or anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Object,
    Embedded,
    Metadata,
    Other,
}

/// The form a value has or should have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form<'a> {
    Scalar(Scalar),
    List(ListForm<'a>),
    Map(MapForm),
}

/// The scalars that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Number,
    Text,
    Bool,
    Any,
}

/// How the elements of a list are owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListForm<'a> {
    Whole,
    /// By value.
    Set,
    /// By the values of these keys.
    Keyed(&'a [Arc<str>]),
}

/// How the entries of a map are owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapForm {
    Whole,
    Granular,
}

/// A field of a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) shape: Shape<'a>,
    /// The schema names the field. Such a field is owned through what is in it; an entry of a map is also owned by itself.
    pub(super) named: bool,
}

// === impl Shape ===

impl<'a> Shape<'a> {
    /// The shape of whole objects with this schema.
    pub(super) fn of_object(schema: &'a Schema) -> Self {
        Self::Known { schema, role: Role::Object, open: schema.preserve_unknown }
    }

    /// The form that fits the value; if none does, or there is no value or a null, the form that comes first.
    pub(super) fn form(self, value: Option<&Value>) -> Form<'a> {
        let (scalar, list, map) = (self.scalar(), self.list(), self.map());
        let fitting = match value {
            None | Some(Value::Null) => None,
            Some(Value::Array(_)) => list.map(Form::List),
            Some(Value::Object(_)) => map.map(Form::Map),
            Some(_) => scalar.map(Form::Scalar),
        };
        fitting
            .or(map.map(Form::Map))
            .or(scalar.map(Form::Scalar))
            .or(list.map(Form::List))
            .unwrap_or(Form::Scalar(Scalar::Any))
    }

    /// The field `name` of a map; none if the schema does not allow it.
    pub(super) fn field(self, name: &str) -> Option<Field<'a>> {
        let unnamed = |shape| Some(Field { shape, named: false });
        let (schema, role, open) = match self {
            Self::Known { schema, role, open } => (schema, role, open),
            Self::Deduced => return unnamed(Self::Deduced),
            Self::Opaque => return unnamed(Self::Opaque),
        };
        if matches!(role, Role::Object | Role::Embedded) {
            match name {
                "metadata" => {
                    let role = if role == Role::Object { Role::Metadata } else { Role::Other };
                    let shape = Self::Known { schema: &OBJECT_META, role, open: false };
                    return Some(Field { shape, named: true });
                }
                "apiVersion" | "kind" => return Some(Field { shape: Self::plain(&TEXT), named: true }),
                _ => {}
            }
        }
        if let Some(link) = schema.properties.get(name) {
            return Some(Field { shape: Self::linked(link, open), named: true });
        }
        match &schema.additional {
            Additional::Values(link) => unnamed(Self::linked(link, open)),
            Additional::Anything => unnamed(Self::Deduced),
            Additional::Nothing if open => unnamed(Self::Deduced),
            Additional::Nothing if schema.properties.is_empty() && role == Role::Other => unnamed(Self::Deduced),
            Additional::Nothing => None,
        }
    }

    /// The elements of a list.
    pub(super) fn items(self) -> Self {
        match self {
            Self::Known { schema: Schema { items: Some(link), .. }, open, .. } => Self::linked(link, open),
            _ => Self::Opaque,
        }
    }

    /// Whether this is the metadata of the object itself, where `managedFields` is passed over.
    pub(super) fn is_metadata(self) -> bool {
        matches!(self, Self::Known { role: Role::Metadata, .. })
    }

    /// Whether the schema says enough about the value for a change of the schema to concern what was recorded of it.
    pub(super) fn is_described(self) -> bool {
        let Self::Known { schema, role, .. } = self else { return false };
        let list_or_scalar = !matches!(schema.kind, None | Some(SchemaType::Object));
        let fields = !schema.properties.is_empty() || matches!(schema.additional, Additional::Values(_));
        role != Role::Other || list_or_scalar || fields
    }

    fn plain(schema: &'a Schema) -> Self {
        Self::Known { schema, role: Role::Other, open: false }
    }

    fn linked(link: &'a Link, open: bool) -> Self {
        let schema: &'a Schema = link;
        let role = if schema.embedded_resource { Role::Embedded } else { Role::Other };
        // A named type is described once for all places that refer to it, so it inherits nothing.
        let inherited = open && matches!(link, Link::Owned(_) | Link::Made(_));
        Self::Known { schema, role, open: inherited || schema.preserve_unknown }
    }

    /// Whether it is a value that is only ever seen as a whole: a raw value in a built-in type.
    fn is_raw(self) -> bool {
        match self {
            Self::Known { schema, .. } => schema.kind.is_none() && matches!(schema.additional, Additional::Anything),
            Self::Deduced => false,
            Self::Opaque => true,
        }
    }

    fn scalar(self) -> Option<Scalar> {
        let Self::Known { schema, .. } = self else { return Some(Scalar::Any) };
        if schema.int_or_string {
            return Some(Scalar::Any);
        }
        match schema.kind {
            Some(SchemaType::String) => match schema.format.as_deref() {
                None | Some("" | "byte") => Some(Scalar::Text),
                Some(_) => Some(Scalar::Any),
            },
            Some(SchemaType::Integer | SchemaType::Number) => Some(Scalar::Number),
            Some(SchemaType::Boolean) => Some(Scalar::Bool),
            Some(SchemaType::Object | SchemaType::Array) => None,
            None => Some(Scalar::Any),
        }
    }

    fn list(self) -> Option<ListForm<'a>> {
        let Self::Known { schema, .. } = self else { return Some(ListForm::Whole) };
        match schema.kind {
            None if schema.int_or_string || schema.format.is_some() => None,
            None | Some(SchemaType::Array) => Some(match (&schema.list_type, &schema.patch.merge_key) {
                (Some(ListType::Atomic), _) => ListForm::Whole,
                (Some(ListType::Set), _) => ListForm::Set,
                (Some(ListType::Map(keys)), _) => ListForm::Keyed(keys),
                (None, Some(key)) if schema.patch.merge => ListForm::Keyed(std::slice::from_ref(key)),
                (None, None) if schema.patch.merge => ListForm::Set,
                (None, _) => ListForm::Whole,
            }),
            Some(_) => None,
        }
    }

    fn map(self) -> Option<MapForm> {
        let schema = match self {
            _ if self.is_raw() => return Some(MapForm::Whole),
            Self::Known { schema, .. } => schema,
            _ => return Some(MapForm::Granular),
        };
        match schema.kind {
            None if schema.int_or_string || schema.format.is_some() => None,
            None | Some(SchemaType::Object) if schema.map_type == Some(MapType::Atomic) => Some(MapForm::Whole),
            None | Some(SchemaType::Object) => Some(MapForm::Granular),
            Some(_) => None,
        }
    }
}

static TEXT: LazyLock<Schema> = LazyLock::new(|| of_kind(SchemaType::String));

/// The metadata of every object, whatever the schema of its kind says about it.
static OBJECT_META: LazyLock<Schema> = LazyLock::new(object_meta);

fn object_meta() -> Schema {
    let text = || of_kind(SchemaType::String);
    let number = || of_kind(SchemaType::Integer);
    let time = || Schema { format: Some("date-time".into()), ..text() };
    let texts = || Schema { additional: Additional::Values(text().into()), ..of_kind(SchemaType::Object) };
    let list = |items: Schema, list_type| Schema {
        items: Some(items.into()),
        list_type: Some(list_type),
        ..of_kind(SchemaType::Array)
    };
    let boolean = || of_kind(SchemaType::Boolean);
    let owner = Schema {
        map_type: Some(MapType::Atomic),
        ..with_properties([
            ("apiVersion", text()),
            ("blockOwnerDeletion", boolean()),
            ("controller", boolean()),
            ("kind", text()),
            ("name", text()),
            ("uid", text()),
        ])
    };
    with_properties([
        ("annotations", texts()),
        ("creationTimestamp", time()),
        ("deletionGracePeriodSeconds", number()),
        ("deletionTimestamp", time()),
        ("finalizers", list(text(), ListType::Set)),
        ("generateName", text()),
        ("generation", number()),
        ("labels", texts()),
        ("managedFields", list(Schema::default(), ListType::Atomic)),
        ("name", text()),
        ("namespace", text()),
        ("ownerReferences", list(owner, ListType::Map(vec!["uid".into()]))),
        ("resourceVersion", text()),
        ("selfLink", text()),
        ("uid", text()),
    ])
}

fn of_kind(kind: SchemaType) -> Schema {
    Schema { kind: Some(kind), ..Schema::default() }
}

fn with_properties<const N: usize>(properties: [(&str, Schema); N]) -> Schema {
    let properties: BTreeMap<Arc<str>, Link> =
        properties.into_iter().map(|(name, schema)| (name.into(), schema.into())).collect();
    Schema { properties, ..of_kind(SchemaType::Object) }
}
