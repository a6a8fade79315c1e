//! Finds the old value that a part of a new object is to be compared with: ratcheting and transition rules need it.
//!
//! Fields and entries of maps are correlated by their names, elements of lists only if they have keys.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{ListType, Schema};

/// The elements of an old list that are told apart by keys.
pub struct OldElements<'a> {
    keys: &'a [Arc<str>],
    by_key: HashMap<String, &'a Value>,
}

impl<'a> OldElements<'a> {
    /// The elements of `old`, a list with the schema `schema`; `None` if its elements have no keys.
    pub fn of(schema: &'a Schema, old: &'a Value) -> Option<Self> {
        let (Some(ListType::Map(keys)), Value::Array(list)) = (&schema.list_type, old) else { return None };
        let mut by_key = HashMap::with_capacity(list.len());
        for element in list {
            if let Some(key) = composite_key(keys, element) {
                // The first of several elements with the same keys counts.
                by_key.entry(key).or_insert(element);
            }
        }
        Some(Self { keys, by_key })
    }

    /// The old element with the same keys as `new`.
    pub fn find(&self, new: &Value) -> Option<&'a Value> {
        self.by_key.get(&composite_key(self.keys, new)?).copied()
    }
}

/// The values of all keys as one text; `None` unless all are there and scalars.
fn composite_key(keys: &[Arc<str>], element: &Value) -> Option<String> {
    let mut text = String::new();
    for key in keys {
        match element.get(&**key)? {
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
            scalar => {
                text.push_str(&scalar.to_string());
                text.push('\0');
            }
        }
    }
    (!keys.is_empty()).then_some(text)
}

/// Whether `new` says what `old` says; the order of elements that have keys does not count.
pub fn is_unchanged(schema: &Schema, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Array(new_list), Value::Array(old_list)) => {
            if new_list.len() != old_list.len() {
                return false;
            }
            match (OldElements::of(schema, old), &schema.items) {
                (Some(elements), Some(items)) => {
                    new_list.iter().all(|new| elements.find(new).is_some_and(|old| is_unchanged(items, new, old)))
                }
                _ => new == old,
            }
        }
        (Value::Object(new_map), Value::Object(old_map)) => {
            let is_same = |name: &String, new: &Value| {
                old_map.get(name).is_some_and(|old| match schema.field(name) {
                    Some(field) => is_unchanged(field, new, old),
                    None => new == old,
                })
            };
            new_map.len() == old_map.len() && new_map.iter().all(|(name, new)| is_same(name, new))
        }
        _ => new == old,
    }
}
