//! What is wrong with rules, and with who they are bound to.

use atoll_api::validation::{dns1123_subdomain, validate_label_selector};
use atoll_api::{FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::GROUP;
use crate::resources::checks::{invalid, invalid_each, one_of, path, required, required_path_segment};
use crate::resources::read::{field, is_set, list, text};

/// Whether rules hold in a namespace, or everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// In a namespace.
    Namespace,
    /// Everywhere.
    Cluster,
}

/// Checks the rules of a role.
pub(super) fn rules(errors: &mut FieldErrors, role: &Object, reach: Reach) {
    for (index, rule) in list(field(role, "rules")).iter().enumerate() {
        check_rule(errors, rule, reach, &path("rules").index(index));
    }
}

fn check_rule(errors: &mut FieldErrors, rule: &Value, reach: Reach, path: &FieldPath) {
    let empty = |name: &str| list(&rule[name]).is_empty();
    if empty("verbs") {
        required(errors, &path.child("verbs"), "verbs must contain at least one value");
    }
    if !empty("nonResourceURLs") {
        let at = path.child("nonResourceURLs");
        if reach == Reach::Namespace {
            invalid(errors, &at, &rule["nonResourceURLs"], "namespaced rules cannot apply to non-resource URLs");
        }
        if !(empty("apiGroups") && empty("resources") && empty("resourceNames")) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            invalid(errors, &at, &rule["nonResourceURLs"], detail);
        }
        return;
    }
    if empty("apiGroups") {
        required(errors, &path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if empty("resources") {
        required(errors, &path.child("resources"), "resource rules must supply at least one resource");
    }
}

/// Checks how a role is put together of others.
pub(super) fn aggregation(errors: &mut FieldErrors, role: &Object) {
    let rule = field(role, "aggregationRule");
    if !is_set(rule) {
        return;
    }
    let at = path("aggregationRule.clusterRoleSelectors");
    let selectors = list(&rule["clusterRoleSelectors"]);
    if selectors.is_empty() {
        required(errors, &at, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for (index, selector) in selectors.iter().enumerate() {
        let at = at.index(index);
        let before = errors.len();
        validate_label_selector(selector, &at, errors);
        if errors.len() > before {
            invalid(errors, &at, &Value::Null, "invalid label selector.");
        }
    }
}

/// Checks a binding: the role and the subjects.
pub(super) fn binding(errors: &mut FieldErrors, binding: &Object, reach: Reach) {
    let role = field(binding, "roleRef");
    let at = path("roleRef");
    one_of(errors, &at.child("apiGroup"), text(&role["apiGroup"]), &[GROUP]);
    let kinds: &[&str] = match reach {
        Reach::Namespace => &["Role", "ClusterRole"],
        Reach::Cluster => &["ClusterRole"],
    };
    one_of(errors, &at.child("kind"), text(&role["kind"]), kinds);
    required_path_segment(errors, &at.child("name"), text(&role["name"]));
    for (index, subject) in list(field(binding, "subjects")).iter().enumerate() {
        check_subject(errors, subject, reach, &path("subjects").index(index));
    }
}

fn check_subject(errors: &mut FieldErrors, subject: &Value, reach: Reach, path: &FieldPath) {
    let name = text(&subject["name"]);
    if name.is_empty() {
        required(errors, &path.child("name"), "");
    }
    let group = text(&subject["apiGroup"]);
    match text(&subject["kind"]) {
        "ServiceAccount" => {
            if !name.is_empty() {
                invalid_each(errors, &path.child("name"), name, dns1123_subdomain(name));
            }
            one_of(errors, &path.child("apiGroup"), group, &[""]);
            if reach == Reach::Cluster && text(&subject["namespace"]).is_empty() {
                required(errors, &path.child("namespace"), "");
            }
        }
        "User" | "Group" => one_of(errors, &path.child("apiGroup"), group, &[GROUP]),
        kind => one_of(errors, &path.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    }
}

/// What a binding binds to never changes.
pub(super) fn same_role(errors: &mut FieldErrors, binding: &Object, old: &Object) {
    let role = field(binding, "roleRef");
    if role != field(old, "roleRef") {
        let shown =
            format!("{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}", role["apiGroup"], role["kind"], role["name"]);
        errors.push(atoll_api::FieldError::invalid_shown(&path("roleRef"), shown, "cannot change roleRef"));
    }
}
