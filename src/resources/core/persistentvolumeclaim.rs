//! PersistentVolumeClaims: storage that somebody asks for.

use atoll_api::validation::{dns1123_label, validate_label_selector};
use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::persistentvolume::{BETA_CLASS, access_modes};
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::amounts::{greater, is_native};
use crate::resources::checks::{
    forbidden, immutable, invalid, invalid_each, one_of, path, qualified, required, subdomain,
};
use crate::resources::defaults::{made, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column, wide};
use crate::resources::podspec::claim_warnings;
use crate::resources::printing::{UNSET, age, text_or};
use crate::resources::read::{entries, field, is_set, quantity, strings, text};

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
    prepare_create,
    prepare_update: |claim, _| normalize_sources(claim),
    validate_create: |claim, errors| validate_claim_spec(errors, field(claim, "spec"), &path("spec")),
    validate_update: Some(validate_update),
    validate_status_update,
    warnings: |claim, _| warnings(claim),
    cells,
    type_defaults: &[
        ("core.v1.PersistentVolumeClaim", claim_defaults),
        ("core.v1.PersistentVolumeClaimSpec", spec_defaults),
    ],
    metadata_checks: MetadataChecks::Both,
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

fn prepare_create(claim: &mut Object) {
    claim.0.insert("status".into(), serde_json::json!({"phase": "Pending"}));
    normalize_sources(claim);
}

/// The source of data and its newer form are kept equal, where they can be.
fn normalize_sources(claim: &mut Object) {
    let spec = claim.map_mut("spec");
    // Sources in other namespaces are a feature that is not switched on.
    if spec.get("dataSourceRef").is_some_and(|source| !text(&source["namespace"]).is_empty()) {
        spec.remove("dataSourceRef");
    }
    let (old, new) = (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned());
    match (old, new) {
        // What cannot be a source was ignored before the newer form was there, and still is.
        (Some(old), None) if !is_source(&old) => {
            spec.remove("dataSource");
        }
        (Some(old), None) => {
            spec.insert("dataSourceRef".into(), old);
        }
        (None, Some(new)) if text(&new["namespace"]).is_empty() => {
            spec.insert("dataSource".into(), new);
        }
        _ => {}
    }
}

fn is_source(reference: &Value) -> bool {
    let (group, kind) = (text(&reference["apiGroup"]), text(&reference["kind"]));
    match group {
        "" => kind == "PersistentVolumeClaim",
        group => group == "snapshot.storage.k8s.io" && kind == "VolumeSnapshot",
    }
}

pub(super) const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Checks what a claim asks for; also for the claims that pods make for themselves.
pub(in crate::resources) fn validate_claim_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    check_claim_spec(errors, spec, path, Groups::Wellformed);
}

/// Which API groups sources may be of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Groups {
    /// Those that could be groups.
    Wellformed,
    /// Any: claims that had a group before groups were checked may have got it wrong.
    Any,
}

fn check_claim_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, groups: Groups) {
    let modes = strings(&spec["accessModes"]);
    if modes.is_empty() {
        required(errors, &path.child("accessModes"), "at least 1 access mode is required");
    }
    validate_label_selector(&spec["selector"], &path.child("selector"), errors);
    for mode in &modes {
        one_of(errors, &path.child("accessModes"), mode, ACCESS_MODES);
    }
    let single = |mode: &&str| *mode == "ReadWriteOncePod";
    if modes.iter().any(single) && modes.iter().any(|mode| !single(mode) && ACCESS_MODES.contains(mode)) {
        forbidden(errors, &path.child("accessModes"), "may not use ReadWriteOncePod with other access modes");
    }
    let size = &spec["resources"]["requests"]["storage"];
    let at = path.child("resources").key("storage");
    if !is_set(size) {
        required(errors, &at, "");
    } else if quantity(size).is_negative() || quantity(size).is_zero() {
        invalid(errors, &at, &quantity(size).to_string().into(), "must be greater than zero");
    }
    for name in ["storageClassName", "volumeAttributesClassName"] {
        let class = text(&spec[name]);
        if !class.is_empty() {
            subdomain(errors, &path.child(name), class);
        }
        if name == "storageClassName" {
            if let Some(mode) = spec["volumeMode"].as_str() {
                one_of(errors, &path.child("volumeMode"), mode, &["Block", "Filesystem"]);
            }
            for source in ["dataSource", "dataSourceRef"] {
                validate_source(errors, &spec[source], &path.child(source), groups);
            }
            compare_sources(errors, spec, path);
        }
    }
}

fn validate_source(errors: &mut FieldErrors, source: &Value, path: &FieldPath, groups: Groups) {
    if !is_set(source) {
        return;
    }
    for field in ["name", "kind"] {
        if text(&source[field]).is_empty() {
            required(errors, &path.child(field), "");
        }
    }
    let kind = text(&source["kind"]);
    match text(&source["apiGroup"]) {
        "" if kind != "PersistentVolumeClaim" => {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            invalid(errors, path, &kind.into(), detail);
        }
        "" => {}
        _ if groups == Groups::Any => {}
        group => subdomain(errors, &path.child("apiGroup"), group),
    }
    let namespace = text(&source["namespace"]);
    if !namespace.is_empty() {
        invalid_each(errors, &path.child("namespace"), namespace, dns1123_label(namespace));
    }
}

fn compare_sources(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let (old, new) = (&spec["dataSource"], &spec["dataSourceRef"]);
    if !is_set(old) || !is_set(new) {
        return;
    }
    // The value shown is the path of the field (ValidatePersistentVolumeClaimSpec, 1.36).
    let shown = Value::Object(Map::new());
    if !text(&new["namespace"]).is_empty() {
        invalid(errors, path, &shown, "may not be specified when dataSourceRef.namespace is specified");
    } else if ["apiGroup", "kind", "name"].iter().any(|field| text(&old[*field]) != text(&new[*field])) {
        invalid(errors, path, &shown, "must match dataSourceRef");
    }
}

fn validate_update(claim: &Object, old: &Object, errors: &mut FieldErrors) {
    let (spec, old_spec) = (field(claim, "spec"), field(old, "spec"));
    let had_group = ["dataSource", "dataSourceRef"].iter().any(|source| is_set(&old_spec[*source]["apiGroup"]));
    let groups = if had_group { Groups::Any } else { Groups::Wellformed };
    check_claim_spec(errors, spec, &path("spec"), groups);
    let (mut now, mut before) = (spec.clone(), old_spec.clone());
    let bound = field(claim, "status")["phase"] == "Bound";
    let may_differ = |field: &str| match field {
        "volumeName" => text(&old_spec["volumeName"]).is_empty(),
        "volumeAttributesClassName" => bound,
        // A class may be set once where there was none.
        "storageClassName" => !is_set(&old_spec["storageClassName"]) && old.annotation(BETA_CLASS).is_none(),
        _ => false,
    };
    for spec in [&mut now, &mut before] {
        if let Value::Object(map) = spec {
            map.retain(|field, _| !may_differ(field));
            if bound && let Some(Value::Object(requests)) = map.get_mut("resources").and_then(|r| r.get_mut("requests"))
            {
                requests.remove("storage");
            }
        }
    }
    if now != before {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        forbidden(errors, &path("spec"), detail);
    }
    let size = |spec: &Value| quantity(&spec["resources"]["requests"]["storage"]);
    let capacity = quantity(&field(old, "status")["capacity"]["storage"]);
    if greater(&size(old_spec), &size(spec)) && !greater(&size(spec), &capacity) {
        let path = path("spec.resources.requests.storage");
        forbidden(errors, &path, "field can not be less than status.capacity");
    }
    immutable(errors, &path("volumeMode"), &spec["volumeMode"], &old_spec["volumeMode"]);
    if spec["volumeAttributesClassName"] != old_spec["volumeAttributesClassName"]
        && is_set(&field(old, "status")["currentVolumeAttributesClassName"])
    {
        let at = path("spec.volumeAttributesClassName");
        let why = "is forbidden when status.currentVolumeAttributesClassName is not nil";
        match spec["volumeAttributesClassName"].as_str() {
            None => forbidden(errors, &at, format!("update to nil {why}")),
            Some("") => forbidden(errors, &at, format!("update to empty string {why}")),
            Some(_) => {}
        }
    }
}

const RESIZE_STATES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

fn validate_status_update(claim: &Object, _: &Object, errors: &mut FieldErrors) {
    let status = field(claim, "status");
    for (name, amount) in entries(&status["capacity"]) {
        basic_amount(errors, amount, &path("status.capacity").key(name));
    }
    let at = path("status.allocatedResourceStatuses");
    for (name, state) in entries(&status["allocatedResourceStatuses"]) {
        resource_key(errors, name, &at);
        if !RESIZE_STATES.contains(&text(state)) {
            errors.push(FieldError::not_supported(&at, &name.into(), RESIZE_STATES));
        }
    }
    let at = path("status.allocatedResources");
    for (name, amount) in entries(&status["allocatedResources"]) {
        resource_key(errors, name, &at);
        basic_amount(errors, amount, &at.key(name));
    }
}

fn basic_amount(errors: &mut FieldErrors, amount: &Value, path: &FieldPath) {
    let amount = quantity(amount);
    if amount.is_negative() {
        invalid(errors, path, &amount.units().into(), "must be a valid resource quantity");
    }
}

fn resource_key(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let before = errors.len();
    qualified(errors, path, name);
    if errors.len() == before && is_native(name) {
        one_of(errors, path, name, &["storage"]);
    }
}

fn warnings(claim: &Object) -> Vec<String> {
    let old_class = claim.annotation(BETA_CLASS).map(|_| {
        let at = path("metadata.annotations").key(BETA_CLASS);
        format!(r#"{at}: deprecated since v1.8; use "storageClassName" attribute instead"#)
    });
    old_class.into_iter().chain(claim_warnings(field(claim, "spec"), &path("spec"))).collect()
}
