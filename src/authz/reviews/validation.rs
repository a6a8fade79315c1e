//! The faults in access reviews, with Kubernetes' texts.

use atoll_api::field::go_quote;
use atoll_api::selector::{FieldSelector, LabelSelector};
use atoll_api::validation::{label_value, qualified_name};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object, Value};
use serde_json::json;

use crate::patch::shown;

pub(super) fn self_subject_access_review(review: &Object) -> FieldErrors {
    let mut errors = target(review);
    errors.extend(selectors(review));
    errors.extend(metadata(review, &["managedFields"], "must be empty"));
    errors
}

pub(super) fn subject_access_review(review: &Object) -> FieldErrors {
    let mut errors = subject(review);
    errors.extend(metadata(review, &["managedFields"], "must be empty"));
    errors
}

pub(super) fn local_subject_access_review(review: &Object) -> FieldErrors {
    let mut errors = subject(review);
    errors.extend(metadata(review, &["managedFields", "namespace"], "must be empty except for namespace"));
    let namespace = review.text_at(&["spec", "resourceAttributes", "namespace"]);
    if has(review, "resourceAttributes") && namespace != review.namespace() {
        let path = FieldPath::new("spec.resourceAttributes.namespace");
        errors.push(FieldError::invalid(&path, &json!(namespace), "must match metadata.namespace"));
    }
    if has(review, "nonResourceAttributes") {
        let path = FieldPath::new("spec.nonResourceAttributes");
        errors.push(FieldError::invalid_shown(&path, shown_path(review), "disallowed on this kind of request"));
    }
    errors
}

/// Selectors that are passed over, or in part, because they cannot be read: clients newer than the server may send
/// operators that are unknown here, and selectors of fields know less than those of labels.
pub(super) fn ignored_selectors(review: &Object) -> Vec<String> {
    let mut problems = Vec::new();
    let parsers = [
        (
            "fieldSelector",
            (|text| FieldSelector::parse(text).is_ok()) as fn(&str) -> bool,
            is_field_condition as fn(&Value) -> bool,
        ),
        ("labelSelector", |text| LabelSelector::parse(text).is_ok(), has_known_operator),
    ];
    for (field, reads, is_known) in parsers {
        let Some(selector) = review.at(&["spec", "resourceAttributes", field]) else { continue };
        let raw = selector.get("rawSelector").and_then(Value::as_str).unwrap_or_default();
        let requirements = selector.get("requirements").and_then(Value::as_array);
        let requirements = requirements.map(Vec::as_slice).unwrap_or_default();
        let unknown = requirements.iter().filter(|requirement| !is_known(requirement)).count();
        if unknown > 0 || (requirements.is_empty() && !raw.is_empty() && !reads(raw)) {
            let partially = if unknown < requirements.len() { "partially " } else { "" };
            problems.push(format!("spec.resourceAttributes.{field} {partially}ignored due to parse error"));
        }
    }
    problems
}

/// Fields are compared with one value, equal or not.
fn is_field_condition(requirement: &Value) -> bool {
    matches!(text(requirement, "operator"), "In" | "NotIn") && values(requirement).count() == 1
}

fn has(review: &Object, field: &str) -> bool {
    review.at(&["spec", field]).is_some_and(|value| !value.is_null())
}

/// A review asks about a resource or about a path.
fn target(review: &Object) -> FieldErrors {
    let spec = FieldPath::new("spec");
    match (has(review, "resourceAttributes"), has(review, "nonResourceAttributes")) {
        (true, true) => {
            let why = "cannot be specified in combination with resourceAttributes";
            vec![FieldError::invalid_shown(&spec.child("nonResourceAttributes"), shown_path(review), why)]
        }
        (false, false) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![FieldError::invalid(&spec.child("resourceAttributes"), &Value::Null, why)]
        }
        _ => FieldErrors::new(),
    }
}

/// A review about somebody else names a user or groups.
fn subject(review: &Object) -> FieldErrors {
    let mut errors = target(review);
    let has_groups = review.at(&["spec", "groups"]).and_then(Value::as_array).is_some_and(|groups| !groups.is_empty());
    if review.text_at(&["spec", "user"]).is_empty() && !has_groups {
        let why = "at least one of user or group must be specified";
        errors.push(FieldError::invalid(&FieldPath::new("spec.user"), &json!(""), why));
    }
    errors.extend(selectors(review));
    errors
}

/// Go shows the internal form of the attributes, whose fields have no JSON names.
fn shown_path(review: &Object) -> String {
    let text = |field: &str| go_quote(review.text_at(&["spec", "nonResourceAttributes", field]));
    format!("{{\"Path\":{},\"Verb\":{}}}", text("path"), text("verb"))
}

/// Reviews are not stored, so they have no metadata but what the server itself puts there.
fn metadata(review: &Object, allowed: &[&str], why: &str) -> FieldErrors {
    let Some(metadata) = review.metadata() else { return FieldErrors::new() };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if metadata.iter().all(|(field, value)| allowed.contains(&field.as_str()) || is_empty(value)) {
        return FieldErrors::new();
    }
    let shown = shown::metadata(review.get("metadata").unwrap_or(&Value::Null));
    vec![FieldError::invalid_shown(&FieldPath::new("metadata"), shown, why)]
}

fn selectors(review: &Object) -> FieldErrors {
    let base = FieldPath::new("spec.resourceAttributes");
    let mut errors = FieldErrors::new();
    for (field, check) in [
        ("fieldSelector", field_requirement as fn(&Value, &FieldPath) -> FieldErrors),
        ("labelSelector", label_requirement),
    ] {
        let Some(selector) = review.at(&["spec", "resourceAttributes", field]).filter(|value| !value.is_null()) else {
            continue;
        };
        let path = base.child(field);
        let raw = selector.get("rawSelector").and_then(Value::as_str).unwrap_or_default();
        let requirements = selector.get("requirements").and_then(Value::as_array);
        let requirements = requirements.map(Vec::as_slice).unwrap_or_default();
        match (raw.is_empty(), requirements.is_empty()) {
            (false, false) => {
                let why = "may not specified at the same time as requirements";
                errors.push(FieldError::invalid(&path.child("rawSelector"), &json!(raw), why));
            }
            (true, true) => {
                let why = format!("when {path} is specified, requirements or rawSelector is required");
                errors.push(FieldError::required(&path.child("requirements"), why));
            }
            _ => {}
        }
        for (index, requirement) in requirements.iter().enumerate() {
            errors.extend(check(requirement, &path.child("requirements").index(index)));
        }
    }
    errors
}

fn text<'a>(requirement: &'a Value, field: &str) -> &'a str {
    requirement.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn values(requirement: &Value) -> impl Iterator<Item = &str> {
    requirement.get("values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn has_known_operator(requirement: &Value) -> bool {
    matches!(text(requirement, "operator"), "In" | "NotIn" | "Exists" | "DoesNotExist")
}

/// Whether the operator wants values; operators that are unknown here are accepted.
fn operator(requirement: &Value, path: &FieldPath) -> FieldErrors {
    let has_values = values(requirement).next().is_some();
    let path = path.child("values");
    match text(requirement, "operator") {
        "In" | "NotIn" if !has_values => {
            vec![FieldError::required(&path, "must be specified when `operator` is 'In' or 'NotIn'")]
        }
        "Exists" | "DoesNotExist" if has_values => {
            vec![FieldError::forbidden(&path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
        }
        _ => FieldErrors::new(),
    }
}

fn field_requirement(requirement: &Value, path: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if text(requirement, "key").is_empty() {
        errors.push(FieldError::required(&path.child("key"), "must be specified"));
    }
    errors.extend(operator(requirement, path));
    errors
}

fn label_requirement(requirement: &Value, path: &FieldPath) -> FieldErrors {
    let mut errors = operator(requirement, path);
    let key = text(requirement, "key");
    errors.extend(qualified_name(key).into_iter().map(|why| FieldError::invalid(&path.child("key"), &json!(key), why)));
    for (index, value) in values(requirement).enumerate() {
        let path = path.child("values").index(index);
        errors.extend(label_value(value).into_iter().map(|why| FieldError::invalid(&path, &json!(value), why)));
    }
    errors
}
