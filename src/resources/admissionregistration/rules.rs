//! What is wrong with rules of what to match, in webhooks and policies.

use std::collections::BTreeSet;

use atoll_api::validation::{dns1123_subdomain, qualified_name, validate_label_selector};
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::expressions;
use crate::admission::expressions::Vocabulary;
use crate::resources::checks::{invalid, invalid_each, one_of, path_segment, required};
use crate::resources::read::{is_set, list, strings, text};

pub(super) const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
pub(super) const REINVOCATION_POLICIES: &[&str] = &["IfNeeded", "Never"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const MUTATED: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
/// How many conditions there may be.
const MAX_CONDITIONS: usize = 64;

/// Checks a rule with the operations it is about.
pub(super) fn rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let operations = strings(&rule["operations"]);
    let at = path.child("operations");
    if operations.is_empty() {
        required(errors, &at, "");
    }
    if operations.len() > 1 && operations.contains(&"*") {
        invalid(errors, &at, &rule["operations"], "if '*' is present, must not specify other operations");
    }
    for (index, operation) in operations.into_iter().enumerate() {
        one_of(errors, &at.index(index), operation, OPERATIONS);
    }
    for (name, others) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let all = strings(&rule[name]);
        if all.is_empty() {
            required(errors, &path.child(name), "");
        }
        if all.len() > 1 && all.contains(&"*") {
            let detail = format!("if '*' is present, must not specify other {others}");
            invalid(errors, &path.child(name), &rule[name], detail);
        }
        if name == "apiVersions" {
            for (index, _) in all.iter().enumerate().filter(|(_, version)| version.is_empty()) {
                required(errors, &path.child(name).index(index), "");
            }
        }
    }
    resources(errors, &rule["resources"], &path.child("resources"));
    if let Some(scope) = rule["scope"].as_str() {
        one_of(errors, &path.child("scope"), scope, SCOPES);
    }
}

/// Checks names of resources, with or without a subresource; `*` stands for any.
fn resources(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let all = strings(value);
    if all.is_empty() {
        required(errors, path, "");
    }
    let (mut whole, mut everywhere) = (BTreeSet::new(), BTreeSet::new());
    let mut has_plain = false;
    for (index, given) in all.iter().enumerate() {
        if given.is_empty() {
            required(errors, &path.index(index), "");
            continue;
        }
        let Some((resource, subresource)) = given.split_once('/') else {
            has_plain = *given != "*";
            continue;
        };
        let mut wrong = |present: String| {
            let detail = format!("if '{present}' is present, must not specify {given}");
            invalid(errors, &path.index(index), &(*given).into(), detail);
        };
        if whole.contains(resource) {
            wrong(format!("{resource}/*"));
        }
        if everywhere.contains(subresource) {
            wrong(format!("*/{subresource}"));
        }
        if subresource == "*" {
            whole.insert(resource);
        }
        if resource == "*" {
            everywhere.insert(subresource);
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        invalid(errors, path, value, "if '*/*' is present, must not specify other resources");
    }
    if all.contains(&"*") && has_plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        invalid(errors, path, value, detail);
    }
}

/// A text that must be there, where an empty text is there.
pub(super) fn choice(errors: &mut FieldErrors, value: &Value, path: &FieldPath, accepted: &[&str]) {
    match value.as_str() {
        Some(value) => one_of(errors, path, value, accepted),
        None => required(errors, path, ""),
    }
}

/// Checks what a policy or its binding matches.
pub(super) fn match_resources(errors: &mut FieldErrors, resources: &Value, path: &FieldPath) {
    choice(errors, &resources["matchPolicy"], &path.child("matchPolicy"), MATCH_POLICIES);
    for name in ["namespaceSelector", "objectSelector"] {
        if is_set(&resources[name]) {
            validate_label_selector(&resources[name], &path.child(name), errors);
        } else {
            required(errors, &path.child(name), "");
        }
    }
    for name in ["resourceRules", "excludeResourceRules"] {
        for (index, given) in list(&resources[name]).iter().enumerate() {
            let at = path.child(name).index(index);
            resource_names(errors, &given["resourceNames"], &at.child("resourceNames"));
            rule(errors, given, &at);
        }
    }
}

fn resource_names(errors: &mut FieldErrors, names: &Value, path: &FieldPath) {
    let mut seen = BTreeSet::new();
    for (index, name) in strings(names).into_iter().enumerate() {
        path_segment(errors, &path.index(index), name);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path.index(index), &name.into()));
        }
    }
}

/// What is deleted cannot be changed.
pub(super) fn only_mutable(errors: &mut FieldErrors, resources: &Value, path: &FieldPath) {
    let at = path.child("resourceRules").child("operations");
    for rule in list(&resources["resourceRules"]) {
        for operation in strings(&rule["operations"]) {
            one_of(errors, &at, operation, MUTATED);
        }
    }
}

/// Checks the conditions under which a webhook or policy is asked.
pub(super) fn conditions(errors: &mut FieldErrors, conditions: &Value, words: &mut Vocabulary, path: &FieldPath) {
    let conditions = list(conditions);
    if conditions.len() > MAX_CONDITIONS {
        errors.push(FieldError::too_many(path, conditions.len(), MAX_CONDITIONS));
    }
    let mut names = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let at = path.index(index);
        match text(&condition["expression"]).trim() {
            "" => required(errors, &at.child("expression"), ""),
            expression => expressions::condition(errors, words, expression, &at.child("expression")),
        }
        let name = text(&condition["name"]);
        if name.is_empty() {
            required(errors, &at.child("name"), "");
            continue;
        }
        invalid_each(errors, &at.child("name"), name, qualified_name(name));
        if !names.insert(name) {
            errors.push(FieldError::duplicate(&at.child("name"), &name.into()));
        }
    }
}

/// The name of a webhook: a domain of at least three parts.
pub(super) fn full_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let wrong = dns1123_subdomain(name);
    if name.is_empty() {
        required(errors, path, "");
    } else if !wrong.is_empty() {
        invalid(errors, path, &name.into(), wrong.join(","));
    } else if name.split('.').count() < 3 {
        invalid(errors, path, &name.into(), "should be a domain with at least three segments separated by dots");
    }
}
