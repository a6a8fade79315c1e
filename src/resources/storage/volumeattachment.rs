//! VolumeAttachments: a volume that is, or is to be, attached to a node.

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::Value;

use super::checks::bytes;
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{forbidden, immutable, invalid, path, required, subdomain};
use crate::resources::core::persistentvolume_checks::{self as volumes, Place};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, formatted};
use crate::resources::podspec::driver_name;
use crate::resources::printing::age;
use crate::resources::read::{field, flag, is_set, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "volumeattachments",
    kind: "VolumeAttachment",
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.VolumeAttachment",
        columns: &[
            formatted("Attacher", "name", "@storage.v1.VolumeAttachmentSpec.attacher"),
            column("PV", "string", "@storage.v1.VolumeAttachmentSource.persistentVolumeName"),
            column("Node", "string", "@storage.v1.VolumeAttachmentSpec.nodeName"),
            column("Attached", "boolean", "@storage.v1.VolumeAttachmentStatus.attached"),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL_RETURNS_DELETED,
    validate_create,
    validate_update: Some(|attachment, old, errors| {
        validate_create(attachment, errors);
        immutable(errors, &path("spec"), field(attachment, "spec"), field(old, "spec"));
    }),
    validate_status_update: |attachment, _, errors| validate_create(attachment, errors),
    status_keeps: &["metadata", "spec"],
    cells,
    metadata_checks: MetadataChecks::AsNew,
    part_metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    vec![
        text(&spec["attacher"]).into(),
        text(&spec["source"]["persistentVolumeName"]).into(),
        text(&spec["nodeName"]).into(),
        flag(&field(object, "status")["attached"]).into(),
        age(object, now),
    ]
}

/// How many bytes a driver may tell of an attachment, and how long faults may be.
const MAX_METADATA: usize = 256 * 1024;
const MAX_FAULT: usize = 1024;

fn validate_create(attachment: &Object, errors: &mut FieldErrors) {
    let spec = field(attachment, "spec");
    let at = path("spec");
    driver_name(errors, text(&spec["attacher"]), &at.child("attacher"));
    check_source(errors, &spec["source"], &at.child("source"));
    subdomain(errors, &at.child("nodeName"), text(&spec["nodeName"]));
    let status = field(attachment, "status");
    let at = path("status");
    if bytes(&status["attachmentMetadata"]) > MAX_METADATA {
        errors.push(FieldError::too_long(&at.child("attachmentMetadata"), MAX_METADATA));
    }
    for name in ["attachError", "detachError"] {
        check_fault(errors, &status[name], &at.child(name));
    }
    if let Some(volume) = spec["source"]["persistentVolumeName"].as_str() {
        subdomain(errors, &path("spec.source.persistentVolumeName"), volume);
    }
}

fn check_source(errors: &mut FieldErrors, source: &Value, path: &FieldPath) {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let (inline, name) = (&source["inlineVolumeSpec"], &source["persistentVolumeName"]);
    match (is_set(inline), is_set(name)) {
        (false, false) => required(errors, path, ONE),
        (true, true) => forbidden(errors, path, ONE),
        (false, true) if text(name).is_empty() => {
            required(errors, &path.child("persistentVolumeName"), "must specify non empty persistentVolumeName");
        }
        (false, true) => {}
        (true, false) => volumes::validate_spec(errors, inline, &path.child("inlineVolumeSpec"), Place::Inline),
    }
}

fn check_fault(errors: &mut FieldErrors, fault: &Value, path: &FieldPath) {
    if text(&fault["message"]).len() > MAX_FAULT {
        errors.push(FieldError::too_long(&path.child("message"), MAX_METADATA));
    }
    let code = &fault["errorCode"];
    if code.as_i64().is_some_and(|code| code < 0) {
        invalid(errors, &path.child("errorCode"), code, format!("must be between 0 and {}, inclusive", i32::MAX));
    }
}
