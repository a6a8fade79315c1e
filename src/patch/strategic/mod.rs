//! Strategic merge patch: a merge patch that follows the schema's merge keys and obeys directives inside the patch.
//!
//! Only built-in kinds have schemas with patch strategies; that custom resources refuse this format is the caller's business.
//! Faults read as Kubernetes' do; most of them it answers with 500 and the bare text, so they are [`Error::Failed`].

mod list;

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::{Error, shown};
use crate::schema::{Additional, Schema, SchemaType};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

static ANYTHING: LazyLock<Schema> = LazyLock::new(Schema::default);

/// Applies a strategic merge patch to an object of the given schema.
///
/// Kubernetes also leaves nulls and directives where a patch brings in new list elements; the caller decodes the result
/// as it decodes an object from a client, which drops them.
pub fn apply(object: Value, patch: &Value, schema: &Schema) -> Result<Value, Error> {
    let patch = match patch {
        Value::Object(patch) => patch.clone(),
        Value::Null => Map::new(),
        other => {
            return Err(Error::BadRequest(format!(
                "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                shown::json_kind(other)
            )));
        }
    };
    let Value::Object(object) = object else {
        return Err(Error::BadRequest("invalid JSON document".to_owned()));
    };
    merge_map(object, patch, schema).map(Value::Object)
}

fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: &Schema,
) -> Result<Map<String, Value>, Error> {
    match patch.get(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) if directive == "replace" => {
            patch.remove(DIRECTIVE);
            return Ok(patch);
        }
        Some(Value::String(directive)) if directive == "delete" => return Ok(Map::new()),
        Some(directive) => return Err(unknown_directive(directive, &patch)),
    }
    retain_keys(&mut original, &mut patch)?;
    list::apply_set_orders(&mut original, &mut patch, schema)?;
    for (key, change) in patch {
        match list_to_delete_from(&key)? {
            Some(name) => delete_from(&mut original, name, change, schema)?,
            None => merge_field(&mut original, key, change, schema)?,
        }
    }
    Ok(original)
}

fn merge_field(original: &mut Map<String, Value>, key: String, change: Value, schema: &Schema) -> Result<(), Error> {
    if change.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.remove(&key), change) {
        (Some(Value::Object(current)), Value::Object(change)) => {
            Some(Value::Object(merge_map(current, change, map_field(schema, &key)?)?))
        }
        (Some(Value::Array(current)), Value::Array(change)) => {
            let (list, items) = list_field(schema, &key)?;
            let merged = if list.patch.merge {
                list::merge(current, change, list.patch.merge_key.as_deref(), items)?
            } else {
                change
            };
            Some(Value::Array(merged))
        }
        (Some(current), change) if shown::go_type(&current) == shown::go_type(&change) => Some(change),
        (_, mut change) => {
            discard_nulls(&mut change);
            without_directives(change)
        }
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

/// `$deleteFromPrimitiveList/<name>` takes the named values from the list; null takes the list itself.
fn delete_from(original: &mut Map<String, Value>, name: &str, values: Value, schema: &Schema) -> Result<(), Error> {
    if values.is_null() {
        original.remove(name);
        return Ok(());
    }
    let (Some(Value::Array(current)), Value::Array(values)) = (original.get_mut(name), values) else { return Ok(()) };
    let (list, items) = list_field(schema, name)?;
    let kept = list::delete(std::mem::take(current), values, list.patch.merge_key.as_deref(), items)?;
    *current = kept;
    Ok(())
}

fn list_to_delete_from(key: &str) -> Result<Option<&str>, Error> {
    let Some(rest) = key.strip_prefix(DELETE_FROM_LIST) else { return Ok(None) };
    let bad_format = || Error::BadRequest("invalid patch format of primitive list".to_owned());
    rest.strip_prefix('/').ok_or_else(bad_format).map(Some)
}

/// `$retainKeys` lists what may stay; the patch must not name anything else.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Error> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let bad_format = || Error::BadRequest("invalid patch format of retainKeys".to_owned());
    let keys = directive.as_array().ok_or_else(bad_format)?;
    let retained: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    for (key, value) in patch.iter() {
        let directive = key.starts_with(DELETE_FROM_LIST) || key.starts_with(SET_ORDER);
        if !value.is_null() && !directive && !retained.contains(key.as_str()) {
            return Err(bad_format());
        }
    }
    original.retain(|key, _| retained.contains(key.as_str()));
    Ok(())
}

/// The schema of a field that is a map.
fn map_field<'a>(schema: &'a Schema, key: &str) -> Result<&'a Schema, Error> {
    match (schema.properties.get(key), &schema.additional) {
        (Some(field), _) => Ok(field),
        (None, Additional::Values(_)) => {
            Err(failed("merging an object in json but data type is not struct, instead is: map"))
        }
        (None, _) => Err(failed(format!("unable to find api field in struct for the json field {key:?}"))),
    }
}

/// The schema of a field that is a list, and that of its elements.
fn list_field<'a>(schema: &'a Schema, key: &str) -> Result<(&'a Schema, &'a Schema), Error> {
    let field = map_field(schema, key)?;
    let items = field.items.as_deref().unwrap_or(&ANYTHING);
    if items.kind == Some(SchemaType::Array) {
        return Err(failed("unexpected slice of slice"));
    }
    Ok((field, items))
}

/// A value without the maps in it that carry a directive; none if it is such a map itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            Some(map.into_iter().filter_map(|(key, value)| Some((key, without_directives(value)?))).collect())
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        scalar => Some(scalar),
    }
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|_, value| {
            discard_nulls(value);
            !value.is_null()
        }),
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

fn unknown_directive(directive: &Value, map: &Map<String, Value>) -> Error {
    let directive = match directive {
        Value::String(text) => text.clone(),
        Value::Null => "%!s(<nil>)".to_owned(),
        other => format!("%!s({}={})", shown::go_type(other), shown::plain(other)),
    };
    let map = shown::plain(&Value::Object(map.clone()));
    failed(format!("unknown patch type: {directive} in map: {map}"))
}

fn failed(text: impl Into<String>) -> Error {
    Error::Failed(text.into())
}

#[cfg(test)]
mod tests;
