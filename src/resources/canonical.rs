//! The form in which Go writes the objects of built-in types, with their defaults: what kube-apiserver would answer.
//!
//! Decoding into structs and encoding them again drops empty optional fields, adds empty structs and required zeros, and
//! rewrites quantities and times; defaults are set on the way, parents before children, as generated Go code does.
//! Types are checked when an object is decoded; a value of another type is left alone here.

use atoll_api::Object;
use atoll_api::quantity::Quantity;
use atoll_api::time::{format_micro_time, format_time, parse_micro_time, parse_time};
use serde_json::{Map, Value};

use super::catalog::{FieldFacts, Presence, TYPES, TypeFacts, TypeName};
use super::defaults;

/// How far an object has come. Who owns which field is decided of objects as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Read from a request: lists that are always written may be there and empty, and so may fields of features that are off.
    Sent,
    /// Made ready to be stored, without either.
    Ready,
}

/// Brings an object of a type of the catalog into the form Go writes, with defaults. Does nothing the second time.
pub(super) fn settle(type_index: u16, object: &mut Object, stage: Stage) {
    settle_struct(type_index, &mut object.0, stage);
}

/// What Go writes of a type of the catalog of which nothing is set, without defaults.
pub(super) fn blank(type_index: u16) -> Value {
    let facts = TYPES.facts(type_index);
    let fields = facts.always.iter().map(|name| {
        let field = &facts.fields[name];
        let value = match (&field.type_name, field.presence) {
            (_, Presence::Null) => Value::Null,
            (TypeName::Struct(index), _) => blank(*index),
            (other, _) => zero(other),
        };
        (name.clone(), value)
    });
    Value::Object(fields.collect())
}

fn settle_struct(index: u16, map: &mut Map<String, Value>, stage: Stage) {
    let facts = TYPES.facts(index);
    let gated = if stage == Stage::Ready { defaults::gated_fields(index) } else { &[] };
    map.retain(|name, value| {
        facts.fields.get(name).is_some_and(|field| is_kept(facts, field, value, stage))
            && !gated.contains(&name.as_str())
    });
    for name in &facts.always {
        let field = &facts.fields[name];
        if matches!((&field.type_name, field.presence), (TypeName::Struct(_), Presence::Zero))
            && !map.contains_key(name)
        {
            map.insert(name.clone(), Value::Object(Map::new()));
        }
    }
    if let Some(set_defaults) = defaults::of_type(index) {
        set_defaults(map);
    }
    for name in &facts.defaulted {
        if !map.contains_key(name)
            && let Some(default) = &facts.fields[name].default
        {
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        if let Some(field) = facts.fields.get(name) {
            settle_value(&field.type_name, value, rounding_of(facts), stage);
        }
    }
    for name in &facts.always {
        let field = &facts.fields[name];
        if !map.contains_key(name) {
            map.insert(
                name.clone(),
                if field.presence == Presence::Null { Value::Null } else { zero(&field.type_name) },
            );
        }
    }
}

/// Null is absent; optional fields without a pointer are absent when empty.
fn is_kept(facts: &TypeFacts, field: &FieldFacts, value: &Value, stage: Stage) -> bool {
    let is_json = facts.is_of_package("apiextensions");
    match (field.presence, value) {
        (_, Value::Null) => false,
        (Presence::Drop, value) => !is_empty(value),
        // Objects go through protobuf on their way to storage, where an empty list is no list; definitions go as JSON.
        (Presence::Null, Value::Array(list)) => {
            stage == Stage::Sent || is_json || !list.is_empty() || !matches!(field.type_name, TypeName::List(_))
        }
        (Presence::Null, Value::Object(map)) => !map.is_empty() || !matches!(field.type_name, TypeName::Map(_)),
        _ => true,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn zero(name: &TypeName) -> Value {
    match name {
        TypeName::String | TypeName::Bytes => Value::String(String::new()),
        TypeName::Boolean => Value::Bool(false),
        TypeName::Int32 | TypeName::Int64 | TypeName::Double | TypeName::IntOrString => Value::from(0),
        TypeName::Quantity => Value::from("0"),
        TypeName::Struct(index) => {
            let mut map = Map::new();
            settle_struct(*index, &mut map, Stage::Ready);
            Value::Object(map)
        }
        _ => Value::Null,
    }
}

/// Whether quantities in maps are rounded up to thousandths, as in every `core/v1` `ResourceList`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Milli,
    None,
}

fn rounding_of(facts: &TypeFacts) -> Rounding {
    if facts.is_of_package("resource") { Rounding::None } else { Rounding::Milli }
}

fn settle_value(name: &TypeName, value: &mut Value, rounding: Rounding, stage: Stage) {
    match (name, value) {
        (TypeName::Struct(index), Value::Object(map)) => settle_struct(*index, map, stage),
        (TypeName::List(element), Value::Array(list)) => {
            for value in list {
                settle_element(element, value, Rounding::None, stage);
            }
        }
        (TypeName::Map(element), Value::Object(map)) => {
            for value in map.values_mut() {
                settle_element(element, value, rounding, stage);
            }
        }
        (TypeName::Quantity, value) => settle_quantity(value, Rounding::None),
        (TypeName::Time, Value::String(text)) => {
            if let Ok(time) = parse_time(text) {
                *text = format_time(time);
            }
        }
        (TypeName::MicroTime, Value::String(text)) => {
            if let Ok(time) = parse_micro_time(text) {
                *text = format_micro_time(time);
            }
        }
        (TypeName::Bytes, Value::String(text)) => text.retain(|c| c != '\n' && c != '\r'),
        (TypeName::Double, value) => settle_double(value),
        (TypeName::SchemaOrBool | TypeName::SchemaOrArray | TypeName::SchemaOrStrings, value) => {
            settle_schemas(value, stage)
        }
        _ => {}
    }
}

/// An element of a list or map: null is the zero value.
fn settle_element(name: &TypeName, value: &mut Value, rounding: Rounding, stage: Stage) {
    match name {
        TypeName::Quantity => settle_quantity(value, rounding),
        TypeName::Json | TypeName::RawExtension | TypeName::FieldsV1 => {}
        _ if value.is_null() => *value = zero(name),
        _ => settle_value(name, value, rounding, stage),
    }
}

fn settle_quantity(value: &mut Value, rounding: Rounding) {
    let Ok(quantity) = Quantity::from_value(value) else { return };
    let milli = Quantity::from_milli(quantity.milli());
    let finer_than_milli = quantity != milli && quantity.milli().unsigned_abs() < i64::MAX.unsigned_abs();
    let rounded = if rounding == Rounding::Milli && finer_than_milli { milli } else { quantity };
    *value = rounded.to_string().into();
}

/// Go writes floating-point numbers below 1e21 without an exponent, so that whole ones look like integers: those of the
/// nearest float.
fn settle_double(value: &mut Value) {
    if let Value::Number(number) = value
        && let Some(double) = number.as_f64()
        && double.fract() == 0.0
        && double.abs() < 1e21
    {
        // Rust writes the shortest digits that tell the float, too.
        let digits = double.to_string();
        if let Ok(whole) = digits.parse::<i64>() {
            *value = whole.into();
        } else if let Ok(whole) = digits.parse::<u64>() {
            *value = whole.into();
        }
    }
}

/// The JSON schemas in a value that may be one, a list of them or something else.
fn settle_schemas(value: &mut Value, stage: Stage) {
    let Some(index) = TYPES.index("apiextensions.v1.JSONSchemaProps") else { return };
    match value {
        Value::Object(map) => settle_struct(index, map, stage),
        Value::Array(list) => {
            for value in list {
                if let Value::Object(map) = value {
                    settle_struct(index, map, stage);
                }
            }
        }
        _ => {}
    }
}
