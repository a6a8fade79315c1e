//! Fills in the defaults of a schema.
//!
//! Defaults that are more than data are the work of the resources; dropping nulls without a default is that of `prune`.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{Additional, Schema};

/// Fills the defaults of `schema` into `value`, where a field is absent or null without being nullable. Idempotent.
///
/// A default is filled into objects that are there, never by making the objects around it, and defaults are followed
/// into what was just filled in. Elements of lists and values of maps take a default in place of a null only.
pub fn fill(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, field) in &schema.properties {
                let Some(default) = &field.default else { continue };
                match map.get_mut(&**name) {
                    Some(present) => replace_null(field, present),
                    None => {
                        map.insert(name.to_string(), default.clone());
                    }
                }
            }
            for (name, value) in map.iter_mut() {
                match (schema.properties.get(name.as_str()), &schema.additional) {
                    (Some(field), _) => fill(field, value),
                    (None, Additional::Values(values)) => {
                        replace_null(values, value);
                        fill(values, value);
                    }
                    (None, _) => {}
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for value in list {
                replace_null(items, value);
                fill(items, value);
            }
        }
        _ => {}
    }
}

fn replace_null(schema: &Schema, value: &mut Value) {
    if let (Value::Null, false, Some(default)) = (&*value, schema.nullable, &schema.default) {
        *value = default.clone();
    }
}
