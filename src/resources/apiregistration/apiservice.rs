//! APIServices: who serves which group and version.

use atoll_api::validation::{dns1035_label, dns1123_subdomain, path_segment_name, port_number};
use atoll_api::{FieldError, FieldErrors, Object};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::resource::{MetadataChecks, NameRule, Part};
use crate::registry::seconds;
use crate::request::RequestContext;
use crate::resources::checks::{invalid, invalid_each, one_of, path, required};
use crate::resources::core::secret::bytes;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{condition, field, flag, int, is_set, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "apiservices",
    kind: "APIService",
    categories: &["api-extensions"],
    versions: &[Version {
        api_version: "apiregistration.k8s.io/v1",
        type_name: "apiregistration.v1.APIService",
        columns: &[
            column("Service", "string", "The service that serves it."),
            column("Available", "string", "Whether it can be reached."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL,
    status_keeps: &["metadata", "spec"],
    name_rule: NameRule::Own,
    stamp,
    validate_create,
    validate_status_update: |service, _, errors| {
        for (index, condition) in list(&field(service, "status")["conditions"]).iter().enumerate() {
            let at = path("status.conditions").index(index).child("status");
            one_of(errors, &at, text(&condition["status"]), &["True", "False", "Unknown"]);
        }
    },
    cells,
    type_defaults: &[("apiregistration.v1.ServiceReference", |service| set(service, "port", 443))],
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let service = &field(object, "spec")["service"];
    let target = match is_set(service) {
        true => format!("{}/{}", text(&service["namespace"]), text(&service["name"])),
        false => "Local".to_owned(),
    };
    let available = match condition(&field(object, "status")["conditions"], "Available") {
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!("{} ({})", text(&condition["status"]), text(&condition["reason"])),
        None => "Unknown".to_owned(),
    };
    vec![target.into(), available.into(), age(object, now)]
}

/// What the server itself serves is always there.
fn stamp(cx: &RequestContext, service: &mut Object, old: Option<&Object>, _: Part) {
    if old.is_none() && !is_set(&field(service, "spec")["service"]) {
        let condition = json!({
            "type": "Available",
            "status": "True",
            "lastTransitionTime": seconds(cx.now),
            "reason": "Local",
            "message": "Local APIServices are always available",
        });
        service.0.insert("status".into(), json!({"conditions": [condition]}));
    }
}

const MAX_GROUP_PRIORITY: i64 = 20_000;
const MAX_VERSION_PRIORITY: i64 = 1000;

fn validate_create(service: &Object, errors: &mut FieldErrors) {
    let spec = field(service, "spec");
    let at = path("spec");
    let (group, version) = (text(&spec["group"]), text(&spec["version"]));
    check_name(errors, service.name(), &format!("{version}.{group}"));
    if group.is_empty() && version != "v1" {
        required(errors, &at.child("group"), "only v1 may have an empty group and it better be legacy kube");
    }
    if !group.is_empty() {
        invalid_each(errors, &at.child("group"), group, dns1123_subdomain(group));
    }
    invalid_each(errors, &at.child("version"), version, dns1035_label(version));
    let priorities = [("groupPriorityMinimum", MAX_GROUP_PRIORITY), ("versionPriority", MAX_VERSION_PRIORITY)];
    for (name, most) in priorities {
        let given = int(&spec[name]);
        if !(1..=most).contains(&given) {
            invalid(errors, &at.child(name), &given.into(), format!("must be positive and less than {most}"));
        }
    }
    check_backend(errors, spec);
}

fn check_name(errors: &mut FieldErrors, name: &str, wanted: &str) {
    let at = path("metadata.name");
    let wrong = path_segment_name(name);
    if name.is_empty() {
        errors.push(FieldError::required(&at, "name or generateName is required"));
    } else if !wrong.is_empty() {
        invalid_each(errors, &at, name, wrong);
    } else if name != wanted {
        invalid(errors, &at, &name.into(), format!("must be `spec.version+\".\"+spec.group`: {wanted:?}"));
    }
}

fn check_backend(errors: &mut FieldErrors, spec: &Value) {
    let at = path("spec");
    let insecure = at.child("insecureSkipTLSVerify");
    let authorities = bytes(&spec["caBundle"]).len();
    let backend = &spec["service"];
    if !is_set(backend) {
        if authorities > 0 {
            let shown = format!("{authorities} bytes").into();
            invalid(errors, &at.child("caBundle"), &shown, "local APIServices may not have a caBundle");
        }
        if flag(&spec["insecureSkipTLSVerify"]) {
            invalid(errors, &insecure, &true.into(), "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    }
    for name in ["namespace", "name"] {
        if text(&backend[name]).is_empty() {
            required(errors, &at.child("service").child(name), "");
        }
    }
    let port = int(&backend["port"]);
    let wrong = port_number(port);
    if !wrong.is_empty() {
        let detail = format!("port is not valid: {}", wrong.join(", "));
        invalid(errors, &at.child("service").child("port"), &port.into(), detail);
    }
    if flag(&spec["insecureSkipTLSVerify"]) && authorities > 0 {
        invalid(errors, &insecure, &true.into(), "may not be true if caBundle is present");
    }
}
