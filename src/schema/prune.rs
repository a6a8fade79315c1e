//! Drops what a schema does not know: unknown fields, and nulls that mean nothing.
//!
//! Decides nothing about types or values; the metadata of whole objects is left to `metadata`.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::{Additional, Schema};

/// What a value is, seen from the type system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A whole object: `apiVersion`, `kind` and `metadata` are kept whether or not the schema names them.
    Object,
    /// A part of an object, or an object whose schema names all its fields, as those of built-in kinds do.
    Part,
}

/// How many bytes of paths are reported; a hostile object could make many long ones.
const MAX_REPORT: usize = 64 * 1024;

/// The fields that every object has.
const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops the fields of `value` that `schema` does not know.
pub fn prune(schema: &Schema, value: &mut Value, extent: Extent) {
    Pruner { path: String::new(), dropped: None, reported: 0 }.prune(value, Some(schema), extent);
}

/// Drops the fields of `value` that `schema` does not know and gives their paths, sorted: `spec.containers[0].bar`.
pub fn prune_reporting(schema: &Schema, value: &mut Value, extent: Extent) -> Vec<String> {
    let mut pruner = Pruner { path: String::new(), dropped: Some(Vec::new()), reported: 0 };
    pruner.prune(value, Some(schema), extent);
    let mut dropped = pruner.dropped.unwrap_or_default();
    dropped.sort_unstable();
    dropped
}

/// Drops null fields for which the schema has neither `nullable` nor a default; list elements stay as they are.
///
/// Runs before defaulting, which replaces the other nulls that are not nullable.
pub fn drop_nulls(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let Some(field) = schema.field(name) else { return true };
            if value.is_null() && !field.nullable && field.default.is_none() {
                return false;
            }
            drop_nulls(field, value);
            true
        }),
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                list.iter_mut().for_each(|value| drop_nulls(items, value));
            }
        }
        _ => {}
    }
}

struct Pruner {
    /// Where we are; kept only when paths are asked for.
    path: String,
    dropped: Option<Vec<String>>,
    /// How many bytes `dropped` holds.
    reported: usize,
}

impl Pruner {
    /// Prunes below a place whose schema is known (`Some`) or says nothing (`None`): then all fields of objects go.
    fn prune(&mut self, value: &mut Value, schema: Option<&Schema>, extent: Extent) {
        let Some(schema) = schema else { return self.prune_unspecified(value) };
        if schema.preserve_unknown {
            return self.prune_preserved(value, schema, extent);
        }
        match value {
            Value::Object(map) => map.retain(|name, value| {
                if is_object_field(name, schema, extent) {
                    return true;
                }
                match (schema.properties.get(name.as_str()), &schema.additional) {
                    (Some(field), _) | (None, Additional::Values(field)) => {
                        self.below_key(name, |pruner| pruner.prune(value, Some(field), Extent::Part));
                        true
                    }
                    (None, Additional::Anything) => true,
                    (None, Additional::Nothing) => {
                        self.drop_field(name);
                        false
                    }
                }
            }),
            Value::Array(list) => {
                self.each(list, |pruner, value| pruner.prune(value, schema.items.as_deref(), Extent::Part))
            }
            _ => {}
        }
    }

    fn prune_unspecified(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.keys().for_each(|name| self.drop_field(name));
                map.clear();
            }
            Value::Array(list) => self.each(list, |pruner, value| pruner.prune_unspecified(value)),
            _ => {}
        }
    }

    /// Unknown fields stay here, but what the schema does specify below is pruned again.
    fn prune_preserved(&mut self, value: &mut Value, schema: &Schema, extent: Extent) {
        match value {
            Value::Object(map) => {
                for (name, value) in map.iter_mut() {
                    if let (false, Some(field)) = (is_object_field(name, schema, extent), schema.field(name)) {
                        self.below_key(name, |pruner| pruner.prune(value, Some(field), Extent::Part));
                    }
                }
            }
            Value::Array(list) => {
                if let Some(items) = &schema.items {
                    self.each(list, |pruner, value| pruner.prune_preserved(value, items, Extent::Part));
                }
            }
            _ => {}
        }
    }

    fn each(&mut self, list: &mut [Value], mut prune: impl FnMut(&mut Self, &mut Value)) {
        for (index, value) in list.iter_mut().enumerate() {
            let length = self.path.len();
            if self.dropped.is_some() {
                self.path.push_str(&format!("[{index}]"));
            }
            prune(self, value);
            self.path.truncate(length);
        }
    }

    fn below_key(&mut self, name: &str, prune: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if self.dropped.is_some() {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(name);
        }
        prune(self);
        self.path.truncate(length);
    }

    fn drop_field(&mut self, name: &str) {
        let Some(dropped) = &mut self.dropped else { return };
        if self.reported > MAX_REPORT {
            return;
        }
        let separator = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{separator}{name}", self.path);
        self.reported += path.len();
        dropped.push(path);
    }
}

fn is_object_field(name: &str, schema: &Schema, extent: Extent) -> bool {
    (extent == Extent::Object || schema.embedded_resource) && OBJECT_FIELDS.contains(&name)
}
