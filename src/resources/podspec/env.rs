//! Checks of environment variables and of where their values come from.

use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::mounts::no_backsteps;
use crate::resources::checks::{invalid, invalid_each, label, one_of, qualified, required, subdomain};
use crate::resources::read::{is_set, list, quantity, text};

/// Fields of a pod that variables may show.
const POD_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// All paths that `fieldRef` understands.
const CONVERTIBLE: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const CONTAINER_FIELDS: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn env(errors: &mut FieldErrors, variables: &Value, path: &FieldPath) {
    for (index, variable) in list(variables).iter().enumerate() {
        let path = path.index(index);
        match text(&variable["name"]) {
            "" => required(errors, &path.child("name"), ""),
            name => variable_name(errors, &path.child("name"), name),
        }
        value_from(errors, variable, &path.child("valueFrom"));
    }
}

/// Any printable ASCII but `=` may be in a variable's name.
fn variable_name(errors: &mut FieldErrors, path: &FieldPath, name: &str) {
    if name.is_empty() {
        return invalid(errors, path, &name.into(), "environment variable name must be non-empty");
    }
    if !name.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        let detail = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        invalid(errors, path, &name.into(), detail);
    }
}

fn value_from(errors: &mut FieldErrors, variable: &Value, path: &FieldPath) {
    let from = &variable["valueFrom"];
    if !is_set(from) {
        return;
    }
    let mut sources = 0;
    let mut source = |name: &str| {
        sources += usize::from(is_set(&from[name]));
        is_set(&from[name]).then(|| (&from[name], path.child(name)))
    };
    if let Some((reference, path)) = source("fieldRef") {
        object_field(errors, reference, POD_FIELDS, &path);
    }
    if let Some((reference, path)) = source("resourceFieldRef") {
        resource_field(errors, reference, Container::OwnOne, &path);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if let Some((reference, path)) = source(name) {
            key_selector(errors, reference, &path);
        }
    }
    if let Some((reference, path)) = source("fileKeyRef") {
        file_key_selector(errors, reference, &path);
    }
    let detail = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if !text(&variable["value"]).is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    invalid(errors, path, &"".into(), detail);
}

/// A reference to a field of the pod itself.
pub(super) fn object_field(errors: &mut FieldErrors, reference: &Value, accepted: &[&str], path: &FieldPath) {
    let (version, field) = (text(&reference["apiVersion"]), text(&reference["fieldPath"]));
    let at = path.child("fieldPath");
    if version.is_empty() {
        return required(errors, &path.child("apiVersion"), "");
    }
    if field.is_empty() {
        return required(errors, &at, "");
    }
    let subscript = field.strip_suffix("']").and_then(|field| field.split_once("['"));
    let base = subscript.map_or(field, |(base, _)| base);
    let cannot = |why: String| format!("error converting fieldPath: {why}");
    if version != "v1" {
        return invalid(errors, &at, &field.into(), cannot(format!("unsupported pod version: {version}")));
    }
    let convertible = match subscript {
        Some((base, _)) => matches!(base, "metadata.annotations" | "metadata.labels"),
        None => CONVERTIBLE.contains(&field) || field == "spec.host",
    };
    if !convertible {
        let why = match subscript {
            Some((base, _)) if CONVERTIBLE.contains(&base) => {
                format!("field label does not support subscript: {field}")
            }
            _ => format!("field label not supported: {base}"),
        };
        return invalid(errors, &at, &field.into(), cannot(why));
    }
    match subscript {
        Some(("metadata.annotations", key)) => qualified(errors, path, &key.to_lowercase()),
        Some((_, key)) => qualified(errors, path, key),
        None => one_of(errors, &at, if field == "spec.host" { "spec.nodeName" } else { field }, accepted),
    }
}

/// Which container's amounts are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// The one the variable is for.
    OwnOne,
    /// One that must be named.
    Named,
}

/// A reference to what a container requests or is limited to.
pub(super) fn resource_field(errors: &mut FieldErrors, reference: &Value, which: Container, path: &FieldPath) {
    let resource = text(&reference["resource"]);
    let huge = resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-");
    if which == Container::Named && text(&reference["containerName"]).is_empty() {
        required(errors, &path.child("containerName"), "");
    } else if resource.is_empty() {
        required(errors, &path.child("resource"), "");
    } else if !huge {
        one_of(errors, &path.child("resource"), resource, CONTAINER_FIELDS);
    }
    divisor(errors, resource, &reference["divisor"], &path.child("divisor"));
}

fn divisor(errors: &mut FieldErrors, resource: &str, value: &Value, path: &FieldPath) {
    const OF_BYTES: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    let amount = quantity(value);
    if amount.is_zero() {
        return;
    }
    let shown = amount.to_string();
    let of = match resource.split_once('.').map_or("", |(_, resource)| resource) {
        "cpu" => {
            if shown != "1" && shown != "1m" {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                invalid(errors, path, &resource.into(), detail);
            }
            return;
        }
        "memory" => "memory",
        "ephemeral-storage" => "local ephemeral storage",
        name if name.starts_with("hugepages-") => "hugepages",
        _ => return,
    };
    if !OF_BYTES.split(", ").any(|unit| unit == shown) {
        let detail = format!("only divisor's values {OF_BYTES} are supported with the {of} resource");
        invalid(errors, path, &resource.into(), detail);
    }
}

fn key_selector(errors: &mut FieldErrors, selector: &Value, path: &FieldPath) {
    subdomain(errors, &path.child("name"), text(&selector["name"]));
    match text(&selector["key"]) {
        "" => required(errors, &path.child("key"), ""),
        key => invalid_each(errors, &path.child("key"), key, atoll_api::validation::config_map_key(key)),
    }
}

fn file_key_selector(errors: &mut FieldErrors, selector: &Value, path: &FieldPath) {
    match text(&selector["key"]) {
        "" => required(errors, &path.child("key"), ""),
        key => variable_name(errors, &path.child("key"), key),
    }
    match text(&selector["volumeName"]) {
        "" => required(errors, &path.child("volumeName"), ""),
        name => label(errors, &path.child("volumeName"), name),
    }
    match text(&selector["path"]) {
        "" => required(errors, &path.child("path"), ""),
        file => no_backsteps(errors, &path.child("path"), file),
    }
}

pub(super) fn env_from(errors: &mut FieldErrors, sources: &Value, path: &FieldPath) {
    for (index, source) in list(sources).iter().enumerate() {
        let at = path.index(index);
        let prefix = text(&source["prefix"]);
        if !prefix.is_empty() {
            variable_name(errors, &at.child("prefix"), prefix);
        }
        let mut count = 0;
        for name in ["configMapRef", "secretRef"] {
            if !is_set(&source[name]) {
                continue;
            }
            count += 1;
            let path = at.child(name).child("name");
            match text(&source[name]["name"]) {
                "" => required(errors, &path, ""),
                // A prefix of a name is accepted here (ValidateEnvFrom, 1.36).
                name => subdomain(errors, &path, name.strip_suffix('-').unwrap_or(name)),
            }
        }
        match count {
            0 => invalid(errors, path, &"".into(), "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => invalid(errors, path, &"".into(), "may not have more than one field specified at a time"),
        }
    }
}
