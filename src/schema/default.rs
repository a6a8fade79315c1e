//! Fills in the defaults of a schema.
//!
//! Defaults that are more than data are the work of the resources; dropping nulls without a default is that of `prune`.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{Additional, Schema};

/// How many bytes of defaults are filled into one object, roughly.
const MAX_FILLED: usize = 8 << 20;
/// How many properties are looked at for one object; more than any honest object and schema need.
const MAX_LOOKED_AT: usize = 1 << 26;

/// A small object and a small schema would make a huge object together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("filling in the defaults of the schema would make the object too large")]
pub struct TooLarge;

/// Fills the defaults of `schema` into `value`, where a field is absent or null without being nullable. Idempotent.
///
/// A default is filled into objects that are there, never by making the objects around it, and defaults are followed
/// into what was just filled in. Elements of lists and values of maps take a default in place of a null only.
///
/// Fails, with `value` partly filled in, if there would be too much to fill in.
pub fn fill(schema: &Schema, value: &mut Value) -> Result<(), TooLarge> {
    Filler { filled: 0, looked_at: 0 }.fill(schema, value)
}

struct Filler {
    filled: usize,
    looked_at: usize,
}

impl Filler {
    fn fill(&mut self, schema: &Schema, value: &mut Value) -> Result<(), TooLarge> {
        match value {
            Value::Object(map) => {
                self.looked_at += schema.properties.len();
                if self.looked_at > MAX_LOOKED_AT {
                    return Err(TooLarge);
                }
                for (name, field) in &schema.properties {
                    if field.default.is_none() {
                        continue;
                    }
                    match map.get_mut(&**name) {
                        Some(present) => self.replace_null(field, present)?,
                        None => {
                            if let Some(default) = self.take(field)? {
                                map.insert(name.to_string(), default);
                            }
                        }
                    }
                }
                for (name, value) in map.iter_mut() {
                    match (schema.properties.get(name.as_str()), &schema.additional) {
                        (Some(field), _) => self.fill(field, value)?,
                        (None, Additional::Values(values)) => {
                            self.replace_null(values, value)?;
                            self.fill(values, value)?;
                        }
                        (None, _) => {}
                    }
                }
            }
            Value::Array(list) => {
                let Some(items) = &schema.items else { return Ok(()) };
                for value in list {
                    self.replace_null(items, value)?;
                    self.fill(items, value)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn replace_null(&mut self, schema: &Schema, value: &mut Value) -> Result<(), TooLarge> {
        if value.is_null()
            && !schema.nullable
            && let Some(default) = self.take(schema)?
        {
            *value = default;
        }
        Ok(())
    }

    /// A copy of the default, paid for before it is made.
    fn take(&mut self, schema: &Schema) -> Result<Option<Value>, TooLarge> {
        let Some(default) = &schema.default else { return Ok(None) };
        self.filled += weight(default);
        if self.filled > MAX_FILLED { Err(TooLarge) } else { Ok(Some(default.clone())) }
    }
}

/// About how many bytes a value takes as JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 8 + text.len(),
        Value::Array(list) => 8 + list.iter().map(weight).sum::<usize>(),
        Value::Object(map) => 8 + map.iter().map(|(name, value)| name.len() + weight(value)).sum::<usize>(),
    }
}
