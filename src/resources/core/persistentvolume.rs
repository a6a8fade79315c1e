//! PersistentVolumes: storage that a cluster has.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::persistentvolume_checks as checks;
use crate::registry::resource::{MetadataChecks, Part};
use crate::registry::seconds;
use crate::request::RequestContext;
use crate::resources::checks::labels::{Term, term_warnings};
use crate::resources::checks::path;
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{UNSET, age, text_or};
use crate::resources::read::{field, is_set, list, quantity, strings, text};

/// The annotation that named a storage class before there was a field for it.
pub(super) const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "persistentvolumes",
    kind: "PersistentVolume",
    short_names: &["pv"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.PersistentVolume",
        columns: &[
            column("Capacity", "string", "@core.v1.PersistentVolumeSpec.capacity"),
            column("Access Modes", "string", "@core.v1.PersistentVolumeSpec.accessModes"),
            column("Reclaim Policy", "string", "@core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy"),
            column("Status", "string", "@core.v1.PersistentVolumeStatus.phase"),
            column("Claim", "string", "@core.v1.PersistentVolumeSpec.claimRef"),
            column("StorageClass", "string", "The storage class of the volume."),
            column("VolumeAttributesClass", "string", "The attributes class of the volume."),
            column("Reason", "string", "@core.v1.PersistentVolumeStatus.reason"),
            AGE,
            wide("VolumeMode", "string", "@core.v1.PersistentVolumeSpec.volumeMode"),
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    prepare_create,
    prepare_status_update,
    validate_create: checks::validate,
    validate_update: Some(checks::validate_update),
    stamp,
    warnings: |volume, _| warnings(volume),
    cells,
    type_defaults: &[("core.v1.PersistentVolume", volume_defaults)],
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

fn volume_defaults(volume: &mut Map<String, Value>) {
    set(made(volume, "status"), "phase", "Pending");
    if let Some(spec) = child(volume, "spec") {
        set(spec, "persistentVolumeReclaimPolicy", "Retain");
        set(spec, "volumeMode", "Filesystem");
    }
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let phase = if object.deletion_timestamp().is_some() { "Terminating" } else { text(&status["phase"]) };
    let claim = match &spec["claimRef"] {
        Value::Object(_) => format!("{}/{}", text(&spec["claimRef"]["namespace"]), text(&spec["claimRef"]["name"])),
        _ => String::new(),
    };
    vec![
        quantity(&spec["capacity"]["storage"]).to_string().into(),
        access_modes(&spec["accessModes"]).into(),
        text(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase.into(),
        claim.into(),
        object.annotation(BETA_CLASS).unwrap_or(text(&spec["storageClassName"])).into(),
        text_or(&spec["volumeAttributesClassName"], UNSET),
        text(&status["reason"]).into(),
        age(object, now),
        text_or(&spec["volumeMode"], UNSET),
    ]
}

/// Access modes by their abbreviations, each once.
pub(super) fn access_modes(modes: &Value) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let modes = strings(modes);
    let named = SHORT.iter().filter(|(mode, _)| modes.contains(mode)).map(|(_, short)| *short);
    named.collect::<Vec<_>>().join(",")
}

fn prepare_create(volume: &mut Object) {
    volume.0.insert("status".into(), json!({"phase": "Pending"}));
}

/// The phase changes when the volume is made, or when a write says so without saying when.
fn stamp(cx: &RequestContext, volume: &mut Object, old: Option<&Object>, part: Part) {
    const SINCE: &str = "lastPhaseTransitionTime";
    let phase = |volume: &Object| field(volume, "status")["phase"].clone();
    let changes = match old {
        None => true,
        Some(old) => part == Part::Status && phase(volume) != phase(old),
    };
    let said = |volume: Option<&Object>| volume.map_or(Value::Null, |volume| field(volume, "status")[SINCE].clone());
    if changes && (said(Some(volume)).is_null() || said(Some(volume)) == said(old)) {
        volume.map_mut("status").insert(SINCE.to_owned(), seconds(cx.now).into());
    }
}

/// The time of the last change of the phase stays while the phase does.
fn prepare_status_update(volume: &mut Object, old: &Object) {
    let was = field(old, "status");
    let status = volume.map_mut("status");
    let same = status.get("phase") == was.get("phase");
    if same
        && !status.contains_key("lastPhaseTransitionTime")
        && let Some(time) = was.get("lastPhaseTransitionTime")
    {
        status.insert("lastPhaseTransitionTime".into(), time.clone());
    }
}

fn warnings(volume: &Object) -> Vec<String> {
    const ANNOTATIONS: [(&str, &str); 2] = [
        (BETA_CLASS, r#"deprecated since v1.8; use "storageClassName" attribute instead"#),
        ("volume.beta.kubernetes.io/mount-options", r#"deprecated since v1.31; use "mountOptions" attribute instead"#),
    ];
    const KINDS: [(&str, &str); 6] = [
        ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    const RECYCLE: &str =
        "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
    let spec = field(volume, "spec");
    let mut warnings = Vec::new();
    for (name, message) in ANNOTATIONS.iter().filter(|(name, _)| volume.annotation(name).is_some()) {
        warnings.push(format!("{}: {message}", path("metadata.annotations").key(name)));
    }
    if spec["persistentVolumeReclaimPolicy"] == "Recycle" {
        warnings.push(format!("spec.persistentVolumeReclaimPolicy: {RECYCLE}"));
    }
    let terms = list(&spec["nodeAffinity"]["required"]["nodeSelectorTerms"]);
    for (index, term) in terms.iter().enumerate() {
        let at = path("spec.nodeAffinity.required.nodeSelectorTerms").index(index);
        warnings.extend(term_warnings(term, &at, Term::Required));
    }
    let kinds = KINDS.iter().filter(|(kind, _)| is_set(&spec[*kind]));
    warnings.extend(kinds.map(|(kind, message)| format!("spec.{kind}: {message}")));
    warnings
}
