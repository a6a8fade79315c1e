//! JSON as values, with or without a declared type, and values as JSON.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::{Entries, Items, List, Map, Text, Timestamp, Value, time};
use crate::decl::{DeclType, Shape};
use crate::fault::{Eval, EvalError};

/// The value that a piece of JSON is, as its type tells.
pub(crate) fn read<'a>(json: &'a Json, decl: Option<&'a DeclType>) -> Eval<Value<'a>> {
    let Some(decl) = decl else { return Ok(untyped(json)) };
    Ok(match (&decl.shape, json) {
        (Shape::Preserved, json) => Value::Preserved(json),
        (Shape::Dyn | Shape::Any | Shape::Value(_), json) => untyped(json),
        (_, Json::Null) if decl.nullable => Value::Null,
        (_, Json::Null) => return Err(EvalError::new("invalid data, got null for schema with nullable=false")),
        (Shape::String, Json::String(text)) => Value::text(text),
        (Shape::Int, Json::Number(number)) => match whole(number) {
            Some(number) => Value::Int(number),
            None => return Err(EvalError::new("invalid data, expected int, got float64")),
        },
        (Shape::Double, Json::Number(number)) => Value::Double(number.as_f64().unwrap_or_default()),
        (Shape::Bool, Json::Bool(truth)) => Value::Bool(*truth),
        (Shape::List { .. }, Json::Array(items)) => Value::List(List(Items::Json { items, decl: Some(decl) })),
        (Shape::Map { .. } | Shape::Object(_), Json::Object(fields)) => {
            Value::Map(Map(Entries::Json { fields, decl: Some(decl) }))
        }
        (Shape::IntOrString, Json::String(text)) => Value::text(text),
        (Shape::IntOrString, Json::Number(number)) if whole(number).is_some() => untyped(json),
        (Shape::Bytes | Shape::Duration | Shape::Date | Shape::DateTime, Json::String(text)) => {
            formatted(text, &decl.shape)?
        }
        (shape, json) => return Err(EvalError::new(mismatch(shape, json))),
    })
}

/// A string that stands for something else.
fn formatted<'a>(text: &str, shape: &Shape) -> Eval<Value<'a>> {
    let (value, what) = match shape {
        Shape::Bytes => (STANDARD.decode(text).ok().map(|bytes| Value::Bytes(bytes.into())), "byte formatted string"),
        Shape::Duration => (time::parse_loose_duration(text).map(Value::Duration), "duration"),
        Shape::Date => (Timestamp::parse_date(text).map(Value::Timestamp), "date formatted string"),
        _ => (Timestamp::parse_date_time(text).map(Value::Timestamp), "date-time formatted string"),
    };
    value.ok_or_else(|| EvalError::new(format!("Invalid {what} {text}")))
}

fn mismatch(shape: &Shape, json: &Json) -> String {
    let found = match json {
        Json::Null => "nil",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float64",
        Json::Number(_) => "int64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    };
    match shape {
        Shape::List { .. } => "invalid data, expected an array for the provided schema with type=array".to_owned(),
        Shape::Map { .. } | Shape::Object(_) => {
            "invalid data, expected a map for the provided schema with type=object".to_owned()
        }
        Shape::IntOrString => "invalid data, expected XIntOrString value to be either a string or integer".to_owned(),
        Shape::Int => format!("invalid data, expected int, got {found}"),
        Shape::Double => format!("invalid data, expected float, got {found}"),
        Shape::Bool => format!("invalid data, expected bool, got {found}"),
        _ => format!("invalid data, expected string, got {found}"),
    }
}

/// A number without a fraction, however it is written.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let number = number.as_f64()?;
        (number.fract() == 0.0 && number.abs() < i64::MAX as f64).then_some(number as i64)
    })
}

/// JSON as it is typed itself.
pub(super) fn untyped(json: &Json) -> Value<'_> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Double(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::text(text),
        Json::Array(items) => Value::List(List(Items::Json { items, decl: None })),
        Json::Object(fields) => Value::Map(Map(Entries::Json { fields, decl: None })),
    }
}

/// How many values the JSON of a value may have; a value may hold the same part many times.
const MAX_JSON_VALUES: usize = 1_000_000;

/// A value as JSON; an error for what JSON has no form for.
pub(super) fn write(value: &Value<'_>) -> Eval<Json> {
    Writer { left: MAX_JSON_VALUES }.write(value)
}

struct Writer {
    left: usize,
}

impl Writer {
    fn write(&mut self, value: &Value<'_>) -> Eval<Json> {
        self.take(1)?;
        Ok(match value {
            Value::Null => Json::Null,
            Value::Bool(truth) => Json::Bool(*truth),
            Value::Int(number) => Json::from(*number),
            Value::Uint(number) => Json::from(*number),
            Value::Double(number) => Json::from(*number),
            Value::String(text) => {
                self.take(text_weight(text))?;
                Json::String(text.to_string())
            }
            Value::Bytes(bytes) => {
                self.take(bytes.len() / 16)?;
                Json::String(STANDARD.encode(bytes))
            }
            Value::Duration(span) => Json::String(time::show_duration(*span)),
            Value::Timestamp(time) => Json::String(time.show()),
            Value::Optional(Some(value)) => self.write(value)?,
            Value::Preserved(json) => self.copy(json)?,
            Value::Map(Map(Entries::Json { fields, .. })) => {
                self.take(fields.iter().map(|(name, value)| text_weight(name) + weight(value)).sum())?;
                Json::Object((*fields).clone())
            }
            Value::List(List(Items::Json { items, .. })) => {
                self.take(items.iter().map(weight).sum())?;
                Json::Array(items.to_vec())
            }
            Value::List(list) => Json::Array(list.iter().map(|element| self.write(&element?)).collect::<Eval<_>>()?),
            Value::Map(map) => self.write_map(map)?,
            Value::Object(object) => {
                let fields = object.fields.iter().map(|(name, value)| Ok((name.to_string(), self.write(value)?)));
                Json::Object(fields.collect::<Eval<_>>()?)
            }
            Value::Library(library) => match library.to_text() {
                Some(text) => Json::String(text),
                None => return Err(EvalError::new(format!("cannot convert {} to JSON", value.type_name()))),
            },
            Value::Optional(None) | Value::Type(_) | Value::Authorization(_) => {
                return Err(EvalError::new(format!("cannot convert {} to JSON", value.type_name())));
            }
        })
    }

    fn write_map(&mut self, map: &Map<'_>) -> Eval<Json> {
        let mut object = serde_json::Map::new();
        for key in map.keys() {
            let Value::String(name) = &key else {
                return Err(EvalError::new(format!("map key {key} is not a string")));
            };
            let entry = map.find(&key)?.ok_or_else(|| EvalError::no_key(name))?;
            object.insert(name.to_string(), self.write(&entry)?);
        }
        Ok(Json::Object(object))
    }

    fn copy(&mut self, json: &Json) -> Eval<Json> {
        self.take(weight(json))?;
        Ok(json.clone())
    }

    fn take(&mut self, weight: usize) -> Eval<()> {
        let left = self.left.checked_sub(weight);
        self.left = left.ok_or_else(|| EvalError::new("value is too large to be written as JSON"))?;
        Ok(())
    }
}

/// How much a text counts, compared to values of a fixed size.
fn text_weight(text: &str) -> usize {
    1 + text.len() / 32
}

fn weight(json: &Json) -> usize {
    match json {
        Json::String(text) => text_weight(text),
        Json::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Json::Object(fields) => 1 + fields.iter().map(|(name, value)| text_weight(name) + weight(value)).sum::<usize>(),
        _ => 1,
    }
}

impl<'a> Value<'a> {
    /// The bytes of a value that is some.
    pub fn as_bytes(&self) -> Option<&Arc<[u8]>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Text of the value's own, where it is text.
    pub fn into_text(self) -> Option<Text<'a>> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}
