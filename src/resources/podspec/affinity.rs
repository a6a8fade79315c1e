//! Checks of where pods may run: node selectors, affinities, spreading, tolerations.

use std::collections::BTreeSet;

use atoll_api::validation::{dns1123_label, dns1123_subdomain, label_value, qualified_name, validate_label_selector};
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use crate::resources::checks::{forbidden, invalid, invalid_each, one_of, positive, required, value_of_label};
use crate::resources::read::{entries, int, is_set, list, strings, text};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(errors: &mut FieldErrors, affinity: &Value, path: &FieldPath) {
    let (node, at) = (&affinity["nodeAffinity"], path.child("nodeAffinity"));
    if is_set(&node[REQUIRED]) {
        node_selector(errors, &node[REQUIRED], &at.child(REQUIRED));
    }
    for (index, preferred) in list(&node[PREFERRED]).iter().enumerate() {
        let path = at.child(PREFERRED).index(index);
        weight(errors, preferred, &path);
        node_term(errors, &preferred["preference"], &path.child("preference"), Values::Any);
    }
    for part in ["podAffinity", "podAntiAffinity"] {
        for (index, term) in list(&affinity[part][REQUIRED]).iter().enumerate() {
            pod_term(errors, term, &path.child(part).child(REQUIRED).index(index));
        }
        for (index, preferred) in list(&affinity[part][PREFERRED]).iter().enumerate() {
            let path = path.child(part).child(PREFERRED).index(index);
            weight(errors, preferred, &path);
            pod_term(errors, &preferred["podAffinityTerm"], &path.child("podAffinityTerm"));
        }
    }
}

fn weight(errors: &mut FieldErrors, preferred: &Value, path: &FieldPath) {
    let weight = int(&preferred["weight"]);
    if !(1..=100).contains(&weight) {
        invalid(errors, &path.child("weight"), &weight.into(), "must be in the range 1-100");
    }
}

/// Whether the values of an expression must be values that labels can have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    OfLabels,
    Any,
}

/// Checks a selector of nodes (`core/v1` `NodeSelector`).
pub(in crate::resources) fn node_selector(errors: &mut FieldErrors, selector: &Value, path: &FieldPath) {
    let path = path.child("nodeSelectorTerms");
    let terms = list(&selector["nodeSelectorTerms"]);
    if terms.is_empty() {
        return required(errors, &path, "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(errors, term, &path.index(index), Values::OfLabels);
    }
}

fn node_term(errors: &mut FieldErrors, term: &Value, path: &FieldPath, values: Values) {
    for (index, expression) in list(&term["matchExpressions"]).iter().enumerate() {
        node_expression(errors, expression, &path.child("matchExpressions").index(index), values);
    }
    for (index, field) in list(&term["matchFields"]).iter().enumerate() {
        node_field(errors, field, &path.child("matchFields").index(index));
    }
}

fn node_expression(errors: &mut FieldErrors, expression: &Value, path: &FieldPath, values: Values) {
    let given = strings(&expression["values"]);
    let at = path.child("values");
    match (text(&expression["operator"]), given.len()) {
        ("In" | "NotIn", 0) => required(errors, &at, "must be specified when `operator` is 'In' or 'NotIn'"),
        ("Exists" | "DoesNotExist", 1..) => {
            forbidden(errors, &at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        ("Gt" | "Lt", count) if count != 1 => {
            required(errors, &at, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt", _) => {}
        (operator, _) => {
            invalid(errors, &path.child("operator"), &operator.into(), "not a valid selector operator");
        }
    }
    let key = text(&expression["key"]);
    invalid_each(errors, &path.child("key"), key, qualified_name(key));
    if values == Values::OfLabels {
        for (index, value) in given.into_iter().enumerate() {
            value_of_label(errors, &at.index(index), value);
        }
    }
}

fn node_field(errors: &mut FieldErrors, field: &Value, path: &FieldPath) {
    let values = strings(&field["values"]);
    match text(&field["operator"]) {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            required(errors, &path.child("values"), detail);
        }
        operator => invalid(errors, &path.child("operator"), &operator.into(), "not a valid selector operator"),
    }
    let key = text(&field["key"]);
    if key != "metadata.name" {
        return invalid(errors, &path.child("key"), &key.into(), "not a valid field selector key");
    }
    for (index, value) in values.into_iter().enumerate() {
        invalid_each(errors, &path.child("values").index(index), value, dns1123_subdomain(value));
    }
}

fn pod_term(errors: &mut FieldErrors, term: &Value, path: &FieldPath) {
    for part in ["labelSelector", "namespaceSelector"] {
        validate_label_selector(&term[part], &path.child(part), errors);
    }
    for namespace in strings(&term["namespaces"]) {
        invalid_each(errors, &path.child("namespace"), namespace, dns1123_label(namespace));
    }
    match_label_keys(errors, term, path);
    let key = text(&term["topologyKey"]);
    if key.is_empty() {
        required(errors, &path.child("topologyKey"), "can not be empty");
    }
    invalid_each(errors, &path.child("topologyKey"), key, qualified_name(key));
}

/// Keys of labels whose values are taken from the pod itself.
fn match_label_keys(errors: &mut FieldErrors, term: &Value, path: &FieldPath) {
    let selector = &term["labelSelector"];
    for part in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = strings(&term[part]);
        if !keys.is_empty() && !is_set(selector) {
            forbidden(errors, &path.child(part), "must not be specified when labelSelector is not set");
            continue;
        }
        for (index, key) in keys.into_iter().enumerate() {
            invalid_each(errors, &path.child(part).index(index), key, qualified_name(key));
        }
    }
    let (same, other) = (strings(&term["matchLabelKeys"]), strings(&term["mismatchLabelKeys"]));
    let mut selected: BTreeSet<&str> = entries(&selector["matchLabels"]).map(|(key, _)| key).collect();
    for expression in list(&selector["matchExpressions"]) {
        let key = text(&expression["key"]);
        if let Some(index) = same.iter().rposition(|same| *same == key)
            && selected.contains(key)
        {
            invalid(errors, &path.index(index), &key.into(), "exists in both matchLabelKeys and labelSelector");
        }
        selected.insert(key);
    }
    for (index, key) in same.into_iter().enumerate().filter(|(_, key)| other.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        invalid(errors, &path.child("matchLabelKeys").index(index), &key.into(), detail);
    }
}

pub(super) fn spread_constraints(errors: &mut FieldErrors, constraints: &Value, path: &FieldPath) {
    const POLICIES: &[&str] = &["Honor", "Ignore"];
    let constraints = list(constraints);
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let (key, action) = (text(&constraint["topologyKey"]), text(&constraint["whenUnsatisfiable"]));
        positive(errors, &path.child("maxSkew"), int(&constraint["maxSkew"]));
        if key.is_empty() {
            required(errors, &path.child("topologyKey"), "can not be empty");
        }
        one_of(errors, &path.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let same = |other: &&Value| other["topologyKey"] == key && other["whenUnsatisfiable"] == action;
        if constraints[index + 1..].iter().any(|other| same(&other)) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(&path, &format!("{{{key}, {action}}}").into()));
        }
        if let Some(domains) = constraint["minDomains"].as_i64() {
            positive(errors, &path.child("minDomains"), domains);
            if action != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                invalid(errors, &path.child("minDomains"), &domains.into(), detail);
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = constraint[field].as_str() {
                one_of(errors, &path.child(field), policy, POLICIES);
            }
        }
        match_label_keys(errors, constraint, &path);
        validate_label_selector(&constraint["labelSelector"], &path.child("labelSelector"), errors);
    }
}

/// The effects of taints.
pub(in crate::resources) const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Checks the taints that a pod bears.
pub(in crate::resources) fn tolerations(errors: &mut FieldErrors, tolerations: &Value, path: &FieldPath) {
    for (index, toleration) in list(tolerations).iter().enumerate() {
        let path = path.index(index);
        let (key, value) = (text(&toleration["key"]), text(&toleration["value"]));
        let (operator, effect) = (text(&toleration["operator"]), text(&toleration["effect"]));
        let at = path.child("operator");
        if !key.is_empty() {
            invalid_each(errors, &path.child("key"), key, qualified_name(key));
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            invalid(errors, &at, &operator.into(), detail);
        }
        if is_set(&toleration["tolerationSeconds"]) && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            invalid(errors, &path.child("effect"), &effect.into(), detail);
        }
        match operator {
            "Equal" | "" => {
                let wrong = label_value(value);
                if !wrong.is_empty() {
                    invalid(errors, &at, &value.into(), wrong.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                invalid(errors, &at, &value.into(), "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            // Comparisons are an alpha feature, but Kubernetes names them in this message all the same (1.36).
            "Lt" | "Gt" => {
                errors.push(FieldError::not_supported(&at, &operator.into(), &["Equal", "Exists", "Lt", "Gt"]));
            }
            _ => one_of(errors, &at, operator, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            one_of(errors, &path.child("effect"), effect, EFFECTS);
        }
    }
}
