//! Reading JSON as Go's code reads structs: what is absent, or of another type, is the zero value.

use atoll_api::Object;
use atoll_api::quantity::Quantity;
use serde_json::{Map, Value};

const NULL: Value = Value::Null;

/// A top-level field of an object, null if absent; fields below are reached by indexing.
pub(super) fn field<'a>(object: &'a Object, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&NULL)
}

/// A field of a map, null if absent.
pub(super) fn entry<'a>(map: &'a Map<String, Value>, name: &str) -> &'a Value {
    map.get(name).unwrap_or(&NULL)
}

/// A string, empty if there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An integer, 0 if there is none.
pub(super) fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// A boolean, false if there is none.
pub(super) fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

/// A list, empty if there is none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The strings of a list.
pub(super) fn strings(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

/// The entries of a map, none if there is no map.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// The number of entries of a map or list.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    }
}

/// A quantity, zero if there is none or it is malformed (which decoding refuses).
pub(super) fn quantity(value: &Value) -> Quantity {
    Quantity::from_value(value).unwrap_or(Quantity::ZERO)
}

/// Whether a value is there and is not null.
pub(super) fn is_set(value: &Value) -> bool {
    !value.is_null()
}

/// An integer or a string, as Go prints an `IntOrString`.
pub(super) fn int_or_string(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "0".to_owned(),
        other => other.to_string(),
    }
}

/// The first condition of a type in a list of conditions.
pub(super) fn condition<'a>(conditions: &'a Value, kind: &str) -> Option<&'a Value> {
    list(conditions).iter().find(|condition| condition["type"] == kind)
}

/// Whether a condition is there and true.
pub(super) fn condition_is_true(conditions: &Value, kind: &str) -> bool {
    condition(conditions, kind).is_some_and(|condition| condition["status"] == "True")
}
