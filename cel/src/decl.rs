//! The types of data, as a schema declares them: what the checker knows of a variable, how large its values may be, and
//! how JSON is read into values.
//!
//! Callers build them from their schemas; nothing here knows schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::escape::{escape, is_reserved};
use crate::limits::MAX_REQUEST_BYTES;
use crate::typing::{ObjectFields, ObjectType, Type};

/// How large an element is taken to be where nothing bounds it: that of the request without its quotes or brackets.
const MAX_UNBOUNDED: u64 = MAX_REQUEST_BYTES - 2;
/// The sizes, in JSON, of the shortest values of some types and the longest of others.
const DURATION_SIZES: (u64, u64) = (3, 32);
const DATE_SIZES: (u64, u64) = (12, 12);
const DATE_TIME_SIZES: (u64, u64) = (21, 32);

/// The declared type of a value.
#[derive(Debug, Clone)]
pub struct DeclType {
    pub(crate) shape: Shape,
    /// Whether JSON's `null` is a value.
    pub(crate) nullable: bool,
    /// The largest number of elements, characters or bytes.
    pub(crate) max_elements: u64,
    /// How many bytes the shortest value takes in JSON.
    pub(crate) min_size: u64,
}

/// How long a string may be, as far as its schema tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// The schema does not tell.
    Unbounded,
    /// `maxLength`.
    AtMost(u64),
    /// The length in bytes of the longest of the values to choose from.
    LongestChoice(u64),
}

/// How the elements of a list are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListMerge {
    /// By position.
    Atomic,
    /// They are scalars, in no order, each at most once.
    Set,
    /// By the values of these properties.
    Map(Arc<[Arc<str>]>),
}

/// Whether an object always has a field, for which the shortest object must have room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The field may be missing.
    Optional,
    /// The client must set the field.
    Required,
}

#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// Anything, typed as JSON is.
    Dyn,
    /// Anything but what macros go through; selecting from it tells nothing of its size.
    Any,
    /// An expression's type, for values that are no JSON.
    Value(Type),
    Bool,
    Int,
    Double,
    String,
    Bytes,
    Duration,
    Date,
    DateTime,
    IntOrString,
    List {
        items: Arc<DeclType>,
        merge: ListMerge,
    },
    Map {
        values: Arc<DeclType>,
        /// The largest number of characters in a key.
        max_key: u64,
    },
    Object(ObjectDecl),
    /// Data that is kept without a type; expressions cannot reach it, but comparing what holds it compares it.
    Preserved,
}

#[derive(Debug, Clone)]
pub(crate) struct ObjectDecl {
    /// The name of the type; made from where it is used if there is none.
    pub(crate) name: Option<Arc<str>>,
    /// By the name of the property.
    pub(crate) fields: BTreeMap<Arc<str>, Arc<DeclType>>,
    /// The properties by the identifiers that name them in expressions.
    idents: BTreeMap<Arc<str>, Arc<str>>,
}

/// Makes the type of an object, field by field.
#[derive(Debug, Clone)]
pub struct ObjectBuilder {
    object: ObjectDecl,
    min_size: u64,
}

// === impl DeclType ===

impl DeclType {
    fn new(shape: Shape, min_size: u64, max_elements: u64) -> Self {
        Self { shape, nullable: false, max_elements, min_size }
    }

    /// Anything; values are typed as JSON is.
    pub fn dynamic() -> Self {
        Self::new(Shape::Dyn, 1, 0)
    }

    /// Anything that is a value by itself: macros cannot go through it.
    pub fn any() -> Self {
        Self::new(Shape::Any, 1, 0)
    }

    /// Data of no type that is kept all the same; expressions cannot name it.
    pub fn preserved() -> Self {
        Self::new(Shape::Preserved, 1, 0)
    }

    /// What an expression yields, for variables that are themselves expressions.
    pub fn of(value: Type) -> Self {
        Self::new(Shape::Value(value), 1, 0)
    }

    /// `true` or `false`.
    pub fn bool() -> Self {
        Self::new(Shape::Bool, 4, 0)
    }

    /// A whole number.
    pub fn int() -> Self {
        Self::new(Shape::Int, 1, 0)
    }

    /// A number.
    pub fn double() -> Self {
        Self::new(Shape::Double, 1, 0)
    }

    /// Text.
    pub fn string(length: Length) -> Self {
        let max = match length {
            Length::Unbounded => MAX_UNBOUNDED,
            // A code point may take four bytes.
            Length::AtMost(max) => max.saturating_mul(4),
            Length::LongestChoice(max) => max,
        };
        Self::new(Shape::String, 2, max)
    }

    /// Bytes, in JSON as base64.
    pub fn bytes(max_length: Option<u64>) -> Self {
        Self::new(Shape::Bytes, 2, max_length.unwrap_or(MAX_UNBOUNDED))
    }

    /// A span of time, in JSON a string such as `1h30m`.
    pub fn duration() -> Self {
        Self::new(Shape::Duration, DURATION_SIZES.0, DURATION_SIZES.1)
    }

    /// A day, which expressions see as a point in time.
    pub fn date() -> Self {
        Self::new(Shape::Date, DATE_SIZES.0, DATE_SIZES.1)
    }

    /// A point in time, in JSON as RFC 3339 writes it.
    pub fn date_time() -> Self {
        Self::new(Shape::DateTime, DATE_TIME_SIZES.0, DATE_TIME_SIZES.1)
    }

    /// A whole number or a string.
    pub fn int_or_string(max_length: Option<u64>) -> Self {
        let max = max_length.map_or(MAX_UNBOUNDED, |max| max.saturating_mul(4));
        Self::new(Shape::IntOrString, 1, max)
    }

    /// A list.
    pub fn list(items: Arc<DeclType>, max_items: Option<u64>, merge: ListMerge) -> Self {
        let max = max_items.unwrap_or(MAX_UNBOUNDED / (items.min_size + 1));
        Self::new(Shape::List { items, merge }, 2, max)
    }

    /// A map from strings.
    pub fn map(values: Arc<DeclType>, max_properties: Option<u64>) -> Self {
        // A key needs at least its quotes, and each entry a colon and a comma.
        let max = max_properties.unwrap_or(MAX_UNBOUNDED / (values.min_size + 6));
        Self::new(Shape::Map { values, max_key: 0 }, 2, max)
    }

    /// The same type with values of at most so many elements, characters or bytes.
    #[must_use]
    pub fn at_most(mut self, max_elements: u64) -> Self {
        self.max_elements = max_elements;
        self
    }

    /// The same map with keys of at most so many characters. Those of schemas count as nothing, as in Kubernetes.
    #[must_use]
    pub fn with_keys_up_to(mut self, length: u64) -> Self {
        if let Shape::Map { max_key, .. } = &mut self.shape {
            *max_key = length;
        }
        self
    }

    /// An object; without a name, faults name its type after where it is used.
    pub fn object(name: Option<&str>) -> ObjectBuilder {
        let object = ObjectDecl { name: name.map(Arc::from), fields: BTreeMap::new(), idents: BTreeMap::new() };
        ObjectBuilder { object, min_size: 2 }
    }

    /// The same type with `null` as a further value.
    #[must_use]
    pub fn or_null(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// How often values of this type can stand in one request, at most.
    pub fn max_cardinality(&self) -> u64 {
        MAX_REQUEST_BYTES / (self.min_size + 1)
    }

    /// Whether expressions can reach values of this type.
    pub fn is_exposed(&self) -> bool {
        match &self.shape {
            Shape::Preserved => false,
            Shape::List { items, .. } => items.is_exposed(),
            Shape::Map { values, .. } => values.is_exposed(),
            _ => true,
        }
    }

    /// The type of the elements of a list, or of the values of a map.
    pub fn element(&self) -> Option<&Arc<DeclType>> {
        match &self.shape {
            Shape::List { items, .. } => Some(items),
            Shape::Map { values, .. } => Some(values),
            _ => None,
        }
    }

    /// The type of a property of an object.
    pub fn property(&self, name: &str) -> Option<&Arc<DeclType>> {
        match &self.shape {
            Shape::Object(object) => object.fields.get(name),
            _ => None,
        }
    }
}

/// The type that the checker sees; `path` names the types of objects that have no name of their own.
pub(crate) fn checked(decl: &Arc<DeclType>, path: &str) -> Type {
    match &decl.shape {
        Shape::Dyn | Shape::IntOrString | Shape::Preserved => Type::Dyn,
        Shape::Any => Type::Any,
        Shape::Value(value) => value.clone(),
        Shape::Bool => Type::Bool,
        Shape::Int => Type::Int,
        Shape::Double => Type::Double,
        Shape::String => Type::String,
        Shape::Bytes => Type::Bytes,
        Shape::Duration => Type::Duration,
        Shape::Date | Shape::DateTime => Type::Timestamp,
        Shape::List { items, .. } => Type::list(checked(items, &format!("{path}.@idx"))),
        Shape::Map { values, .. } => Type::map(Type::String, checked(values, &format!("{path}.@elem"))),
        Shape::Object(object) => {
            let name = object.name.clone().unwrap_or_else(|| path.into());
            Type::Object(ObjectType { name, fields: ObjectFields::Declared(decl.clone()) })
        }
    }
}

// === impl ObjectDecl ===

impl ObjectDecl {
    /// The type of the field that an identifier names, if expressions can reach it.
    pub(crate) fn field(&self, ident: &str) -> Option<&Arc<DeclType>> {
        self.fields.get(self.idents.get(ident)?)
    }

    /// The same for expressions, which may name a property by a reserved word where it can only be a field.
    pub(crate) fn field_or_keyword(&self, ident: &str) -> Option<&Arc<DeclType>> {
        self.field(ident).or_else(|| self.fields.get(ident).filter(|decl| is_reserved(ident) && decl.is_exposed()))
    }

    /// The identifier that names a property.
    pub(crate) fn ident_of<'p>(property: &'p str) -> std::borrow::Cow<'p, str> {
        escape(property).unwrap_or(std::borrow::Cow::Borrowed(property))
    }
}

// === impl ObjectBuilder ===

impl ObjectBuilder {
    /// Adds a field; one that a default fills counts as optional.
    #[must_use]
    pub fn field(mut self, name: impl Into<Arc<str>>, decl: Arc<DeclType>, presence: Presence) -> Self {
        let name = name.into();
        if decl.is_exposed() {
            if let Some(ident) = escape(&name) {
                self.object.idents.insert(ident.as_ref().into(), name.clone());
            }
            if presence == Presence::Required {
                self.min_size = self.min_size.saturating_add(name.len() as u64 + decl.min_size + 4);
            }
        }
        self.object.fields.insert(name, decl);
        self
    }

    /// The finished type.
    pub fn build(self) -> DeclType {
        DeclType::new(Shape::Object(self.object), self.min_size, 0)
    }
}
