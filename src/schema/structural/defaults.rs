//! Whether the defaults of a schema are valid and hold nothing that would be pruned.
//!
//! CEL rules are not evaluated for them here.

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use crate::schema::metadata::{Malformed, coerce_embedded, validate_embedded};
use crate::schema::place::{Faults, Place};
use crate::schema::prune::{Extent, prune};
use crate::schema::{Schema, shown, validate};

/// Checks all defaults of a whole object's schema. There are none below `additionalProperties` that would apply.
pub(super) fn check(schema: &Schema, place: &Place<'_>, faults: &mut Faults) {
    Checker { faults, path: Vec::new() }.walk(
        schema,
        Extent::Object,
        Inside { root: schema, depth: 0, metadata: false },
        place,
    );
}

/// The whole object that a schema is part of.
#[derive(Clone, Copy)]
struct Inside<'s> {
    root: &'s Schema,
    /// How many steps of the path lead to the object.
    depth: usize,
    /// Whether this is about the object's metadata, `apiVersion` or `kind`.
    metadata: bool,
}

/// A step from an object towards a default.
#[derive(Clone, Copy)]
enum Step<'s> {
    Field(&'s str),
    Element,
}

struct Checker<'s, 'f> {
    faults: &'f mut Faults,
    path: Vec<Step<'s>>,
}

impl<'s> Checker<'s, '_> {
    fn walk(&mut self, schema: &'s Schema, extent: Extent, mut inside: Inside<'s>, place: &Place<'_>) {
        if self.faults.is_full() {
            return;
        }
        let is_object = extent == Extent::Object || schema.embedded_resource;
        if is_object {
            inside = Inside { root: schema, depth: self.path.len(), metadata: false };
        }
        if let Some(default) = &schema.default {
            let extent = if is_object { Extent::Object } else { Extent::Part };
            let path = place.child("default").path();
            let errors = if inside.metadata {
                self.check_in_metadata(schema, default, inside, &path)
            } else {
                check_default(schema, default, extent, &path)
            };
            self.faults.extend(errors);
        }
        if let Some(items) = &schema.items {
            self.path.push(Step::Element);
            self.walk(items, Extent::Part, inside, &place.child("items"));
            self.path.pop();
        }
        for (name, field) in &schema.properties {
            let is_of_object = is_object && matches!(&**name, "metadata" | "apiVersion" | "kind");
            let below = Inside { metadata: inside.metadata || is_of_object, ..inside };
            self.path.push(Step::Field(name));
            self.walk(field, Extent::Part, below, &place.child("properties").key(name));
            self.path.pop();
        }
    }

    /// A default in metadata is checked as part of an object that has nothing else.
    fn check_in_metadata(&self, schema: &Schema, default: &Value, inside: Inside<'_>, path: &FieldPath) -> FieldErrors {
        let mut object = self.surround(default, inside);
        let root = FieldPath::root();
        let malformed = Malformed::Refuse;
        let fault = match coerce_embedded(inside.root, &mut object, &root, Extent::Object, malformed) {
            Err(error) => Some(error.to_string()),
            Ok(_) => {
                let errors = validate_embedded(inside.root, &object, &root, Extent::Object);
                let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                match texts.as_slice() {
                    [] => None,
                    [one] => Some(one.clone()),
                    many => Some(format!("[{}]", many.join(", "))),
                }
            }
        };
        match fault {
            Some(fault) => {
                let detail = format!("must result in valid metadata: {fault}");
                vec![FieldError::invalid_shown(path, shown::value(default), detail)]
            }
            None => validate::default(schema, default, path),
        }
    }

    fn surround(&self, default: &Value, inside: Inside<'_>) -> Value {
        let mut value = default.clone();
        for step in self.path[inside.depth..].iter().rev() {
            value = match step {
                Step::Field(name) => Value::Object(Map::from_iter([((*name).to_owned(), value)])),
                Step::Element => Value::Array(vec![value]),
            };
        }
        if let Value::Object(map) = &mut value {
            map.entry("kind").or_insert_with(|| "Validation".into());
            map.entry("apiVersion").or_insert_with(|| "validation/v1".into());
        }
        value
    }
}

fn check_default(schema: &Schema, default: &Value, extent: Extent, path: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let mut pruned = default.clone();
    prune(schema, &mut pruned, extent);
    if pruned != *default {
        errors.push(FieldError::invalid_shown(path, shown::value(default), "must not have unknown fields"));
    }
    let mut coerced = default.clone();
    if let Err(error) = coerce_embedded(schema, &mut coerced, path, extent, Malformed::Refuse) {
        errors.push(error);
        return errors;
    }
    let embedded = validate_embedded(schema, &coerced, path, extent);
    errors.extend(if embedded.is_empty() { validate::default(schema, &coerced, path) } else { embedded });
    errors
}
