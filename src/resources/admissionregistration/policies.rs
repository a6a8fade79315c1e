//! What is wrong with policies and their bindings.

use std::collections::BTreeSet;

use atoll_api::validation::{dns1035_label, dns1123_subdomain, validate_label_selector};
use atoll_api::{FieldError, FieldErrors, FieldPath, GroupVersion, Object};
use serde_json::Value;

use super::expressions::Words;
use super::rules::{FAILURE_POLICIES, REINVOCATION_POLICIES, choice, conditions, match_resources, only_mutable};
use crate::admission::expressions::{Purpose, Yield};
use crate::resources::checks::{
    forbidden, invalid, one_of, path, path_segment, qualified, required, required_one_of, subdomain,
};
use crate::resources::read::{field, is_set, list, strings, text};

const EITHER: &str = "validations or auditAnnotations must contain at least one item";
const BLANK: &str = "must be non-empty if specified";
const REASONS: &[&str] = &["Forbidden", "Invalid", "RequestEntityTooLarge"];
const ACTIONS: &[&str] = &["Audit", "Deny", "Warn"];
/// How many annotations a policy may write, and how long their expressions may be, in bytes.
const MAX_ANNOTATIONS: usize = 20;
const MAX_ANNOTATION: usize = 5 * 1024;
fn is_blank(value: &Value) -> bool {
    text(value).trim().is_empty()
}

/// Checks what policies of both kinds have, up to the variables.
fn common(policy: &Object, old: Option<&Object>, errors: &mut FieldErrors) -> Words {
    let spec = field(policy, "spec");
    let at = path("spec");
    choice(errors, &spec["failurePolicy"], &at.child("failurePolicy"), FAILURE_POLICIES);
    if is_set(&spec["paramKind"]) {
        param_kind(errors, &spec["paramKind"], &at.child("paramKind"));
    }
    let matched = &spec["matchConstraints"];
    let below = at.child("matchConstraints");
    if is_set(matched) {
        match_resources(errors, matched, &below);
        if list(&matched["resourceRules"]).is_empty() {
            required(errors, &below.child("resourceRules"), "");
        }
        if policy.kind() == "MutatingAdmissionPolicy" {
            only_mutable(errors, matched, &below);
        }
    } else {
        required(errors, &below, "");
    }
    let unchanged = old
        .map(|old| field(old, "spec"))
        .is_some_and(|old| old["paramKind"] == spec["paramKind"] && old["matchConditions"] == spec["matchConditions"]);
    let mut words =
        if policy.kind() == "MutatingAdmissionPolicy" { Words::of_mutations(spec) } else { Words::of(spec) };
    if !unchanged {
        conditions(errors, &spec["matchConditions"], &mut words.of_conditions(), &at.child("matchConditions"));
    }
    for (index, variable) in list(&spec["variables"]).iter().enumerate() {
        check_variable(errors, variable, &mut words, &at.child("variables").index(index));
    }
    words
}

fn param_kind(errors: &mut FieldErrors, kind: &Value, path: &FieldPath) {
    let at = path.child("apiVersion");
    let given = text(&kind["apiVersion"]);
    match given.matches('/').count() {
        _ if given.is_empty() => required(errors, &at, ""),
        0 | 1 => {
            let version = match given.split_once('/') {
                Some((group, version)) => GroupVersion::new(group, version),
                None => GroupVersion::new("", given),
            };
            let wrong = if version.group.is_empty() { Vec::new() } else { dns1123_subdomain(&version.group) };
            if !wrong.is_empty() {
                invalid(errors, &at, &(*version.group).into(), wrong.join(","));
            }
            let wrong = dns1035_label(&version.version);
            if version.version.is_empty() {
                invalid(errors, &at, &given.into(), "version must be specified");
            } else if !wrong.is_empty() {
                invalid(errors, &at, &(*version.version).into(), wrong.join(","));
            }
        }
        _ => invalid(errors, &at, &given.into(), format!("unexpected GroupVersion string: {given}")),
    }
    let name = text(&kind["kind"]);
    let wrong = dns1035_label(&name.to_lowercase());
    if name.is_empty() {
        required(errors, &path.child("kind"), "");
    } else if !wrong.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        invalid(errors, &path.child("kind"), &name.into(), detail);
    }
}

fn check_variable(errors: &mut FieldErrors, variable: &Value, words: &mut Words, path: &FieldPath) {
    let name = text(&variable["name"]);
    let well_formed = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !atoll_cel::is_reserved(name);
    if name.trim().is_empty() {
        required(errors, &path.child("name"), "name is not specified");
    } else if !well_formed {
        invalid(errors, &path.child("name"), &name.into(), "must be a valid CEL identifier");
    }
    if is_blank(&variable["expression"]) {
        required(errors, &path.child("expression"), "expression is not specified");
    } else {
        words.declare(errors, name, text(&variable["expression"]), &path.child("expression"));
    }
}

/// Checks a policy that checks.
pub(super) fn validating(policy: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    let mut words = common(policy, old, errors);
    let spec = field(policy, "spec");
    let at = path("spec");
    let (rules, annotations) = (list(&spec["validations"]), list(&spec["auditAnnotations"]));
    if rules.is_empty() && annotations.is_empty() {
        required(errors, &at.child("validations"), EITHER);
        required(errors, &at.child("auditAnnotations"), EITHER);
        return;
    }
    for (index, rule) in rules.iter().enumerate() {
        check_validation(errors, rule, &mut words, &at.child("validations").index(index));
    }
    let at = at.child("auditAnnotations");
    if annotations.len() > MAX_ANNOTATIONS {
        let detail = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        invalid(errors, &at, &spec["auditAnnotations"], detail);
    }
    let mut keys = BTreeSet::new();
    for (index, annotation) in annotations.iter().enumerate() {
        let at = at.index(index);
        check_annotation(errors, policy.name(), annotation, &mut words, &at);
        if !keys.insert(text(&annotation["key"])) {
            errors.push(FieldError::duplicate(&at.child("key"), &annotation["key"]));
        }
    }
}

fn check_validation(errors: &mut FieldErrors, rule: &Value, words: &mut Words, path: &FieldPath) {
    let at = path.child("expression");
    if is_blank(&rule["expression"]) {
        required(errors, &at, "expression is not specified");
    } else {
        words.check(errors, text(&rule["expression"]), (Purpose::Decision, Yield::Truth), &at);
    }
    let told = |name: &str| !text(&rule[name]).is_empty();
    let at = path.child("messageExpression");
    if told("messageExpression") && is_blank(&rule["messageExpression"]) {
        invalid(errors, &at, &rule["messageExpression"], BLANK);
    } else if told("messageExpression") {
        words.check(errors, text(&rule["messageExpression"]), (Purpose::Message, Yield::Text), &at);
    }
    if told("message") && is_blank(&rule["message"]) {
        invalid(errors, &path.child("message"), &rule["message"], BLANK);
    } else if text(&rule["message"]).trim().contains(['\n', '\r']) {
        invalid(errors, &path.child("message"), &rule["message"], "must not contain line breaks");
    }
    if let Some(reason) = rule["reason"].as_str() {
        one_of(errors, &path.child("reason"), reason, REASONS);
    }
}

fn check_annotation(errors: &mut FieldErrors, policy: &str, annotation: &Value, words: &mut Words, path: &FieldPath) {
    let key = text(&annotation["key"]);
    if policy.is_empty() {
        invalid(errors, &path.child("key"), &key.into(), "requires metadata.name be non-empty");
    } else {
        qualified(errors, &path.child("key"), &format!("{policy}/{key}"));
    }
    let expression = text(&annotation["valueExpression"]).trim();
    if expression.is_empty() {
        required(errors, &path.child("valueExpression"), "valueExpression is not specified");
    } else if expression.len() > MAX_ANNOTATION {
        let detail = format!("must not exceed {MAX_ANNOTATION} bytes in length");
        required(errors, &path.child("valueExpression"), detail);
    } else {
        words.check_annotation(errors, text(&annotation["valueExpression"]), &path.child("valueExpression"));
    }
}

/// Checks the status of a policy that checks.
pub(super) fn validating_status(policy: &Object, errors: &mut FieldErrors) {
    let status = field(policy, "status");
    let at = path("status.typeChecking.expressionWarnings");
    for (index, warning) in list(&status["typeChecking"]["expressionWarnings"]).iter().enumerate() {
        let at = at.index(index);
        if text(&warning["warning"]).is_empty() {
            required(errors, &at.child("warning"), "");
        }
        if is_blank(&warning["fieldRef"]) {
            required(errors, &at.child("fieldRef"), "");
        }
    }
    crate::resources::checks::conditions::conditions(errors, &path("status.conditions"), &status["conditions"]);
}

/// Checks a policy that changes.
pub(super) fn mutating(policy: &Object, old: Option<&Object>, errors: &mut FieldErrors) {
    let mut words = common(policy, old, errors);
    let spec = field(policy, "spec");
    let at = path("spec");
    let mutations = list(&spec["mutations"]);
    if mutations.is_empty() {
        required(errors, &at.child("mutations"), "mutations must contain at least one item");
    }
    for (index, mutation) in mutations.iter().enumerate() {
        check_mutation(errors, mutation, &mut words, &at.child("mutations").index(index));
    }
    let again = text(&spec["reinvocationPolicy"]);
    required_one_of(errors, &at.child("reinvocationPolicy"), again, REINVOCATION_POLICIES);
}

fn check_mutation(errors: &mut FieldErrors, mutation: &Value, words: &mut Words, path: &FieldPath) {
    let (wanted, other, made) = match text(&mutation["patchType"]) {
        "JSONPatch" => ("jsonPatch", "applyConfiguration", Yield::Patches),
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch", Yield::Object),
        kind => {
            let at = path.child("patchType");
            return required_one_of(errors, &at, kind, &["ApplyConfiguration", "JSONPatch"]);
        }
    };
    let kind = text(&mutation["patchType"]);
    if !is_set(&mutation[wanted]) {
        required(errors, &path.child(wanted), format!("must be specified when patchType is {kind}"));
    } else if is_blank(&mutation[wanted]["expression"]) {
        required(errors, &path.child(wanted).child("expression"), "");
    } else {
        let expression = text(&mutation[wanted]["expression"]).trim();
        words.check(errors, expression, (Purpose::Change, made), &path.child(wanted).child("expression"));
    }
    if is_set(&mutation[other]) {
        let shown = format!("{{{other}}}");
        let detail = format!("must not be specified when patchType is {kind}");
        invalid(errors, &path.child(other), &shown.into(), detail);
    }
}

/// Checks where a policy applies.
pub(super) fn binding(binding: &Object, errors: &mut FieldErrors) {
    let spec = field(binding, "spec");
    let at = path("spec");
    match text(&spec["policyName"]) {
        "" => required(errors, &at.child("policyName"), ""),
        name => subdomain(errors, &at.child("policyName"), name),
    }
    if is_set(&spec["paramRef"]) {
        param_ref(errors, &spec["paramRef"], &at.child("paramRef"));
    }
    let matched = &spec["matchResources"];
    if is_set(matched) {
        match_resources(errors, matched, &at.child("matchResources"));
        if binding.kind() == "MutatingAdmissionPolicyBinding" {
            only_mutable(errors, matched, &at.child("matchResources"));
        }
    }
}

/// Checks what a binding of a policy that checks does about faults.
pub(super) fn actions(binding: &Object, errors: &mut FieldErrors) {
    let given = &field(binding, "spec")["validationActions"];
    let at = path("spec.validationActions");
    let mut seen = BTreeSet::new();
    for (index, action) in strings(given).into_iter().enumerate() {
        one_of(errors, &at.index(index), action, ACTIONS);
        if !seen.insert(action) {
            errors.push(FieldError::duplicate(&at.index(index), &action.into()));
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        invalid(errors, &at, given, detail);
    }
    if seen.is_empty() {
        required(errors, &at, "at least one validation action is required");
    }
}

fn param_ref(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    const ONE: &str = "name and selector are mutually exclusive";
    let name = text(&reference["name"]);
    let selector = &reference["selector"];
    if !name.is_empty() {
        path_segment(errors, &path.child("name"), name);
        if is_set(selector) {
            forbidden(errors, &path.child("name"), ONE);
        }
    }
    if is_set(selector) {
        validate_label_selector(selector, &path.child("selector"), errors);
        if !name.is_empty() {
            forbidden(errors, &path.child("selector"), ONE);
        }
    }
    if name.is_empty() && !is_set(selector) {
        required(errors, path, "one of name or selector must be specified");
    }
    let action = text(&reference["parameterNotFoundAction"]);
    required_one_of(errors, &path.child("parameterNotFoundAction"), action, &["Deny", "Allow"]);
}
