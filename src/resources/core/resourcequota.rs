//! ResourceQuotas: how much a namespace may hold.

use std::collections::BTreeSet;

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::checks::amounts::{amount_of, is_for_quotas, quota_resource_name};
use crate::resources::checks::{IMMUTABLE, go_struct, invalid, path, required};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{entries, field, list, quantity, strings, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "resourcequotas",
    kind: "ResourceQuota",
    short_names: &["quota"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.ResourceQuota",
        columns: &[
            column("Request", "string", "What is requested, of what may be."),
            column("Limit", "string", "What is limited to, of what may be."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    validate_create,
    validate_update: Some(validate_update),
    validate_status_update,
    cells,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let status = field(object, "status");
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in entries(&status["hard"]) {
        let shown = format!("{name}: {}/{}", quantity(&status["used"][name]), quantity(hard));
        if name.starts_with("limits.") { limits.push(shown) } else { requests.push(shown) }
    }
    vec![requests.join(", ").into(), limits.join(", ").into(), age(object, now)]
}

fn validate_create(quota: &Object, errors: &mut FieldErrors) {
    let spec = field(quota, "spec");
    amounts(&spec["hard"], &path("spec.hard"), errors);
    scopes(spec, errors);
    scope_selector(spec, errors);
}

fn amounts(amounts: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    for (name, amount) in entries(amounts) {
        quota_resource_name(errors, &path.key(name), name);
        amount_of(errors, &path.key(name), name, amount);
    }
}

const OF_PODS: &[&str] = &["pods"];
const OF_COMPUTING: &[&str] = &["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const OF_CLAIMS: &[&str] = &["persistentvolumeclaims", "requests.storage"];

/// Whether a scope makes sense for a resource.
fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            OF_PODS.contains(&resource) || OF_COMPUTING.contains(&resource)
        }
        "BestEffort" => OF_PODS.contains(&resource),
        "VolumeAttributesClass" => OF_CLAIMS.contains(&resource),
        _ => true,
    }
}

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "VolumeAttributesClass",
    "CrossNamespacePodAffinity",
];
const CONFLICTS: [(&str, &str); 2] = [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")];

fn scopes(spec: &Value, errors: &mut FieldErrors) {
    let (path, shown) = (path("spec.scopes"), &spec["scopes"]);
    let scopes = strings(shown);
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            invalid(errors, &path, shown, "unsupported scope");
        }
        for (resource, _) in entries(&spec["hard"]) {
            if is_for_quotas(resource) && !fits(scope, resource) {
                invalid(errors, &path, shown, "unsupported scope applied to resource");
            }
        }
    }
    for (one, other) in CONFLICTS {
        if scopes.contains(&one) && scopes.contains(&other) {
            invalid(errors, &path, shown, "conflicting scopes");
        }
    }
}

fn scope_selector(spec: &Value, errors: &mut FieldErrors) {
    let path = path("spec.scopeSelector.matchExpressions");
    let selector = &spec["scopeSelector"];
    let mut seen = BTreeSet::new();
    for requirement in list(&selector["matchExpressions"]) {
        let scope = text(&requirement["scopeName"]);
        if !SCOPES.contains(&scope) {
            invalid(errors, &path.child("scopeName"), &scope.into(), "unsupported scope");
        }
        for (resource, _) in entries(&spec["hard"]) {
            if is_for_quotas(resource) && !fits(scope, resource) {
                let fault = FieldError::invalid_shown(&path, shown(selector), "unsupported scope applied to resource");
                errors.push(fault);
            }
        }
        validate_operator(requirement, scope, &path, errors);
        seen.insert(scope);
    }
    for (one, other) in CONFLICTS {
        if seen.contains(one) && seen.contains(other) {
            invalid(errors, &path, &spec["scopes"], "conflicting scopes");
        }
    }
}

/// The selector as Go shows its internal type, whose fields have no JSON names.
fn shown(selector: &Value) -> String {
    let one = |requirement: &Value| {
        let (scope, operator) = (&requirement["scopeName"], &requirement["operator"]);
        go_struct(&[("ScopeName", scope), ("Operator", operator), ("Values", &requirement["values"])])
    };
    let requirements: Vec<String> = list(&selector["matchExpressions"]).iter().map(one).collect();
    format!("{{\"MatchExpressions\":[{}]}}", requirements.join(","))
}

fn validate_operator(requirement: &Value, scope: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let operator = text(&requirement["operator"]);
    let only_exists = SCOPES.contains(&scope) && !["PriorityClass", "VolumeAttributesClass"].contains(&scope);
    if only_exists && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        invalid(errors, &path.child("operator"), &operator.into(), detail);
    }
    match (operator, list(&requirement["values"]).is_empty()) {
        ("In" | "NotIn", true) => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            required(errors, &path.child("values"), detail);
        }
        ("Exists" | "DoesNotExist", false) => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            invalid(errors, &path.child("values"), &requirement["values"], detail);
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
        _ => invalid(errors, &path.child("operator"), &operator.into(), "not a valid selector operator"),
    }
}

fn validate_update(quota: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_create(quota, errors);
    let scopes = |object| strings(&field(object, "spec")["scopes"]).into_iter().collect::<BTreeSet<_>>();
    if scopes(quota) != scopes(old) {
        invalid(errors, &path("spec.scopes"), &field(quota, "spec")["scopes"], IMMUTABLE);
    }
}

fn validate_status_update(quota: &Object, _: &Object, errors: &mut FieldErrors) {
    let status = field(quota, "status");
    amounts(&status["hard"], &path("status.hard"), errors);
    amounts(&status["used"], &path("status.used"), errors);
}
