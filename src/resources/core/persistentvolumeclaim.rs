//! PersistentVolumeClaims: storage that somebody asks for.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::persistentvolume::{BETA_CLASS, access_modes};
use crate::resources::defaults::{made, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{UNSET, age, text_or};
use crate::resources::read::{field, quantity, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "persistentvolumeclaims",
    kind: "PersistentVolumeClaim",
    short_names: &["pvc"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.PersistentVolumeClaim",
        columns: &[
            column("Status", "string", "@core.v1.PersistentVolumeClaimStatus.phase"),
            column("Volume", "string", "@core.v1.PersistentVolumeClaimSpec.volumeName"),
            column("Capacity", "string", "@core.v1.PersistentVolumeClaimStatus.capacity"),
            column("Access Modes", "string", "@core.v1.PersistentVolumeClaimStatus.accessModes"),
            column("StorageClass", "string", "The storage class of the claim."),
            column("VolumeAttributesClass", "string", "The attributes class of the claim."),
            AGE,
            wide("VolumeMode", "string", "@core.v1.PersistentVolumeClaimSpec.volumeMode"),
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    cells,
    type_defaults: &[
        ("core.v1.PersistentVolumeClaim", claim_defaults),
        ("core.v1.PersistentVolumeClaimSpec", spec_defaults),
    ],
    ..Kind::NAMESPACED
};

fn claim_defaults(claim: &mut Map<String, Value>) {
    set(made(claim, "status"), "phase", "Pending");
}

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "volumeMode", "Filesystem");
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let phase = if object.deletion_timestamp().is_some() { "Terminating" } else { text(&status["phase"]) };
    let volume = text(&spec["volumeName"]);
    let (capacity, modes) = match volume {
        "" => (String::new(), String::new()),
        _ => (quantity(&status["capacity"]["storage"]).to_string(), access_modes(&status["accessModes"])),
    };
    vec![
        phase.into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        object.annotation(BETA_CLASS).unwrap_or(text(&spec["storageClassName"])).into(),
        text_or(&spec["volumeAttributesClassName"], UNSET),
        age(object, now),
        text_or(&spec["volumeMode"], UNSET),
    ]
}
