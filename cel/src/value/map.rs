//! Maps: of JSON, seen through a declared type or as it is, or of computed values.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

use super::{Text, Value, read};
use crate::decl::{DeclType, ObjectDecl, Shape};
use crate::escape::unescape;
use crate::fault::{Eval, EvalError};

/// A map, or an object with fields.
#[derive(Debug, Clone)]
pub struct Map<'a>(pub(crate) Entries<'a>);

#[derive(Debug, Clone)]
pub(crate) enum Entries<'a> {
    Json { fields: &'a JsonMap<String, Json>, decl: Option<&'a DeclType> },
    Values(Arc<ValueMap<'a>>),
}

pub(crate) type ValueMap<'a> = BTreeMap<Key<'a>, Value<'a>>;

/// The key of a computed map.
#[derive(Debug, Clone)]
pub(crate) enum Key<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
}

// === impl Map ===

impl<'a> Map<'a> {
    pub(crate) fn new(values: ValueMap<'a>) -> Self {
        Self(Entries::Values(Arc::new(values)))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        match &self.0 {
            Entries::Json { fields, .. } => fields.len(),
            Entries::Values(values) => values.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the map is seen through a declared type.
    pub(crate) fn is_typed(&self) -> bool {
        matches!(self.0, Entries::Json { decl: Some(_), .. })
    }

    /// The value of the entry with this key.
    pub fn find(&self, key: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
        match &self.0 {
            Entries::Json { fields, decl } => match key {
                Value::String(name) => find_json(fields, *decl, name),
                // Only a declared type minds keys of other types (valuesunstructured.go, 1.36).
                _ if decl.is_some() => Err(EvalError::no_overload()),
                _ => Ok(None),
            },
            Entries::Values(values) => Ok(find_value(values, key)),
        }
    }

    /// The value of the entry with this name, as an expression writes it.
    pub fn field(&self, name: &'a str) -> Result<Option<Value<'a>>, EvalError> {
        match &self.0 {
            Entries::Json { fields, decl } => find_json(fields, *decl, name),
            Entries::Values(_) => self.find(&Value::text(name)),
        }
    }

    /// Any entry, if there is one.
    pub(crate) fn first(&self) -> Option<(Value<'a>, Eval<Value<'a>>)> {
        let key = match &self.0 {
            Entries::Values(values) => Value::from(values.keys().next()?.clone()),
            Entries::Json { decl: Some(_), .. } => self.keys().into_iter().next()?,
            Entries::Json { fields, decl: None } => Value::text(fields.keys().next()?),
        };
        let value = self.find(&key).and_then(|value| value.ok_or_else(|| EvalError::no_key(&key)));
        Some((key, value))
    }

    /// The keys that expressions can see.
    pub fn keys(&self) -> Vec<Value<'a>> {
        match &self.0 {
            Entries::Json { fields, decl } => match decl.map(|decl| &decl.shape) {
                Some(Shape::Object(object)) => fields
                    .keys()
                    .filter(|name| object.fields.contains_key(name.as_str()))
                    .map(|name| match ObjectDecl::ident_of(name) {
                        Cow::Borrowed(name) => Value::text(name),
                        Cow::Owned(name) => Value::owned(name),
                    })
                    .collect(),
                _ => fields.keys().map(|name| Value::text(name)).collect(),
            },
            Entries::Values(values) => values.keys().map(|key| key.clone().into()).collect(),
        }
    }
}

fn find_json<'a>(fields: &'a JsonMap<String, Json>, decl: Option<&'a DeclType>, name: &str) -> Eval<Option<Value<'a>>> {
    let Some(decl) = decl else { return fields.get(name).map(|value| read(value, None)).transpose() };
    match &decl.shape {
        Shape::Object(object) => {
            let Some(property) = unescape(name) else { return Ok(None) };
            // A field that is null counts as missing.
            let Some(value) = fields.get(property.as_ref()).filter(|value| !value.is_null()) else { return Ok(None) };
            object.fields.get(property.as_ref()).map(|decl| read(value, Some(decl))).transpose()
        }
        Shape::Map { values, .. } => fields.get(name).map(|value| read(value, Some(values))).transpose(),
        _ => fields.get(name).map(|value| read(value, None)).transpose(),
    }
}

/// Numbers of different types are the same key if they are the same number.
pub(crate) fn find_value<'a>(values: &ValueMap<'a>, key: &Value<'a>) -> Option<Value<'a>> {
    let exact = Key::try_from(key.clone()).ok()?;
    if let Some(value) = values.get(&exact) {
        return Some(value.clone());
    }
    let get = |key: Option<Key<'a>>| values.get(&key?).cloned();
    match exact {
        Key::Int(number) => get(u64::try_from(number).ok().map(Key::Uint)),
        Key::Uint(number) => get(i64::try_from(number).ok().map(Key::Int)),
        Key::Double(number) => {
            let int = (number as i64) as f64 == number;
            let uint = (number as u64) as f64 == number;
            get(int.then_some(Key::Int(number as i64))).or_else(|| get(uint.then_some(Key::Uint(number as u64))))
        }
        _ => None,
    }
}

// === impl Key ===

impl<'a> TryFrom<Value<'a>> for Key<'a> {
    type Error = EvalError;

    fn try_from(value: Value<'a>) -> Eval<Self> {
        Ok(match value {
            Value::Bool(value) => Self::Bool(value),
            Value::Int(value) => Self::Int(value),
            Value::Uint(value) => Self::Uint(value),
            Value::Double(value) => Self::Double(value),
            Value::String(text) => Self::String(text),
            other => return Err(EvalError::new(format!("unsupported key type: {}", other.type_name()))),
        })
    }
}

impl<'a> From<Key<'a>> for Value<'a> {
    fn from(key: Key<'a>) -> Self {
        match key {
            Key::Bool(value) => Self::Bool(value),
            Key::Int(value) => Self::Int(value),
            Key::Uint(value) => Self::Uint(value),
            Key::Double(value) => Self::Double(value),
            Key::String(text) => Self::String(text),
        }
    }
}

impl Key<'_> {
    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Int(_) => 1,
            Self::Uint(_) => 2,
            Self::Double(_) => 3,
            Self::String(_) => 4,
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Uint(a), Self::Uint(b)) => a.cmp(b),
            (Self::Double(a), Self::Double(b)) => a.total_cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key<'_> {}
