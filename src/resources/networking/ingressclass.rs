//! IngressClasses: which controller serves which ingresses.

use atoll_api::validation::{dns1123_label, dns1123_subdomain};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::Value;

use super::ingress_checks::typed_reference;
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::checks::{forbidden, immutable, invalid, invalid_each, one_of, path, required};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, NAME, Version, column};
use crate::resources::printing::{NONE, age};
use crate::resources::read::{field, is_set, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "ingressclasses",
    kind: "IngressClass",
    versions: &[Version {
        api_version: "networking.k8s.io/v1",
        type_name: "networking.v1.IngressClass",
        columns: &[
            NAME,
            column("Controller", "string", "The controller of the class."),
            column("Parameters", "string", "An object with parameters for the controller."),
            AGE,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    validate_create,
    validate_update: Some(|class, old, errors| {
        let controller = |class: &Object| field(class, "spec")["controller"].clone();
        immutable(errors, &path("spec.controller"), &controller(class), &controller(old));
        validate_create(class, errors);
    }),
    cells,
    type_defaults: &[("networking.v1.IngressClassParametersReference", |reference| set(reference, "scope", "Cluster"))],
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let is_default = object.annotation("ingressclass.kubernetes.io/is-default-class") == Some("true");
    let name = if is_default { format!("{} (default)", object.name()) } else { object.name().to_owned() };
    let parameters = match &spec["parameters"] {
        Value::Object(_) => {
            let reference = &spec["parameters"];
            let group = reference["apiGroup"].as_str().map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", text(&reference["kind"]), text(&reference["name"]))
        }
        _ => NONE.to_owned(),
    };
    vec![name.into(), text(&spec["controller"]).into(), parameters.into(), age(object, now)]
}

/// The longest name of a controller, in bytes.
const MAX_CONTROLLER: usize = 250;

fn validate_create(class: &Object, errors: &mut FieldErrors) {
    let spec = field(class, "spec");
    let controller = text(&spec["controller"]);
    let at = path("spec.controller");
    if controller.len() > MAX_CONTROLLER {
        errors.push(FieldError::too_long(&at, MAX_CONTROLLER));
    }
    domain_prefixed_path(errors, controller, &at);
    if is_set(&spec["parameters"]) {
        check_parameters(errors, &spec["parameters"], &path("spec.parameters"));
    }
}

/// `acme.io/foo`.
fn domain_prefixed_path(errors: &mut FieldErrors, value: &str, path: &FieldPath) {
    const PATH: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
    let is_in_path = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    match value.split_once('/') {
        _ if value.is_empty() => required(errors, path, ""),
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            invalid_each(errors, path, domain, dns1123_subdomain(domain));
            if !rest.chars().all(is_in_path) {
                let detail = format!("Invalid path (regex used for validation is '{PATH}')");
                invalid(errors, path, &rest.into(), detail);
            }
        }
        _ => invalid(errors, path, &value.into(), "must be a domain-prefixed path (such as \"acme.io/foo\")"),
    }
}

fn check_parameters(errors: &mut FieldErrors, parameters: &Value, path: &FieldPath) {
    typed_reference(errors, parameters, path);
    let namespace = parameters["namespace"].as_str();
    let at = path.child("namespace");
    match (text(&parameters["scope"]), namespace) {
        ("Namespace", None) => required(errors, &at, "`parameters.scope` is set to 'Namespace'"),
        ("Namespace", Some(name)) => invalid_each(errors, &at, name, dns1123_label(name)),
        ("Cluster", Some(_)) => forbidden(errors, &at, "`parameters.scope` is set to 'Cluster'"),
        ("Cluster", None) => {}
        (scope, _) => one_of(errors, &path.child("scope"), scope, &["Cluster", "Namespace"]),
    }
}
