//! IPAddresses: which object holds which address.

use atoll_api::{GroupResource, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{Kind, Version, column};
use crate::resources::printing::{NONE, age};
use crate::resources::read::{field, text};

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
