//! ResourceClaims: claims to devices.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use super::request_defaults;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, is_set, size};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "resourceclaims",
    kind: "ResourceClaim",
    versions: &[Version {
        api_version: "resource.k8s.io/v1",
        type_name: "resource.v1.ResourceClaim",
        columns: &[column("State", "string", "Whether the claim is met and in use."), AGE],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    status_keeps: &["metadata", "spec"],
    cells,
    type_defaults: &[
        ("resource.v1.ExactDeviceRequest", request_defaults),
        ("resource.v1.DeviceSubRequest", request_defaults),
    ],
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let status = field(object, "status");
    let deleted = object.deletion_timestamp().is_some();
    let mut states = Vec::new();
    if deleted {
        states.push("deleted");
    }
    match is_set(&status["allocation"]) {
        false if deleted => {}
        false => states.push("pending"),
        true => states.push("allocated"),
    }
    if is_set(&status["allocation"]) && size(&status["reservedFor"]) > 0 {
        states.push("reserved");
    }
    vec![states.join(",").into(), age(object, now)]
}
