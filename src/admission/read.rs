//! Reading fields that may be absent or, in an object that is not validated yet, of another type than they should be.

use serde_json::{Map, Value};

/// The text at a field, empty if there is none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The elements of the list at a field.
pub(super) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The entries of the map at a field.
pub(super) fn entries<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    value[field].as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// Whether a field is there and is not null.
pub(super) fn has(value: &Value, field: &str) -> bool {
    !value[field].is_null()
}

/// Whether the flag at a field is set.
pub(super) fn flag(value: &Value, field: &str) -> bool {
    value[field].as_bool().unwrap_or_default()
}

/// The list at a field, made if there is none; `None` if there is something else.
pub(super) fn list_mut<'a>(object: &'a mut Map<String, Value>, field: &str) -> Option<&'a mut Vec<Value>> {
    let slot = object.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut()
}

/// The map at a field, made if there is none; `None` if there is something else.
pub(super) fn map_mut<'a>(object: &'a mut Map<String, Value>, field: &str) -> Option<&'a mut Map<String, Value>> {
    let slot = object.entry(field).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut()
}
