//! Checks that elements of sets, and the keys of elements that have keys, are there only once.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use super::place::{Faults, Place};
use super::{Additional, ListType, Schema, shown};

/// Checks all lists of a new value.
pub fn check(schema: &Schema, value: &Value, path: &FieldPath) -> FieldErrors {
    let mut faults = Faults::default();
    walk(schema, value, &Place::start(path), &mut faults);
    faults.into_errors()
}

/// Checks all lists of a changed value, unless the old one had faults of this sort already.
pub fn check_update(schema: &Schema, value: &Value, old: &Value, path: &FieldPath) -> FieldErrors {
    if check(schema, old, path).is_empty() { check(schema, value, path) } else { FieldErrors::new() }
}

fn walk(schema: &Schema, value: &Value, place: &Place<'_>, faults: &mut Faults) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match (schema.properties.get(name.as_str()), &schema.additional) {
                    (Some(field), _) => walk(field, value, &place.child(name), faults),
                    (None, Additional::Values(values)) => walk(values, value, &place.key(name), faults),
                    (None, _) => {}
                }
            }
        }
        Value::Array(list) => {
            match &schema.list_type {
                Some(ListType::Set) => check_set(list, place, faults),
                Some(ListType::Map(keys)) => check_map(keys, list, place, faults),
                Some(ListType::Atomic) | None => {}
            }
            if let Some(items) = &schema.items {
                for (index, value) in list.iter().enumerate() {
                    walk(items, value, &place.index(index), faults);
                }
            }
        }
        _ => {}
    }
}

fn check_set(list: &[Value], place: &Place<'_>, faults: &mut Faults) {
    for index in repeated(list.iter().map(Value::to_string)) {
        duplicate(&place.index(index), &list[index], faults);
    }
}

fn check_map(keys: &[Arc<str>], list: &[Value], place: &Place<'_>, faults: &mut Faults) {
    let is_element = |value: &Value| value.is_object() || value.is_null();
    if let Some(index) = list.iter().position(|value| !is_element(value)) {
        let shown = shown::value(&list[index]);
        return faults.add(&place.index(index), |path| {
            FieldError::invalid_shown(path, shown, "must be an object for an array of list-type map")
        });
    }
    let key_of = |element: &Value| {
        let present = keys.iter().filter_map(|key| Some((key.to_string(), element.get(&**key)?.clone())));
        Value::Object(present.collect::<Map<_, _>>())
    };
    for index in repeated(list.iter().map(|element| key_of(element).to_string())) {
        duplicate(&place.index(index), &key_of(&list[index]), faults);
    }
}

/// The index of the second occurrence of each text that occurs more than once.
fn repeated(texts: impl Iterator<Item = String>) -> Vec<usize> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut repeated = Vec::new();
    for (index, text) in texts.enumerate() {
        let count = counts.entry(text).or_default();
        *count += 1;
        if *count == 2 {
            repeated.push(index);
        }
    }
    repeated
}

fn duplicate(place: &Place<'_>, value: &Value, faults: &mut Faults) {
    faults.add(place, |path| FieldError {
        value: Some(shown::value(value)),
        ..FieldError::duplicate(path, &Value::Null)
    });
}
