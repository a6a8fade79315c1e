//! The metadata of whole objects and of objects embedded in them: reading it as Go does, and checking the embedded.
//!
//! The metadata of the object itself is checked by the registry.

mod fields;
#[cfg(test)]
mod tests;

use atoll_api::validation::{NameRule, Namespacing, dns1035_label, validate_object_meta};
use atoll_api::{FieldError, FieldErrors, FieldPath, GroupVersion, Object};
use serde_json::{Map, Value};

use super::place::{Faults, Place};
use super::prune::{Extent, prune_reporting};
use super::{Schema, decode, shown};

pub use fields::schema;

/// How many bytes of paths of unknown fields are reported.
const MAX_REPORT: usize = 64 * 1024;

/// What becomes of metadata that is not of the right types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The object is refused: for what clients send.
    Refuse,
    /// The faulty fields are dropped: for what was stored before it was checked.
    Drop,
}

/// Reads the `metadata` of an object as Go reads and writes it: types are checked, unknown and empty fields dropped.
///
/// Gives the paths of unknown fields in the object, such as `metadata.x`, or Go's fault.
pub fn coerce(object: &mut Map<String, Value>, malformed: Malformed) -> Result<Vec<String>, String> {
    let Some(metadata) = object.get_mut("metadata") else { return Ok(Vec::new()) };
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    match malformed {
        Malformed::Refuse => decode::check(schema(), metadata)?,
        Malformed::Drop => drop_malformed(metadata)?,
    }
    let unknown = prune_reporting(schema(), metadata, Extent::Part);
    if let Value::Object(map) = metadata {
        drop_empty(map);
    }
    Ok(unknown.into_iter().map(|path| format!("metadata.{path}")).collect())
}

fn drop_malformed(metadata: &mut Value) -> Result<(), String> {
    let Value::Object(map) = metadata else {
        let found = match metadata {
            Value::Array(_) => "[]interface {}",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_i64() => "int64",
            Value::Number(_) => "float64",
            _ => "string",
        };
        return Err(format!("invalid metadata: expected object, got {found}"));
    };
    map.retain(|name, value| {
        let mut alone = Value::Object(Map::from_iter([(name.clone(), value.take())]));
        let is_good = decode::check(schema(), &mut alone).is_ok();
        match alone.as_object_mut().and_then(|map| map.remove(name)) {
            Some(read) if is_good => *value = read,
            _ => return false,
        }
        true
    });
    Ok(())
}

/// Go leaves out all that is empty, but for the four names of an owner, which it always writes.
fn drop_empty(metadata: &mut Map<String, Value>) {
    metadata.retain(|name, value| name == "deletionGracePeriodSeconds" || !is_empty(value));
    for owner in elements(metadata, "ownerReferences") {
        for name in ["apiVersion", "kind", "name", "uid"] {
            owner.entry(name).or_insert_with(|| "".into());
        }
    }
    for entry in elements(metadata, "managedFields") {
        entry.retain(|_, value| !value.as_str().is_some_and(str::is_empty));
    }
}

fn elements<'a>(map: &'a mut Map<String, Value>, name: &str) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = map.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Reads the type and metadata of all objects embedded in `value`, and of `value` if it is a whole object.
///
/// Gives the paths of unknown fields, sorted, or the first fault.
pub fn coerce_embedded(
    schema: &Schema,
    value: &mut Value,
    path: &FieldPath,
    extent: Extent,
    malformed: Malformed,
) -> Result<Vec<String>, FieldError> {
    let mut coercer = Coercer { malformed, unknown: Vec::new(), reported: 0 };
    coercer.walk(schema, value, extent, &Place::start(path))?;
    coercer.unknown.sort_unstable();
    Ok(coercer.unknown)
}

struct Coercer {
    malformed: Malformed,
    unknown: Vec<String>,
    /// How many bytes `unknown` holds.
    reported: usize,
}

impl Coercer {
    fn walk(
        &mut self,
        schema: &Schema,
        value: &mut Value,
        extent: Extent,
        place: &Place<'_>,
    ) -> Result<(), FieldError> {
        match value {
            Value::Object(map) => {
                if extent == Extent::Object || schema.embedded_resource {
                    self.object(map, place)?;
                }
                for (name, value) in map {
                    let Some(field) = schema.field(name) else { continue };
                    let is_named = schema.properties.contains_key(name.as_str());
                    let below = if is_named { place.child(name) } else { place.key(name) };
                    self.walk(field, value, Extent::Part, &below)?;
                }
            }
            Value::Array(list) => {
                let Some(items) = &schema.items else { return Ok(()) };
                for (index, value) in list.iter_mut().enumerate() {
                    self.walk(items, value, Extent::Part, &place.index(index))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn object(&mut self, map: &mut Map<String, Value>, place: &Place<'_>) -> Result<(), FieldError> {
        for name in ["apiVersion", "kind"] {
            match map.get(name) {
                None | Some(Value::String(_)) => {}
                Some(_) if self.malformed == Malformed::Drop => _ = map.remove(name),
                Some(other) => {
                    let path = place.child(name).path();
                    return Err(FieldError::invalid_shown(&path, shown::value(other), "must be a string"));
                }
            }
        }
        let before = map.get("metadata").cloned().unwrap_or_default();
        match coerce(map, self.malformed) {
            Ok(unknown) => self.report(unknown, place),
            Err(fault) if self.malformed == Malformed::Refuse => {
                let path = place.child("metadata").path();
                return Err(FieldError::invalid_shown(&path, shown::value(&before), fault));
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn report(&mut self, unknown: Vec<String>, place: &Place<'_>) {
        if unknown.is_empty() || self.reported > MAX_REPORT {
            return;
        }
        let path = place.path();
        for below in unknown {
            let path = path.child(&below).as_str().to_owned();
            self.reported += path.len();
            self.unknown.push(path);
            if self.reported > MAX_REPORT {
                return;
            }
        }
    }
}

/// Checks the type and metadata of all objects embedded in `value`, and of `value` if it is a whole object.
pub fn validate_embedded(schema: &Schema, value: &Value, path: &FieldPath, extent: Extent) -> FieldErrors {
    let mut faults = Faults::default();
    validate_below(schema, value, extent, &Place::start(path), &mut faults);
    faults.into_errors()
}

fn validate_below(schema: &Schema, value: &Value, extent: Extent, place: &Place<'_>, faults: &mut Faults) {
    match value {
        Value::Object(map) => {
            if extent == Extent::Object || schema.embedded_resource {
                validate_object(map, place, faults);
            }
            for (name, value) in map {
                let Some(field) = schema.field(name) else { continue };
                let is_named = schema.properties.contains_key(name.as_str());
                let below = if is_named { place.child(name) } else { place.key(name) };
                validate_below(field, value, Extent::Part, &below, faults);
            }
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (index, value) in list.iter().enumerate() {
                validate_below(items, value, Extent::Part, &place.index(index), faults);
            }
        }
        _ => {}
    }
}

/// Type and metadata of one embedded object: the type must be there, metadata need not.
fn validate_object(map: &Map<String, Value>, place: &Place<'_>, faults: &mut Faults) {
    for name in ["apiVersion", "kind"] {
        if !map.contains_key(name) {
            faults.required(&place.child(name), "");
        }
    }
    for (name, check) in [("apiVersion", check_api_version as fn(&str) -> Option<String>), ("kind", check_kind)] {
        let Some(value) = map.get(name) else { continue };
        let fault = match value.as_str() {
            None => Some("must be a string".to_owned()),
            Some("") => Some("must not be empty".to_owned()),
            Some(text) => check(text),
        };
        if let Some(fault) = fault {
            faults.add(&place.child(name), |path| FieldError::invalid_shown(path, shown::value(value), fault));
        }
    }
    let Some(metadata) = map.get("metadata") else { return };
    let mut object = Object(Map::from_iter([("metadata".to_owned(), metadata.clone())]));
    let at = place.child("metadata");
    if let Err(fault) = coerce(&mut object.0, Malformed::Refuse) {
        return faults.add(&at, |path| FieldError::invalid_shown(path, shown::value(metadata), fault));
    }
    if object.name().is_empty() {
        // A name is not asked for, and there is no other way to say so.
        object.set_meta("name", "fakename");
    }
    let namespacing = if object.namespace().is_empty() { Namespacing::Forbidden } else { Namespacing::Required };
    faults.extend(validate_object_meta(&object, namespacing, NameRule::PathSegment, &at.path()));
}

fn check_api_version(text: &str) -> Option<String> {
    GroupVersion::parse(text).is_none().then(|| format!("unexpected GroupVersion string: {text}"))
}

fn check_kind(text: &str) -> Option<String> {
    let faults = dns1035_label(&text.to_lowercase());
    let detail = format!("may have mixed case, but should otherwise match: {}", faults.join(","));
    (!faults.is_empty()).then_some(detail)
}
