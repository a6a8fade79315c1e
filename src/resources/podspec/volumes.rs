//! Checks of the volumes of a pod.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::validation::{dns1123_subdomain, validate_annotations, validate_labels};
use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use super::env::{Container, object_field, resource_field};
use super::mounts::{descending, no_backsteps, not_reserved};
use super::projected::projected;
use super::sources::{Secrets, particular};
use super::spec::Whose;
use crate::resources::checks::{forbidden, invalid, invalid_each, label, one_of, required, required_one_of, subdomain};
use crate::resources::core::persistentvolumeclaim::validate_claim_spec;
use crate::resources::read::{entries, entry, flag, int, is_set, list, quantity, text};

/// The kinds of volumes, in the order in which Kubernetes looks for them.
const KINDS: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Fields that must not be empty, for the kinds where that is all there is to check.
pub(in crate::resources) const NEEDED: &[(&str, &[&str])] = &[
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("flexVolume", &["driver"]),
];

/// Checks the volumes; gives those that are well formed by their names.
pub(super) fn volumes<'a>(
    errors: &mut FieldErrors,
    volumes: &'a Value,
    metadata: Option<&Map<String, Value>>,
    path: &FieldPath,
    whose: Whose,
) -> BTreeMap<&'a str, &'a Value> {
    let pod_name = metadata.map(|metadata| text(entry(metadata, "name"))).unwrap_or_default();
    let made_claims: BTreeSet<String> = match pod_name {
        "" => BTreeSet::new(),
        _ => list(volumes)
            .iter()
            .filter(|volume| is_set(&volume["ephemeral"]))
            .map(|volume| format!("{pod_name}-{}", text(&volume["name"])))
            .collect(),
    };
    let mut well_formed = BTreeMap::new();
    for (index, volume) in list(volumes).iter().enumerate() {
        let path = path.index(index);
        let name = text(&volume["name"]);
        let before = errors.len();
        source(errors, volume, name, pod_name, &path, whose);
        match name {
            "" => required(errors, &path.child("name"), ""),
            name => label(errors, &path.child("name"), name),
        }
        if well_formed.contains_key(name) {
            errors.push(FieldError::duplicate(&path.child("name"), &name.into()));
        }
        if errors.len() == before {
            well_formed.insert(name, volume);
        }
        let claim = text(&volume["persistentVolumeClaim"]["claimName"]);
        if made_claims.contains(claim) {
            let path = path.child("persistentVolumeClaim").child("claimName");
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            invalid(errors, &path, &claim.into(), detail);
        }
    }
    well_formed
}

fn source(errors: &mut FieldErrors, volume: &Value, name: &str, pod_name: &str, path: &FieldPath, whose: Whose) {
    let mut found = false;
    for kind in KINDS {
        let value = &volume[*kind];
        if !is_set(value) {
            continue;
        }
        if found {
            // Two kinds are misspelt in this fault (validateVolumeSource, 1.36).
            let shown = match *kind {
                "downwardAPI" => "downwarAPI",
                "cephfs" => "cephFS",
                kind => kind,
            };
            forbidden(errors, &path.child(shown), "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        let at = path.child(if *kind == "gcePersistentDisk" { "persistentDisk" } else { kind });
        one_source(errors, kind, value, &at, whose);
        if *kind == "iscsi" {
            initiator_with_portal(errors, value, name, path);
        }
        if *kind == "ephemeral" && !pod_name.is_empty() && !name.is_empty() {
            let claim = format!("{pod_name}-{name}");
            for wrong in dns1123_subdomain(&claim) {
                invalid(errors, &path.child("name"), &name.into(), format!("PVC name {claim:?}: {wrong}"));
            }
        }
    }
    if !found {
        required(errors, path, "must specify a volume type");
    }
}

fn one_source(errors: &mut FieldErrors, kind: &str, value: &Value, path: &FieldPath, whose: Whose) {
    needed_fields(errors, kind, value, path);
    particular(errors, kind, value, path, Secrets::OfPod);
    match kind {
        "emptyDir" if is_set(&value["sizeLimit"]) && quantity(&value["sizeLimit"]).is_negative() => {
            forbidden(errors, &path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
        }
        "hostPath" => host_path(errors, value, path),
        "gitRepo" => {
            if text(&value["repository"]).is_empty() {
                required(errors, &path.child("repository"), "");
            }
            descending(errors, &path.child("directory"), text(&value["directory"]));
        }
        "secret" => files(errors, value, "secretName", path),
        "configMap" => files(errors, value, "name", path),
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(errors, value, path),
        "nfs" => nfs(errors, value, path),
        "iscsi" => iscsi(errors, value, path),
        "fc" => fibre_channel(errors, value, path),
        "flocker" => flocker(errors, value, path),
        "quobyte" => quobyte(errors, value, path),
        "downwardAPI" => downward_api(errors, value, path),
        "projected" => projected(errors, value, path),
        "csi" => csi(errors, value, path),
        "ephemeral" => ephemeral(errors, value, path),
        "image" => {
            if whose == Whose::Pod && text(&value["reference"]).is_empty() {
                required(errors, &path.child("reference"), "");
            }
            let policy = text(&value["pullPolicy"]);
            required_one_of(errors, &path.child("pullPolicy"), policy, &["Always", "IfNotPresent", "Never"]);
        }
        "azureDisk" => azure_disk(errors, value, path),
        _ => {}
    }
}

/// Fields of a source that must not be empty.
pub(in crate::resources) fn needed_fields(errors: &mut FieldErrors, kind: &str, value: &Value, path: &FieldPath) {
    let fields = NEEDED.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| fields);
    for field in fields {
        if matches!(&value[*field], Value::Null) || text(&value[*field]).is_empty() && list(&value[*field]).is_empty() {
            required(errors, &path.child(field), "");
        }
    }
}

pub(in crate::resources) fn partition(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let number = int(&value["partition"]);
    if !(0..=255).contains(&number) {
        invalid(errors, &path.child("partition"), &number.into(), "must be between 0 and 255, inclusive");
    }
}

pub(in crate::resources) fn host_path(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    const TYPES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let file = text(&value["path"]);
    if file.is_empty() {
        required(errors, &path.child("path"), "");
    }
    no_backsteps(errors, &path.child("path"), file);
    if let Some(kind) = value["type"].as_str() {
        one_of(errors, &path.child("type"), kind, TYPES);
    }
}

/// The permissions of files.
pub(super) fn mode(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    if let Some(mode) = value.as_i64()
        && !(0..=0o777).contains(&mode)
    {
        invalid(errors, path, value, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn files(errors: &mut FieldErrors, value: &Value, name: &str, path: &FieldPath) {
    if text(&value[name]).is_empty() {
        required(errors, &path.child(name), "");
    }
    mode(errors, &value["defaultMode"], &path.child("defaultMode"));
    for (index, item) in list(&value["items"]).iter().enumerate() {
        key_to_path(errors, item, &path.child("items").index(index));
    }
}

pub(super) fn key_to_path(errors: &mut FieldErrors, item: &Value, path: &FieldPath) {
    for field in ["key", "path"] {
        if text(&item[field]).is_empty() {
            required(errors, &path.child(field), "");
        }
    }
    not_reserved(errors, &path.child("path"), text(&item["path"]));
    mode(errors, &item["mode"], &path.child("mode"));
}

pub(in crate::resources) fn nfs(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    for field in ["server", "path"] {
        if text(&value[field]).is_empty() {
            required(errors, &path.child(field), "");
        }
    }
    let file = text(&value["path"]);
    if !file.starts_with('/') {
        invalid(errors, &path.child("path"), &file.into(), "must be an absolute path");
    }
}

pub(in crate::resources) fn iscsi(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    const PREFIXES: [&str; 3] = ["iqn", "eui", "naa"];
    if text(&value["targetPortal"]).is_empty() {
        required(errors, &path.child("targetPortal"), "");
    }
    let mut named = |name: &str, path: &FieldPath| {
        if !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            invalid(errors, path, &name.into(), "must be valid format starting with iqn, eui, or naa");
        } else if !is_iscsi_name(name) {
            invalid(errors, path, &name.into(), "must be valid format");
        }
    };
    match text(&value["iqn"]) {
        "" => required(errors, &path.child("iqn"), ""),
        name => named(name, &path.child("iqn")),
    }
    let lun = int(&value["lun"]);
    if !(0..=255).contains(&lun) {
        invalid(errors, &path.child("lun"), &lun.into(), "must be between 0 and 255, inclusive");
    }
    let authenticates = flag(&value["chapAuthDiscovery"]) || flag(&value["chapAuthSession"]);
    if authenticates && !is_set(&value["secretRef"]) {
        required(errors, &path.child("secretRef"), "");
    }
    if let Some(name) = value["initiatorName"].as_str() {
        let path = path.child("initiatorname");
        if !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            invalid(errors, &path, &name.into(), "must be valid format starting with iqn, eui, or naa");
        } else if !is_iscsi_name(name) {
            invalid(errors, &path, &name.into(), "must be valid format");
        }
    }
}

/// `iqn.2001-04.com.example:disk`, `eui.` or `naa.` with hexadecimal digits.
fn is_iscsi_name(name: &str) -> bool {
    let hexadecimal = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_lowercase())
    };
    if let Some(rest) = name.strip_prefix("eui.") {
        return hexadecimal(rest, &[16]);
    }
    if let Some(rest) = name.strip_prefix("naa.") {
        return hexadecimal(rest, &[16, 32]);
    }
    let Some((date, rest)) = name.strip_prefix("iqn.").and_then(|rest| rest.split_once('.')) else { return false };
    let dated = date.split_once('-').is_some_and(|(year, month)| {
        let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        digits(year, 4) && digits(month, 2)
    });
    dated && !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:_".contains(&b))
}

fn initiator_with_portal(errors: &mut FieldErrors, value: &Value, name: &str, path: &FieldPath) {
    const MAX: usize = 64;
    if is_set(&value["initiatorName"]) && name.len() + 1 + text(&value["targetPortal"]).len() > MAX {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        invalid(errors, &path.child("name"), &name.into(), detail);
    }
}

pub(in crate::resources) fn fibre_channel(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let (names, ids) = (list(&value["targetWWNs"]), list(&value["wwids"]));
    if names.is_empty() && ids.is_empty() {
        required(errors, &path.child("targetWWNs"), "must specify either targetWWNs or wwids, but not both");
    }
    if !names.is_empty() && !ids.is_empty() {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        invalid(errors, &path.child("targetWWNs"), &value["targetWWNs"], detail);
    }
    if !names.is_empty() {
        match value["lun"].as_i64() {
            None => required(errors, &path.child("lun"), "lun is required if targetWWNs is specified"),
            Some(lun) if !(0..=255).contains(&lun) => {
                invalid(errors, &path.child("lun"), &lun.into(), "must be between 0 and 255, inclusive");
            }
            Some(_) => {}
        }
    }
}

pub(in crate::resources) fn flocker(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let (name, uuid) = (text(&value["datasetName"]), text(&value["datasetUUID"]));
    if name.is_empty() && uuid.is_empty() {
        required(errors, path, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        invalid(errors, path, &"resource".into(), "datasetName and datasetUUID can not be specified simultaneously");
    }
    if name.contains('/') {
        invalid(errors, &path.child("datasetName"), &name.into(), "must not contain '/'");
    }
}

pub(in crate::resources) fn quobyte(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let registry = text(&value["registry"]);
    if registry.is_empty() {
        let detail = "must be a host:port pair or multiple pairs separated by commas";
        required(errors, &path.child("registry"), detail);
    } else if text(&value["tenant"]).len() >= 65 {
        required(errors, &path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in registry.split(',').filter(|pair| pair.split(':').count() != 2) {
            let detail = "must be a host:port pair or multiple pairs separated by commas";
            invalid(errors, &path.child("registry"), &registry.into(), detail);
        }
    }
    if text(&value["volume"]).is_empty() {
        required(errors, &path.child("volume"), "");
    }
}

pub(in crate::resources) fn azure_disk(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    for (field, needed) in [("diskName", "diskName"), ("diskURI", "diskURI")] {
        if text(&value[field]).is_empty() {
            required(errors, &path.child(needed), "");
        }
    }
    let caching = text(&value["cachingMode"]);
    one_of(errors, &path.child("cachingMode"), caching, &["None", "ReadOnly", "ReadWrite"]);
    one_of(errors, &path.child("kind"), text(&value["kind"]), &["Dedicated", "Managed", "Shared"]);
    let (prefix, form) = match text(&value["kind"]) {
        "Managed" => (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        ),
        _ => ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"),
    };
    if !text(&value["diskURI"]).starts_with(prefix) {
        one_of(errors, &path.child("diskURI"), text(&value["diskURI"]), &[form]);
    }
}

fn downward_api(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    mode(errors, &value["defaultMode"], &path.child("defaultMode"));
    for item in list(&value["items"]) {
        downward_file(errors, item, path);
    }
}

/// A file with a field of the pod. Kubernetes names the volume, not the file, in these faults (1.36).
pub(super) fn downward_file(errors: &mut FieldErrors, item: &Value, path: &FieldPath) {
    const FIELDS: &[&str] =
        &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
    let file = text(&item["path"]);
    if file.is_empty() {
        required(errors, &path.child("path"), "");
    }
    not_reserved(errors, &path.child("path"), file);
    match (is_set(&item["fieldRef"]), is_set(&item["resourceFieldRef"])) {
        (true, both) => {
            object_field(errors, &item["fieldRef"], FIELDS, &path.child("fieldRef"));
            if both {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                invalid(errors, path, &"resource".into(), detail);
            }
        }
        (false, true) => {
            let reference = &item["resourceFieldRef"];
            resource_field(errors, reference, Container::Named, &path.child("resourceFieldRef"));
        }
        (false, false) => required(errors, path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(errors, &item["mode"], &path.child("mode"));
}

/// The name of a storage driver.
pub(in crate::resources) fn driver_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    const MAX: usize = 63;
    if name.is_empty() {
        return required(errors, path, "");
    }
    if name.len() > MAX {
        errors.push(FieldError::too_long(path, MAX));
    }
    invalid_each(errors, path, name, dns1123_subdomain(&name.to_lowercase()));
}

fn csi(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    driver_name(errors, text(&value["driver"]), &path.child("driver"));
    if is_set(&value["nodePublishSecretRef"]) {
        match text(&value["nodePublishSecretRef"]["name"]) {
            "" => required(errors, &path.child("nodePublishSecretRef").child("name"), ""),
            name => subdomain(errors, &path.child("name"), name),
        }
    }
}

fn ephemeral(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    let template = &value["volumeClaimTemplate"];
    let path = path.child("volumeClaimTemplate");
    if !is_set(template) {
        return required(errors, &path, "");
    }
    let at = path.child("metadata");
    for (field, value) in entries(&template["metadata"]) {
        match (field, value.as_object()) {
            ("labels", Some(labels)) => validate_labels(labels, &at.child(field), errors),
            ("annotations", Some(annotations)) => validate_annotations(annotations, &at.child(field), errors),
            _ => forbidden(errors, &at.child(field), "cannot be set"),
        }
    }
    validate_claim_spec(errors, &template["spec"], &path.child("spec"));
}
