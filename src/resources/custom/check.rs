//! Checks of custom objects, in the order in which Kubernetes tells their faults.
//!
//! The metadata that all objects have is checked by the registry.

use atoll_api::validation::qualified_name;
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::VersionParts;
use crate::registry::descriptor::ScalePaths;
use crate::schema::cel::RULES_BUDGET;
use crate::schema::prune::Extent;
use crate::schema::{lists, metadata, validate};

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// Checks a new object.
pub(super) fn create(parts: &VersionParts, object: &Object) -> FieldErrors {
    let (schema, value, root) = (&parts.schema.get().checked, object_value(object), FieldPath::root());
    let mut errors = validate::create(schema, &value, &root);
    check_scale(&mut errors, parts, object, ScaleParts::SpecAndStatus);
    errors.extend(metadata::validate_embedded(schema, &value, &root, Extent::Part));
    errors.extend(lists::check(schema, &value, &root));
    // What is new has nothing that was there before to warn of.
    let _ = check_rules(&mut errors, parts, &value, None);
    errors
}

/// Checks a changed object; what is as it was is passed over.
pub(super) fn update(parts: &VersionParts, object: &Object, old: &Object, warn: &mut dyn FnMut(String)) -> FieldErrors {
    let (schema, root) = (&parts.schema.get().checked, FieldPath::root());
    let (value, was) = (object_value(object), object_value(old));
    let mut errors = validate::update(schema, &value, &was, &root);
    check_scale(&mut errors, parts, object, ScaleParts::SpecAndStatus);
    errors.extend(metadata::validate_embedded(schema, &value, &root, Extent::Part));
    errors.extend(lists::check_update(schema, &value, &was, &root));
    check_rules(&mut errors, parts, &value, Some(&was)).into_iter().for_each(warn);
    errors
}

/// Checks a changed status.
pub(super) fn status_update(
    parts: &VersionParts,
    object: &Object,
    old: &Object,
    warn: &mut dyn FnMut(String),
) -> FieldErrors {
    let (schema, root) = (&parts.schema.get().checked, FieldPath::root());
    let mut errors = FieldErrors::new();
    if let (Some(schema), Some(status)) = (schema.properties.get("status"), object.get("status")) {
        let was = old.get("status").unwrap_or(&Value::Null);
        errors.extend(validate::update(schema, status, was, &root.child("status")));
    }
    check_scale(&mut errors, parts, object, ScaleParts::Status);
    let (value, was) = (object_value(object), object_value(old));
    errors.extend(lists::check_update(schema, &value, &was, &root));
    check_rules(&mut errors, parts, &value, Some(&was)).into_iter().for_each(warn);
    errors
}

/// Evaluates the rules of the schema, which rely on types: other faults may leave them unchecked. Gives warnings of
/// rules that the object breaks as it did before.
fn check_rules(errors: &mut FieldErrors, parts: &VersionParts, value: &Value, old: Option<&Value>) -> Vec<String> {
    let Some(rules) = &parts.schema.get().rules else { return Vec::new() };
    if let Some(unchecked) = validate::unchecked_rules(errors) {
        errors.push(unchecked);
        return Vec::new();
    }
    let outcome = rules.check(value, old, &FieldPath::root(), RULES_BUDGET);
    errors.extend(outcome.errors);
    outcome.warnings
}

/// Warnings of finalizers that are new and likely to clash with those of others.
pub(super) fn warnings(object: &Object, old: Option<&Object>) -> Vec<String> {
    let known = old.map(Object::finalizers).unwrap_or_default();
    let mut new: Vec<&str> = object.finalizers().into_iter().filter(|name| !known.contains(name)).collect();
    new.sort_unstable();
    new.dedup();
    let mut warnings = Vec::new();
    for name in new {
        let shown = atoll_api::field::go_quote(name);
        let mut warn = |why: &str| warnings.push(format!("metadata.finalizers: {shown}: {why}"));
        qualified_name(name).iter().for_each(|why| warn(why));
        if name.contains('/') || STANDARD_FINALIZERS.contains(&name) {
            continue;
        }
        warn(match name.contains('.') {
            true => {
                "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"
            }
            false => {
                "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
            }
        });
    }
    warnings
}

fn object_value(object: &Object) -> Value {
    Value::Object(object.0.clone())
}

/// Which figures of a scale are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScaleParts {
    SpecAndStatus,
    Status,
}

/// What the scale subresource reads must be what it can show.
fn check_scale(errors: &mut FieldErrors, parts: &VersionParts, object: &Object, which: ScaleParts) {
    let Some(ScalePaths { spec_replicas, status_replicas, selector }) = &parts.scale else { return };
    if which == ScaleParts::SpecAndStatus {
        check_replicas(errors, object, spec_replicas);
    }
    check_replicas(errors, object, status_replicas);
    if let Some(selector) = selector {
        match find(object, selector) {
            Ok(None | Some(Value::String(_))) => {}
            Ok(Some(other)) => wrong_type(errors, selector, "\"\"", other, "string"),
            Err(why) => errors.push(FieldError::invalid_shown(&dotted(selector), "\"\"", why)),
        }
    }
}

fn check_replicas(errors: &mut FieldErrors, object: &Object, path: &str) {
    let number = match find(object, path) {
        Ok(None) => return,
        Ok(Some(value)) => match value.as_i64() {
            Some(number) => number,
            None => return wrong_type(errors, path, "0", value, "int64"),
        },
        Err(why) => return errors.push(FieldError::invalid_shown(&dotted(path), "0", why)),
    };
    let limit = i64::from(i32::MAX);
    if number < 0 {
        errors.push(FieldError::invalid(&dotted(path), &number.into(), "should be a non-negative integer"));
    } else if number > limit {
        let detail = format!("should be less than or equal to {limit}");
        errors.push(FieldError::invalid(&dotted(path), &number.into(), detail));
    }
}

/// The path as the definition writes it, with its dot.
fn dotted(path: &str) -> FieldPath {
    FieldPath::new(format!(".{path}"))
}

fn wrong_type(errors: &mut FieldErrors, path: &str, shown: &str, value: &Value, expected: &str) {
    let why =
        format!(".{path} accessor error: {} is of the type {}, expected {expected}", go_text(value), go_type(value));
    errors.push(FieldError::invalid_shown(&dotted(path), shown, why));
}

/// The value at a dotted path; the error is the one of something on the way that is no object.
fn find<'a>(object: &'a Object, path: &str) -> Result<Option<&'a Value>, String> {
    let steps: Vec<&str> = path.split('.').collect();
    let mut here: Option<&Value> = None;
    for (index, step) in steps.iter().enumerate() {
        let map = match here {
            None if index == 0 => &object.0,
            None => return Ok(None),
            Some(Value::Object(map)) => map,
            Some(other) => {
                let way = steps[..index].join(".");
                let (text, kind) = (go_text(other), go_type(other));
                return Err(format!(
                    ".{way} accessor error: {text} is of the type {kind}, expected map[string]interface {{}}"
                ));
            }
        };
        match map.get(*step) {
            None => return Ok(None),
            found => here = found,
        }
    }
    Ok(here)
}

/// A value as Go prints it, roughly for lists and maps.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::custom::Schemas;

    fn parts() -> VersionParts {
        let path = |path: &str| path.into();
        VersionParts {
            schema: Schemas::default().lazy("", bytes::Bytes::from_static(br#"{"type":"object"}"#)),
            columns: Vec::new(),
            scale: Some(ScalePaths {
                spec_replicas: path("spec.replicas"),
                status_replicas: path("status.replicas"),
                selector: Some(path("status.selector")),
            }),
        }
    }

    fn check(object: Value, expected: &[&str]) {
        let object = Object::from_value(object).expect("an object");
        let told: Vec<String> = create(&parts(), &object).iter().map(|e| format!("{}: {}", e.path, e.body())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_a_scale_reads_must_be_what_it_can_show() {
        check(json!({"spec": {"replicas": 3}, "status": {"selector": "a=b"}}), &[]);
        check(json!({}), &[]);
        check(
            json!({"spec": {"replicas": -1}}),
            &[".spec.replicas: Invalid value: -1: should be a non-negative integer"],
        );
        check(
            json!({"spec": {"replicas": 3_000_000_000_i64}}),
            &[".spec.replicas: Invalid value: 3000000000: should be less than or equal to 2147483647"],
        );
        check(
            json!({"spec": {"replicas": "x"}}),
            &[
                ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64",
            ],
        );
        check(
            json!({"status": 1}),
            &[
                ".status.replicas: Invalid value: 0: .status accessor error: 1 is of the type int64, expected map[string]interface {}",
                ".status.selector: Invalid value: \"\": .status accessor error: 1 is of the type int64, expected map[string]interface {}",
            ],
        );
    }

    #[test]
    fn finalizers_without_a_domain_or_path_are_warned_of_when_they_are_new() {
        let object = |finalizers: &[&str]| {
            Object::from_value(json!({"metadata": {"finalizers": finalizers}})).expect("an object")
        };
        assert!(warnings(&object(&["example.com/a", "orphan"]), None).is_empty());
        assert_eq!(warnings(&object(&["a", "b.c"]), None).len(), 2);
        assert!(warnings(&object(&["a", "b.c"]), Some(&object(&["a", "b.c"]))).is_empty());
    }
}
