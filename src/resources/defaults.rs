//! Which function sets the defaults of which type, and the small steps such functions are made of.
//!
//! Defaults that are plain values are in the catalog; here are those that depend on other fields.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::catalog::TYPES;
use super::{BUILTINS, SUBRESOURCES, gated, podspec};

/// Sets the defaults of one value. Empty optional fields have been dropped before, children have no defaults yet.
pub(super) type SetDefaults = fn(&mut Map<String, Value>);

/// The defaults of types, by the names of the types.
pub(super) type TypeDefaults = &'static [(&'static str, SetDefaults)];

/// The function for the type at `index` of the catalog.
pub(super) fn of_type(index: u16) -> Option<SetDefaults> {
    static BY_TYPE: OnceLock<Vec<Option<SetDefaults>>> = OnceLock::new();
    let by_type = BY_TYPE.get_or_init(|| {
        let mut by_type = vec![None; TYPES.names().count()];
        let of_kinds = BUILTINS.iter().chain(SUBRESOURCES).flat_map(|kind| kind.type_defaults);
        for (name, set_defaults) in of_kinds.chain(podspec::DEFAULTS) {
            let index = TYPES.index(name).expect("defaults are for types of the catalog, which is tested");
            by_type[usize::from(index)] = Some(*set_defaults);
        }
        by_type
    });
    by_type[usize::from(index)]
}

/// The fields of the type at `index` that are dropped because their feature is off.
pub(super) fn gated_fields(index: u16) -> &'static [&'static str] {
    static BY_TYPE: OnceLock<Vec<&'static [&'static str]>> = OnceLock::new();
    let by_type = BY_TYPE.get_or_init(|| {
        let mut by_type: Vec<&'static [&'static str]> = vec![&[]; TYPES.names().count()];
        for (name, fields) in gated::FIELDS {
            let index = TYPES.index(name).expect("gated fields are of types of the catalog, which is tested");
            by_type[usize::from(index)] = fields;
        }
        by_type
    });
    by_type[usize::from(index)]
}

/// Sets a field that is absent.
pub(super) fn set(map: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    if !map.contains_key(field) {
        map.insert(field.to_owned(), value.into());
    }
}

/// Sets a field that is absent or has the zero value of its type.
pub(super) fn set_empty(map: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    let is_zero = |value: &Value| value == "" || value == &Value::from(0);
    if map.get(field).is_none_or(is_zero) {
        map.insert(field.to_owned(), value.into());
    }
}

/// The map at a field, if there is one.
pub(super) fn child<'a>(map: &'a mut Map<String, Value>, field: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(field).and_then(Value::as_object_mut)
}

/// The map at a field, made if absent or not a map.
pub(super) fn made<'a>(map: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(field.to_owned()).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("made an object just above")
}

/// The maps in the list at a field.
pub(super) fn each<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> + use<'a> {
    map.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}
