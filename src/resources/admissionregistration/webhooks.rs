//! What is wrong with configurations of webhooks.

use std::collections::BTreeSet;

use atoll_api::validation::{dns1035_label, validate_label_selector};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::rules::{FAILURE_POLICIES, MATCH_POLICIES, REINVOCATION_POLICIES, conditions, full_name, rule};
use crate::admission::expressions::{Params, Vocabulary};
use crate::resources::checks::webhooks::client_config;
use crate::resources::checks::{invalid, invalid_each, one_of, path, required};
use crate::resources::read::{field, is_set, list, strings, text};

/// The versions of reviews that this server sends.
const REVIEWS: &[&str] = &["v1", "v1beta1"];
const HARMLESS: &[&str] = &["None", "NoneOnDryRun"];
const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun", "Some", "Unknown"];
/// The longest time to wait for a webhook, in seconds.
const MAX_TIMEOUT: i64 = 30;

/// What a configuration had wrong before a change, and may therefore keep.
#[derive(Default)]
struct Existing {
    side_effects: bool,
    reviews: bool,
    names: bool,
    conditions: bool,
}

/// Checks a new configuration.
pub(super) fn validate_create(configuration: &Object, errors: &mut FieldErrors) {
    validate(configuration, &Existing::default(), errors);
}

/// Checks a changed configuration.
pub(super) fn validate_update(configuration: &Object, old: &Object, errors: &mut FieldErrors) {
    let (hooks, before) = (list(field(configuration, "webhooks")), list(field(old, "webhooks")));
    let mut names = BTreeSet::new();
    let existing = Existing {
        side_effects: before.iter().any(|hook| !HARMLESS.contains(&text(&hook["sideEffects"]))),
        reviews: before.iter().any(|hook| {
            let versions = strings(&hook["admissionReviewVersions"]);
            !versions.is_empty() && !versions.iter().any(|version| REVIEWS.contains(version))
        }),
        names: !before.iter().all(|hook| names.insert(text(&hook["name"]))),
        conditions: hooks.len() == before.len()
            && hooks.iter().zip(before).all(|(new, old)| new["matchConditions"] == old["matchConditions"]),
    };
    validate(configuration, &existing, errors);
}

fn validate(configuration: &Object, existing: &Existing, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (index, hook) in list(field(configuration, "webhooks")).iter().enumerate() {
        let at = path("webhooks").index(index);
        check(errors, hook, existing, &at);
        check_reviews(errors, &hook["admissionReviewVersions"], existing, &at.child("admissionReviewVersions"));
        let name = text(&hook["name"]);
        if !existing.names && !name.is_empty() && !names.insert(name) {
            errors.push(FieldError::duplicate(&at.child("name"), &name.into()));
        }
    }
}

fn check(errors: &mut FieldErrors, hook: &Value, existing: &Existing, path: &FieldPath) {
    full_name(errors, text(&hook["name"]), &path.child("name"));
    for (index, given) in list(&hook["rules"]).iter().enumerate() {
        rule(errors, given, &path.child("rules").index(index));
    }
    let choice = |errors: &mut FieldErrors, name: &str, accepted: &[&str]| {
        if let Some(value) = hook[name].as_str() {
            one_of(errors, &path.child(name), value, accepted);
        }
    };
    choice(errors, "failurePolicy", FAILURE_POLICIES);
    choice(errors, "matchPolicy", MATCH_POLICIES);
    let side_effects = if existing.side_effects { SIDE_EFFECTS } else { HARMLESS };
    if is_set(&hook["sideEffects"]) {
        choice(errors, "sideEffects", side_effects);
    } else {
        let detail = format!("must specify one of {}", side_effects.join(", "));
        required(errors, &path.child("sideEffects"), detail);
    }
    let timeout = &hook["timeoutSeconds"];
    if timeout.as_i64().is_some_and(|seconds| !(1..=MAX_TIMEOUT).contains(&seconds)) {
        let detail = format!("the timeout value must be between 1 and {MAX_TIMEOUT} seconds");
        invalid(errors, &path.child("timeoutSeconds"), timeout, detail);
    }
    for name in ["namespaceSelector", "objectSelector"] {
        validate_label_selector(&hook[name], &path.child(name), errors);
    }
    choice(errors, "reinvocationPolicy", REINVOCATION_POLICIES);
    client_config(errors, &hook["clientConfig"], &path.child("clientConfig"));
    if !existing.conditions {
        let mut words = Vocabulary::without_variables(Params::Absent);
        conditions(errors, &hook["matchConditions"], &mut words, &path.child("matchConditions"));
    }
}

fn check_reviews(errors: &mut FieldErrors, versions: &Value, existing: &Existing, path: &FieldPath) {
    let all = strings(versions);
    if all.is_empty() {
        return required(errors, path, format!("must specify one of {}", REVIEWS.join(", ")));
    }
    let mut seen = BTreeSet::new();
    for (index, version) in all.iter().enumerate() {
        if seen.insert(version) {
            invalid_each(errors, &path.index(index), version, dns1035_label(version));
        } else {
            invalid(errors, &path.index(index), &(*version).into(), "duplicate version");
        }
    }
    if !existing.reviews && !all.iter().any(|version| REVIEWS.contains(version)) {
        invalid(errors, path, versions, format!("must include at least one of {}", REVIEWS.join(", ")));
    }
}
