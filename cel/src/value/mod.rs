//! Values: JSON as it lies, seen through its declared type, and what expressions make of it.
//!
//! JSON is never converted as a whole; a value borrows the part of the tree it stands for. Functions are in `library`.

mod arith;
mod convert;
mod equal;
mod float;
mod json;
mod list;
mod map;
mod order;
mod show;
mod text;
pub(crate) mod time;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::ast::Literal;
use crate::decl::DeclType;
use crate::fault::EvalError;
use crate::library::{Authorization, LibraryValue};
use crate::typing::Type;

pub(crate) use arith::{add, divide, modulo, multiply, negate, subtract, unknown_to};
pub(crate) use convert::{Conversion, convert};
pub(crate) use equal::equal;
pub(crate) use json::read;
pub(crate) use list::Items;
pub use list::List;
pub use map::Map;
pub(crate) use map::{Entries, Key, ValueMap, find_value};
pub(crate) use order::compare;
pub use text::Text;
pub use time::Timestamp;

/// A value of an expression.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without sign.
    Uint(u64),
    /// A number.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A point in time.
    Timestamp(Timestamp),
    /// A list.
    List(List<'a>),
    /// A map or an object with fields.
    Map(Map<'a>),
    /// A value that may be missing.
    Optional(Option<Arc<Value<'a>>>),
    /// A type, by its name.
    Type(Text<'a>),
    /// A value of one of Kubernetes' libraries.
    Library(Arc<LibraryValue>),
    /// A step of an authorization check.
    Authorization(Arc<Authorization<'a>>),
    /// An object that a mutating policy makes.
    Object(Arc<ObjectValue<'a>>),
    /// Data that is kept without a type; it can only be compared.
    Preserved(&'a Json),
}

/// An object made by an expression such as `Object{spec: Object.spec{replicas: 1}}`.
#[derive(Debug, Clone)]
pub struct ObjectValue<'a> {
    /// The name of its type: `Object`, `Object.spec`, `JSONPatch`.
    pub type_name: Arc<str>,
    /// The fields that are set.
    pub fields: std::collections::BTreeMap<Arc<str>, Value<'a>>,
}

// === impl Value ===

impl<'a> Value<'a> {
    /// Text that lives as long as the data.
    pub fn text(text: &'a str) -> Self {
        Self::String(Text::from(text))
    }

    /// Text of its own.
    pub fn owned(text: impl Into<Arc<str>>) -> Self {
        Self::String(Text::owned(text))
    }

    /// The value of a constant.
    pub(crate) fn of_literal(literal: &Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Int(value) => Self::Int(*value),
            Literal::Uint(value) => Self::Uint(*value),
            Literal::Double(value) => Self::Double(*value),
            Literal::String(text) => Self::owned(text.clone()),
            Literal::Bytes(bytes) => Self::Bytes(bytes.clone()),
        }
    }

    /// The same value, with text that is borrowed.
    pub(crate) fn shared(&'a self) -> Value<'a> {
        match self {
            Self::String(text) => Self::text(text),
            other => other.clone(),
        }
    }

    pub(crate) fn list(values: Vec<Value<'a>>) -> Self {
        Self::List(List::new(values))
    }

    pub(crate) fn strings(texts: impl IntoIterator<Item = String>) -> Self {
        Self::list(texts.into_iter().map(Self::owned).collect())
    }

    /// A value that is there.
    pub fn some(value: Value<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// The value of a JSON tree without a declared type.
    pub fn untyped(json: &'a Json) -> Self {
        json::untyped(json)
    }

    /// The value of a JSON tree as its declared type sees it.
    pub fn typed(json: &'a Json, decl: &'a DeclType) -> Result<Self, EvalError> {
        json::read(json, Some(decl))
    }

    /// The text, if the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if the value is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The name of the value's type.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => Type::Null.name(),
            Self::Bool(_) => Type::Bool.name(),
            Self::Int(_) => Type::Int.name(),
            Self::Uint(_) => Type::Uint.name(),
            Self::Double(_) => Type::Double.name(),
            Self::String(_) => Type::String.name(),
            Self::Bytes(_) => Type::Bytes.name(),
            Self::Duration(_) => Type::Duration.name(),
            Self::Timestamp(_) => Type::Timestamp.name(),
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Library(value) => value.type_of().name(),
            Self::Authorization(value) => value.type_of().name(),
            Self::Object(object) => &object.type_name,
            Self::Preserved(_) => "unknown",
        }
    }

    /// The value's type as a value.
    pub(crate) fn type_value(&self) -> Value<'a> {
        Value::Type(match self {
            Self::Object(object) => Text::owned(object.type_name.clone()),
            _ => Text::owned(self.type_name()),
        })
    }

    /// The number of characters, bytes or elements, for values that have any.
    pub(crate) fn size(&self) -> Option<usize> {
        Some(match self {
            Self::String(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            _ => return None,
        })
    }

    /// Whether the value is what its type begins with: zero, empty, false.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Double(value) => *value == 0.0,
            Self::String(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Duration(value) => *value == 0,
            Self::Timestamp(value) => value.is_zero(),
            // What is read from JSON through a declared type has no zero value (valuesunstructured.go, 1.36).
            Self::List(list) => list.is_empty() && !list.is_typed(),
            Self::Map(map) => map.is_empty() && !map.is_typed(),
            Self::Object(object) => object.fields.is_empty(),
            _ => false,
        }
    }

    /// The value as JSON, for patches and the like.
    pub fn to_json(&self) -> Result<Json, EvalError> {
        json::write(self)
    }
}
