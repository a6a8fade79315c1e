//! Checks that controllers of pods share: selectors, rolling updates, counts in their status.

use atoll_api::validation::{dns1123_label, percent, validate_label_selector};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::{go_struct, invalid, not_negative, required};
use crate::resources::podspec::template_warnings;
use crate::resources::read::{int, is_set, size};

/// The selector of a controller: it must be there, be well formed, and not select everything.
pub(in crate::resources) fn own_selector(errors: &mut FieldErrors, selector: &Value, path: &FieldPath, kind: &str) {
    if !is_set(selector) {
        return required(errors, path, "");
    }
    validate_label_selector(selector, path, errors);
    if size(&selector["matchLabels"]) + size(&selector["matchExpressions"]) == 0 {
        invalid(errors, path, selector, format!("empty selector is invalid for {kind}"));
    }
}

/// A count or a percentage, neither negative.
pub(in crate::resources) fn count_or_percent(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    match value {
        Value::String(share) => {
            for detail in percent(share) {
                invalid(errors, path, value, detail);
            }
        }
        other => not_negative(errors, path, other),
    }
}

/// A percentage that must not be more than 100; counts may be anything.
pub(in crate::resources) fn at_most_all(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    if value.as_str().and_then(share).is_some_and(|share| share > 100) {
        invalid(errors, path, value, "must not be greater than 100%");
    }
}

/// The number in a percentage.
fn share(text: &str) -> Option<i64> {
    text.strip_suffix('%').and_then(|number| number.parse().ok())
}

/// The number in a count or percentage, or in a text that is but a number, as Go takes it; 0 if there is none.
pub(in crate::resources) fn count_or_share(value: &Value) -> i64 {
    let number = |text: &str| share(text).or_else(|| text.parse().ok()).unwrap_or(0);
    value.as_str().map_or(int(value), number)
}

/// Counts in a status: none negative.
pub(in crate::resources) fn counts(errors: &mut FieldErrors, status: &Value, path: &FieldPath, fields: &[&str]) {
    for field in fields {
        not_negative(errors, &path.child(field), &status[*field]);
    }
}

/// Counts in a status that cannot exceed another.
pub(in crate::resources) fn at_most(
    errors: &mut FieldErrors,
    status: &Value,
    path: &FieldPath,
    fields: &[&str],
    bound: &str,
    detail: &str,
) {
    for field in fields {
        if int(&status[*field]) > int(&status[bound]) {
            invalid(errors, &path.child(field), &int(&status[*field]).into(), detail);
        }
    }
}

/// The number of collisions of hashes is never counted down.
pub(in crate::resources) fn collisions(errors: &mut FieldErrors, new: &Value, old: &Value, path: &FieldPath) {
    let before = old["collisionCount"].as_i64();
    let now = new["collisionCount"].as_i64();
    if before.is_some_and(|before| now.unwrap_or(0) < before || now.is_none()) {
        invalid(errors, &path.child("collisionCount"), &now.unwrap_or(0).into(), "cannot be decremented");
    }
}

/// A strategy of a kind that is not known; the whole strategy is shown.
pub(in crate::resources) fn unknown_strategy(
    errors: &mut FieldErrors,
    strategy: &Value,
    path: &FieldPath,
    accepted: &[&str],
) {
    let rolling = &strategy["rollingUpdate"];
    let rolling = match is_set(rolling) {
        true => go_struct(&[("MaxUnavailable", &rolling["maxUnavailable"]), ("MaxSurge", &rolling["maxSurge"])]),
        false => "null".to_owned(),
    };
    let mut fault = FieldError::not_supported(path, &Value::Null, accepted);
    fault.value = Some(format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", strategy["type"]));
    errors.push(fault);
}

/// Names of controllers become parts of the names of pods, which should be DNS labels.
fn name_warning(name: &str) -> Option<String> {
    let wrong = dns1123_label(name);
    (!wrong.is_empty()).then(|| {
        let wrong = wrong.join(" ");
        format!("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{wrong}]")
    })
}

/// The warnings for a controller of pods: about its name, and about its template.
pub(in crate::resources) fn pods_warnings(object: &Object, old: Option<&Object>, template: &str) -> Vec<String> {
    let about_name = if old.is_none() { name_warning(object.name()) } else { None };
    about_name.into_iter().chain(template_warnings(object, old, template)).collect()
}
