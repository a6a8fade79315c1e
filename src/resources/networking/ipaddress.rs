//! IPAddresses: which object holds which address.

use atoll_api::{FieldErrors, GroupResource, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::NameRule;
use crate::resources::checks::network::strict_ip;
use crate::resources::checks::{immutable, path, path_segment, required, required_path_segment, subdomain};
use crate::resources::kind::{Kind, Version, column};
use crate::resources::printing::{NONE, age};
use crate::resources::read::{field, is_set, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "ipaddresses",
    kind: "IPAddress",
    short_names: &["ip"],
    versions: &[Version {
        api_version: "networking.k8s.io/v1",
        type_name: "networking.v1.IPAddress",
        columns: &[column("ParentRef", "string", "@networking.v1.IPAddressSpec.parentRef")],
        ..Version::BARE
    }],
    name_rule: NameRule::Own,
    validate_create,
    validate_update: Some(|address, old, errors| {
        let parent = |address: &Object| field(address, "spec")["parentRef"].clone();
        immutable(errors, &path("spec.parentRef"), &parent(address), &parent(old));
    }),
    cells,
    ..Kind::CLUSTER
};

/// Kubernetes gives the age too, although there is no column for it (printers.go, 1.36).
fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![parent(&field(object, "spec")["parentRef"]).into(), age(object, now)]
}

fn parent(reference: &Value) -> String {
    if !reference.is_object() {
        return NONE.to_owned();
    }
    let resource = GroupResource::new(text(&reference["group"]), text(&reference["resource"]));
    let resource = resource.to_string().to_lowercase();
    match text(&reference["namespace"]) {
        "" => format!("{resource}/{}", text(&reference["name"])),
        namespace => format!("{resource}/{namespace}/{}", text(&reference["name"])),
    }
}

fn validate_create(address: &Object, errors: &mut FieldErrors) {
    if !address.name().is_empty() {
        strict_ip(errors, &path("metadata.name"), address.name());
    }
    let parent = &field(address, "spec")["parentRef"];
    let at = path("spec.parentRef");
    if !is_set(parent) {
        return required(errors, &at, "");
    }
    let group = text(&parent["group"]);
    if !group.is_empty() {
        subdomain(errors, &at.child("group"), group);
    }
    for name in ["resource", "name"] {
        required_path_segment(errors, &at.child(name), text(&parent[name]));
    }
    let namespace = text(&parent["namespace"]);
    if !namespace.is_empty() {
        path_segment(errors, &at.child("namespace"), namespace);
    }
}
