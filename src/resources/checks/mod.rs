//! Checks that many kinds share, with Kubernetes' texts. Each adds what it finds to a list of faults.

pub(super) mod amounts;
pub(super) mod conditions;
pub(super) mod labels;
pub(super) mod network;
pub(super) mod webhooks;
pub(super) mod workloads;

use atoll_api::validation::{dns1123_label, dns1123_subdomain, label_value, qualified_name};
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use crate::schema::shown::json_in_order;

pub(super) const IMMUTABLE: &str = "field is immutable";
const NEGATIVE: &str = "must be greater than or equal to 0";

/// A path, from dotted field names.
pub(super) fn path(fields: &str) -> FieldPath {
    FieldPath::new(fields)
}

/// One fault for each thing wrong with a text.
pub(super) fn invalid_each(errors: &mut FieldErrors, path: &FieldPath, value: &str, wrong: Vec<String>) {
    errors.extend(wrong.into_iter().map(|detail| FieldError::invalid(path, &value.into(), detail)));
}

/// A value that is wrong for a reason that is told.
pub(super) fn invalid(errors: &mut FieldErrors, path: &FieldPath, value: &Value, detail: impl Into<String>) {
    errors.push(match value {
        Value::Object(_) | Value::Array(_) => FieldError::invalid_shown(path, json_in_order(value, GO_ORDER), detail),
        _ => FieldError::invalid(path, value, detail),
    });
}

/// The fields of the structs that are shown in faults, where Go does not have them in alphabetical order.
const GO_ORDER: &[&str] = &["matchLabels", "matchExpressions", "key", "operator", "values", "SucceededIndexes"];

/// A value that must be there.
pub(super) fn required(errors: &mut FieldErrors, path: &FieldPath, detail: impl Into<String>) {
    errors.push(FieldError::required(path, detail));
}

/// A value that must not be there.
pub(super) fn forbidden(errors: &mut FieldErrors, path: &FieldPath, detail: impl Into<String>) {
    errors.push(FieldError::forbidden(path, detail));
}

/// A number that must not be negative; absent is 0.
pub(super) fn not_negative(errors: &mut FieldErrors, path: &FieldPath, value: &Value) {
    if value.as_i64().is_some_and(|number| number < 0) {
        invalid(errors, path, value, NEGATIVE);
    }
}

/// A number that must be positive.
pub(super) fn positive(errors: &mut FieldErrors, path: &FieldPath, value: i64) {
    if value <= 0 {
        invalid(errors, path, &value.into(), "must be greater than zero");
    }
}

/// A value that must stay as it was.
pub(super) fn immutable(errors: &mut FieldErrors, path: &FieldPath, new: &Value, old: &Value) {
    if new != old {
        invalid(errors, path, new, IMMUTABLE);
    }
}

/// A text that must be one of a few.
pub(super) fn one_of(errors: &mut FieldErrors, path: &FieldPath, value: &str, accepted: &[&str]) {
    if !accepted.contains(&value) {
        errors.push(FieldError::not_supported(path, &value.into(), accepted));
    }
}

/// A text that must be there, and be one of a few.
pub(super) fn required_one_of(errors: &mut FieldErrors, path: &FieldPath, value: &str, accepted: &[&str]) {
    if value.is_empty() {
        required(errors, path, "");
    } else {
        one_of(errors, path, value, accepted);
    }
}

/// A DNS label.
pub(super) fn label(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    invalid_each(errors, path, value, dns1123_label(value));
}

/// A DNS subdomain.
pub(super) fn subdomain(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    invalid_each(errors, path, value, dns1123_subdomain(value));
}

/// A name that may have a DNS subdomain before it.
pub(super) fn qualified(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    invalid_each(errors, path, value, qualified_name(value));
}

/// A name that can be one part of a path.
pub(super) fn path_segment(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    invalid_each(errors, path, value, atoll_api::validation::path_segment_name(value));
}

/// A name that must be there, and can be one part of a path.
pub(super) fn required_path_segment(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    if value.is_empty() {
        required(errors, path, "");
    } else {
        path_segment(errors, path, value);
    }
}

/// The value of a label.
pub(super) fn value_of_label(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    invalid_each(errors, path, value, label_value(value));
}

/// A value that is wrong, shown as Go shows a struct of its own: fields in its order, by its names.
pub(super) fn invalid_struct(errors: &mut FieldErrors, path: &FieldPath, fields: &[(&str, &Value)], detail: &str) {
    errors.push(FieldError::invalid_shown(path, go_struct(fields), detail));
}

/// A Go struct as JSON, in the order of its fields.
pub(super) fn go_struct(fields: &[(&str, &Value)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}
