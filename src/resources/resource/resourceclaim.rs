//! ResourceClaims: claims to devices.

use std::collections::BTreeSet;

use atoll_api::{FieldError, FieldErrors, Object};
use jiff::Timestamp;
use serde_json::Value;

use super::{allocations, request_defaults, requests, shown};
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{IMMUTABLE, path};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, is_set, list, size};

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
    prepare_status_update: forget_freed_devices,
    validate_create: |claim, errors| requests::claim_spec(errors, field(claim, "spec"), &path("spec")),
    validate_update: Some(validate_update),
    validate_status_update: |claim, old, errors| allocations::status(errors, claim, old),
    cells,
    metadata_checks: MetadataChecks::Both,
    type_defaults: &[
        ("resource.v1.ExactDeviceRequest", request_defaults),
        ("resource.v1.DeviceSubRequest", request_defaults),
    ],
    ..Kind::NAMESPACED
};

/// What is asked for stays as it is.
fn validate_update(claim: &Object, old: &Object, errors: &mut FieldErrors) {
    let spec = field(claim, "spec");
    if spec != field(old, "spec") {
        errors.push(FieldError::invalid_shown(&path("spec"), shown::claim_spec(spec), IMMUTABLE));
    }
}

/// Drops what was said of devices that are not allocated any more.
fn forget_freed_devices(claim: &mut Object, old: &Object) {
    let allocated = |claim: &Object| -> BTreeSet<String> {
        list(&field(claim, "status")["allocation"]["devices"]["results"]).iter().map(shown::identity).collect()
    };
    let (before, now) = (allocated(old), allocated(claim));
    let Some(status) = claim.0.get_mut("status").and_then(Value::as_object_mut) else { return };
    if let Some(devices) = status.get_mut("devices").and_then(Value::as_array_mut) {
        devices.retain(|device| {
            let identity = shown::identity(device);
            !before.contains(&identity) || now.contains(&identity)
        });
    }
}

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
