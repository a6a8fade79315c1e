//! Checks of what claims ask for: requests, constraints between them, and configuration for drivers.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::lists::{by_name, by_text, elements, unique};
use super::names::{fully_qualified_name, toleration};
use super::selectors::selectors;
use crate::resources::checks::{invalid, label, one_of, positive, required, subdomain};
use crate::resources::podspec::driver_name;
use crate::resources::read::{int, is_set, list, text};

/// The most requests of a claim, and the most references to them in one place.
const MAX_REQUESTS: usize = 32;
const MAX_CONSTRAINTS: usize = 32;
/// The most configurations of a claim or class; an allocation has those of both.
pub(super) const MAX_CONFIGURATIONS: usize = 32;
/// The most alternatives of a request.
const MAX_ALTERNATIVES: usize = 8;
/// The longest parameters for a driver, in bytes of JSON.
const MAX_PARAMETERS: usize = 10 * 1024;

/// The names of a claim's requests, each with those of its alternatives.
pub(super) struct RequestNames<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

/// Whether something is as it is stored already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Novelty {
    /// It is new, or has changed.
    New,
    /// It stays as it is: how long it may be is not asked again.
    Stored,
}

// === impl RequestNames ===

impl<'a> RequestNames<'a> {
    /// Those of `spec.devices`.
    pub(super) fn of(devices: &'a Value) -> Self {
        let named = |request: &'a Value| text(&request["name"]);
        let alternatives = |request: &'a Value| list(&request["firstAvailable"]).iter().map(named).collect();
        Self(list(&devices["requests"]).iter().map(|request| (named(request), alternatives(request))).collect())
    }

    fn has(&self, request: &str, alternative: Option<&str>) -> bool {
        self.0.get(request).is_some_and(|known| alternative.is_none_or(|name| known.contains(name)))
    }

    /// Checks the name of a request, or of a request and one of its alternatives.
    pub(super) fn check(&self, errors: &mut FieldErrors, name: &str, path: &FieldPath) {
        let detail = "must be the name of a request in the claim or the name of a request and a subrequest separated \
                      by '/'";
        let (request, alternative) = match name.split_once('/') {
            Some((_, rest)) if rest.contains('/') => return invalid(errors, path, &name.into(), detail),
            Some((request, alternative)) => (request, Some(alternative)),
            None => (name, None),
        };
        label(errors, path, request);
        if let Some(alternative) = alternative {
            label(errors, path, alternative);
        }
        if !self.has(request, alternative) {
            invalid(errors, path, &name.into(), detail);
        }
    }

    /// Checks the names in a list.
    pub(super) fn check_all(&self, errors: &mut FieldErrors, names: &Value, path: &FieldPath) {
        unique(errors, names, MAX_REQUESTS, path, by_text, |errors, name, path| self.check(errors, text(name), path));
    }
}

/// Checks the `spec` of a claim.
pub(super) fn claim_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let (devices, path) = (&spec["devices"], path.child("devices"));
    let names = RequestNames::of(devices);
    unique(errors, &devices["requests"], MAX_REQUESTS, &path.child("requests"), by_name, request);
    elements(errors, &devices["constraints"], MAX_CONSTRAINTS, &path.child("constraints"), |errors, of, path| {
        names.check_all(errors, &of["requests"], &path.child("requests"));
        constraint(errors, of, path);
    });
    elements(errors, &devices["config"], MAX_CONFIGURATIONS, &path.child("config"), |errors, config, path| {
        names.check_all(errors, &config["requests"], &path.child("requests"));
        configuration(errors, config, path, Novelty::New);
    });
}

fn request(errors: &mut FieldErrors, request: &Value, path: &FieldPath) {
    label(errors, &path.child("name"), text(&request["name"]));
    let (exactly, alternatives) = (&request["exactly"], &request["firstAvailable"]);
    match (is_set(exactly), !list(alternatives).is_empty()) {
        (false, false) => required(errors, path, "exactly one of `exactly` or `firstAvailable` is required"),
        (true, true) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            invalid(errors, path, &Value::Null, detail);
        }
        (true, false) => wanted(errors, exactly, &path.child("exactly")),
        (false, true) => {
            let path = path.child("firstAvailable");
            unique(errors, alternatives, MAX_ALTERNATIVES, &path, by_name, |errors, alternative, path| {
                label(errors, &path.child("name"), text(&alternative["name"]));
                wanted(errors, alternative, path);
            });
        }
    }
}

/// Checks which devices are wanted, and how many.
fn wanted(errors: &mut FieldErrors, wanted: &Value, path: &FieldPath) {
    let at = path.child("deviceClassName");
    match text(&wanted["deviceClassName"]) {
        "" => required(errors, &at, ""),
        class => subdomain(errors, &at, class),
    }
    selectors(errors, &wanted["selectors"], &path.child("selectors"));
    let count = int(&wanted["count"]);
    match text(&wanted["allocationMode"]) {
        "ExactCount" => positive(errors, &path.child("count"), count),
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            invalid(errors, &path.child("count"), &count.into(), detail);
        }
        mode => one_of(errors, &path.child("allocationMode"), mode, &["All", "ExactCount"]),
    }
    for (index, of) in list(&wanted["tolerations"]).iter().enumerate() {
        toleration(errors, of, &path.child("tolerations").index(index));
    }
}

fn constraint(errors: &mut FieldErrors, constraint: &Value, path: &FieldPath) {
    let named = ["matchAttribute", "distinctAttribute"].into_iter().find(|field| is_set(&constraint[*field]));
    match named {
        Some(field) => fully_qualified_name(errors, text(&constraint[field]), &path.child(field)),
        None => {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields \
                          are set";
            required(errors, path, detail);
        }
    }
}

/// Checks what a driver is told.
pub(super) fn configuration(errors: &mut FieldErrors, config: &Value, path: &FieldPath, novelty: Novelty) {
    let (opaque, path) = (&config["opaque"], path.child("opaque"));
    if !is_set(opaque) {
        return required(errors, &path, "");
    }
    driver_name(errors, text(&opaque["driver"]), &path.child("driver"));
    raw_object(errors, &opaque["parameters"], &path.child("parameters"), (novelty, MAX_PARAMETERS));
}

/// Checks that something of any content is an object, and not too long.
pub(super) fn raw_object(errors: &mut FieldErrors, value: &Value, path: &FieldPath, (novelty, max): (Novelty, usize)) {
    if !is_set(value) {
        required(errors, path, "");
    } else if novelty == Novelty::New && value.to_string().len() > max {
        errors.push(FieldError::too_long(path, max));
    } else if !value.is_object() {
        invalid(errors, path, &"<value omitted>".into(), "must be a valid JSON object");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::checks::path;

    fn told(devices: Value) -> Vec<String> {
        let mut errors = FieldErrors::new();
        claim_spec(&mut errors, &json!({"devices": devices}), &path("s"));
        errors.iter().map(|error| format!("{}: {}", error.path, error.body())).collect()
    }

    fn exactly(more: Value) -> Value {
        let mut exactly = json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1});
        for (field, value) in more.as_object().expect("tests write objects") {
            exactly[field] = value.clone();
        }
        json!({"requests": [{"name": "r", "exactly": exactly}]})
    }

    #[test]
    fn requests_are_for_something_in_one_way() {
        assert!(told(exactly(json!({}))).is_empty());
        assert_eq!(
            told(json!({"requests": [{"name": "r"}]})),
            ["s.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"]
        );
        let both = json!({"requests": [{"name": "r", "exactly": {}, "firstAvailable": [{}]}]});
        assert_eq!(
            told(both),
            [
                "s.devices.requests[0]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but \
              multiple fields are set"
            ]
        );
    }

    #[test]
    fn what_is_wanted_is_checked_field_by_field() {
        let at = "s.devices.requests[0].exactly";
        for (change, expected) in [
            (json!({"deviceClassName": ""}), "deviceClassName: Required value"),
            (json!({"count": 0}), "count: Invalid value: 0: must be greater than zero"),
            (
                json!({"allocationMode": "All"}),
                "count: Invalid value: 1: must not be specified when allocationMode is 'All'",
            ),
            (
                json!({"allocationMode": "Some"}),
                "allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\"",
            ),
            (json!({"selectors": [{}]}), "selectors[0].cel: Required value"),
            (json!({"selectors": vec![json!({}); 33]}), "selectors: Too many: 33: must have at most 32 items"),
            (
                json!({"tolerations": [{"operator": "Exists", "value": "v"}]}),
                "tolerations[0].value: Invalid value: \"v\": must be empty for operator `Exists`",
            ),
            (
                json!({"tolerations": [{"operator": "Equal", "effect": "No"}]}),
                "tolerations[0].effect: Unsupported value: \"No\": supported values: \"NoExecute\", \"NoSchedule\", \
                 \"None\"",
            ),
        ] {
            assert_eq!(told(exactly(change)), [format!("{at}.{expected}")]);
        }
    }

    #[test]
    fn constraints_and_configuration_refer_to_requests() {
        let names = json!([
            {"name": "r", "exactly": {"deviceClassName": "c", "allocationMode": "All"}},
            {"name": "f", "firstAvailable": [{"name": "s", "deviceClassName": "c", "allocationMode": "All"}]},
        ]);
        let refer = |name: &str| {
            let constraint = json!({"requests": [name], "matchAttribute": "d.example.com/a"});
            told(json!({"requests": names, "constraints": [constraint]})).len()
        };
        for (name, faults) in [("r", 0), ("f", 0), ("f/s", 0), ("r/s", 1), ("f/t", 1), ("x", 1), ("f/s/t", 1)] {
            assert_eq!(refer(name), faults, "{name}");
        }
        let config = |config: Value| told(json!({"config": [config]}));
        assert_eq!(config(json!({})), ["s.devices.config[0].opaque: Required value"]);
        assert!(config(json!({"opaque": {"driver": "d", "parameters": {}}})).is_empty());
        assert_eq!(
            config(json!({"opaque": {"driver": "d", "parameters": []}})),
            ["s.devices.config[0].opaque.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object"]
        );
        let long = json!({"opaque": {"driver": "d", "parameters": {"a": "x".repeat(10 * 1024)}}});
        assert_eq!(config(long), ["s.devices.config[0].opaque.parameters: Too long: may not be more than 10240 bytes"]);
    }

    #[test]
    fn names_of_requests_are_used_once() {
        let twice = json!({"requests": [exactly(json!({}))["requests"][0], exactly(json!({}))["requests"][0]]});
        assert_eq!(told(twice), ["s.devices.requests[1]: Duplicate value: \"r\""]);
        assert_eq!(
            told(json!({"requests": vec![json!({}); 33]})),
            ["s.devices.requests: Too many: 33: must have at most 32 items"]
        );
    }
}
