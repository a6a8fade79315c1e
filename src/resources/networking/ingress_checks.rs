//! What is wrong with an ingress.

use atoll_api::validation::{dns1123_label, dns1123_subdomain, port_name, wildcard_dns1123_subdomain};
use atoll_api::{FieldErrors, FieldPath, Object};
use serde_json::Value;

use crate::resources::checks::network::{legacy_ip, parse_ip_sloppily, port};
use crate::resources::checks::{invalid, invalid_each, one_of, path, required, required_path_segment, subdomain};
use crate::resources::read::{field, is_set, list, text};

/// The annotation that named the class before there was a field.
pub(super) const CLASS: &str = "kubernetes.io/ingress.class";
const NOT_AN_ADDRESS: &str = "must be a DNS name, not an IP address";

/// What an ingress had wrong before a change, and may therefore keep.
#[derive(Default, Clone, Copy)]
pub(super) struct Existing {
    secret_names: bool,
    wildcard_rules: bool,
}

impl Existing {
    /// What is wrong with this ingress.
    pub(super) fn of(ingress: &Object) -> Self {
        let spec = field(ingress, "spec");
        let bad_secret = |tls: &Value| {
            let name = text(&tls["secretName"]);
            !name.is_empty() && !dns1123_subdomain(name).is_empty()
        };
        let bad_rule = |rule: &Value| {
            let mut errors = FieldErrors::new();
            if text(&rule["host"]).contains('*') {
                check_http(&mut errors, &rule["http"], &FieldPath::root());
            }
            !errors.is_empty()
        };
        Self {
            secret_names: list(&spec["tls"]).iter().any(bad_secret),
            wildcard_rules: list(&spec["rules"]).iter().any(bad_rule),
        }
    }
}

/// Checks the specification.
pub(super) fn validate(ingress: &Object, existing: Existing, errors: &mut FieldErrors) {
    let spec = field(ingress, "spec");
    let at = path("spec");
    let rules = list(&spec["rules"]);
    let default = &spec["defaultBackend"];
    if rules.is_empty() && !is_set(default) {
        invalid(errors, &at, &spec["rules"], "either `defaultBackend` or `rules` must be specified");
    }
    if is_set(default) {
        check_backend(errors, default, &at.child("defaultBackend"));
    }
    for (index, rule) in rules.iter().enumerate() {
        check_rule(errors, rule, existing, &at.child("rules").index(index));
    }
    for (index, tls) in list(&spec["tls"]).iter().enumerate() {
        check_tls(errors, tls, existing, &at.child("tls").index(index));
    }
    if let Some(class) = spec["ingressClassName"].as_str() {
        subdomain(errors, &at.child("ingressClassName"), class);
    }
}

/// The annotation and the field may not name different classes.
pub(super) fn one_class(ingress: &Object, errors: &mut FieldErrors) {
    if let Some(annotated) = ingress.annotation(CLASS)
        && let Some(class) = field(ingress, "spec")["ingressClassName"].as_str()
        && annotated != class
    {
        // Kubernetes leaves out that annotations are part of the metadata.
        let at = path("annotations").child(CLASS);
        invalid(errors, &at, &annotated.into(), "must match `ingressClassName` when both are specified");
    }
}

fn host_name(errors: &mut FieldErrors, host: &str, path: &FieldPath) {
    let wrong = if host.contains('*') { wildcard_dns1123_subdomain(host) } else { dns1123_subdomain(host) };
    invalid_each(errors, path, host, wrong);
}

fn check_tls(errors: &mut FieldErrors, tls: &Value, existing: Existing, path: &FieldPath) {
    for (index, host) in list(&tls["hosts"]).iter().enumerate() {
        host_name(errors, text(host), &path.child("hosts").index(index));
    }
    let secret = text(&tls["secretName"]);
    if !existing.secret_names && !secret.is_empty() {
        subdomain(errors, &path.child("secretName"), secret);
    }
}

fn check_rule(errors: &mut FieldErrors, rule: &Value, existing: Existing, path: &FieldPath) {
    let host = text(&rule["host"]);
    if !host.is_empty() {
        let at = path.child("host");
        if parse_ip_sloppily(host).is_some() {
            invalid(errors, &at, &host.into(), NOT_AN_ADDRESS);
        }
        host_name(errors, host, &at);
    }
    if !host.contains('*') || !existing.wildcard_rules {
        check_http(errors, &rule["http"], &path.child("http"));
    }
}

fn check_http(errors: &mut FieldErrors, http: &Value, path: &FieldPath) {
    if !is_set(http) {
        return;
    }
    let paths = list(&http["paths"]);
    if paths.is_empty() {
        required(errors, &path.child("paths"), "");
    }
    for (index, entry) in paths.iter().enumerate() {
        check_path(errors, entry, &path.child("paths").index(index));
    }
}

fn check_path(errors: &mut FieldErrors, entry: &Value, path: &FieldPath) {
    let Some(kind) = entry["pathType"].as_str() else {
        return required(errors, &path.child("pathType"), "pathType must be specified");
    };
    let value = text(&entry["path"]);
    let at = path.child("path");
    let mut wrong = |detail: String| invalid(errors, &at, &value.into(), detail);
    let absolute = value.starts_with('/');
    match kind {
        "Exact" | "Prefix" => {
            if !absolute {
                wrong("must be an absolute path".into());
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|part| value.contains(part)) {
                wrong(format!("must not contain '{part}'"));
            }
            for end in ["/..", "/."].into_iter().filter(|end| value.ends_with(end)) {
                wrong(format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" if !absolute && !value.is_empty() => wrong("must be an absolute path".into()),
        "ImplementationSpecific" => {}
        kind => one_of(errors, &path.child("pathType"), kind, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    check_backend(errors, &entry["backend"], &path.child("backend"));
}

fn check_backend(errors: &mut FieldErrors, backend: &Value, path: &FieldPath) {
    let (resource, service) = (&backend["resource"], &backend["service"]);
    match (is_set(resource), is_set(service)) {
        (true, true) => invalid(errors, path, &"".into(), "cannot set both resource and service backends"),
        (true, false) => typed_reference(errors, resource, &path.child("resource")),
        (false, true) => check_service(errors, service, path),
        (false, false) => invalid(errors, path, &"".into(), "resource or service backend is required"),
    }
}

fn check_service(errors: &mut FieldErrors, service: &Value, path: &FieldPath) {
    let at = path.child("service");
    match text(&service["name"]) {
        "" => required(errors, &at.child("name"), ""),
        name => invalid_each(errors, &at.child("name"), name, dns1123_label(name)),
    }
    let name = text(&service["port"]["name"]);
    let number = service["port"]["number"].as_i64().unwrap_or(0);
    match (name, number) {
        ("", 0) => required(errors, path, "port name or number is required"),
        ("", number) => port(errors, &at.child("port").child("number"), number),
        (name, 0) => invalid_each(errors, &at.child("port").child("name"), name, port_name(name)),
        _ => invalid(errors, path, &"".into(), "cannot set both port name & port number"),
    }
}

/// A reference to an object by group, kind and name.
pub(super) fn typed_reference(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    if let Some(group) = reference["apiGroup"].as_str() {
        subdomain(errors, &path.child("apiGroup"), group);
    }
    for name in ["kind", "name"] {
        required_path_segment(errors, &path.child(name), text(&reference[name]));
    }
}

/// Checks a changed status.
pub(super) fn validate_status_update(ingress: &Object, old: &Object, errors: &mut FieldErrors) {
    let points = |ingress: &Object| field(ingress, "status")["loadBalancer"]["ingress"].clone();
    let known: Vec<String> = list(&points(old)).iter().map(|point| text(&point["ip"]).to_owned()).collect();
    let known: std::collections::BTreeSet<String> = known.into_iter().collect();
    for (index, point) in list(&points(ingress)).iter().enumerate() {
        let at = path("status.loadBalancer.ingress").index(index);
        let address = text(&point["ip"]);
        if !address.is_empty() && !known.contains(address) {
            legacy_ip(errors, &at.child("ip"), address);
        }
        let host = text(&point["hostname"]);
        if !host.is_empty() {
            subdomain(errors, &at.child("hostname"), host);
            if parse_ip_sloppily(host).is_some() {
                invalid(errors, &at.child("hostname"), &host.into(), NOT_AN_ADDRESS);
            }
        }
    }
}
