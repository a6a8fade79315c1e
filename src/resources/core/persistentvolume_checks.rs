//! Checks of persistent volumes, also of those that stand inline in volume attachments.

use std::collections::BTreeMap;

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use serde_json::Value;

use super::persistentvolumeclaim::ACCESS_MODES;
use crate::resources::checks::{forbidden, immutable, invalid, label, one_of, path, required, subdomain};
use crate::resources::podspec::{
    Secrets, azure_disk, driver_name, fibre_channel, flocker, host_path, iscsi, needed_fields, nfs, no_backsteps,
    node_selector, particular, partition, quobyte,
};
use crate::resources::read::{entries, field, is_set, list, quantity, size, strings, text};

/// Where a description of a volume stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Place {
    /// In a volume of its own.
    Own,
    /// In an attachment.
    Inline,
}

/// The kinds of volumes, in the order in which Kubernetes looks for them.
const KINDS: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

pub(super) fn validate(volume: &Object, errors: &mut FieldErrors) {
    validate_spec(errors, field(volume, "spec"), &path("spec"), Place::Own);
}

/// Checks the description of a volume.
pub(in crate::resources) fn validate_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, place: Place) {
    const INLINE: &str = "may not be specified in the context of inline volumes";
    let inline = place == Place::Inline;
    if inline {
        for field in ["claimRef", "capacity"] {
            if is_set(&spec[field]) {
                forbidden(errors, &path.child(field), INLINE);
            }
        }
        if !is_set(&spec["csi"]) {
            required(errors, &path.child("csi"), "has to be specified in the context of inline volumes");
        }
    }
    access_modes(errors, spec, path);
    if !inline {
        capacity(errors, spec, &path.child("capacity"));
    }
    let (policy, at) = (text(&spec["persistentVolumeReclaimPolicy"]), path.child("persistentVolumeReclaimPolicy"));
    if inline && !policy.is_empty() && policy != "Retain" {
        forbidden(errors, &at, "may only be Retain in the context of inline volumes");
    } else if !inline && !policy.is_empty() {
        one_of(errors, &at, policy, &["Delete", "Recycle", "Retain"]);
    }
    if inline && is_set(&spec["nodeAffinity"]) {
        forbidden(errors, &path.child("nodeAffinity"), INLINE);
    } else if is_set(&spec["nodeAffinity"]) {
        let path = path.child("nodeAffinity").child("required");
        match &spec["nodeAffinity"]["required"] {
            Value::Null => required(errors, &path, "must specify required node constraints"),
            selector => node_selector(errors, selector, &path),
        }
    }
    source(errors, spec, path);
    if policy == "Recycle" && spec["hostPath"]["path"] == "/" {
        forbidden(errors, &at, "may not be 'recycle' for a hostPath mount of '/'");
    }
    let class = text(&spec["storageClassName"]);
    if inline && !class.is_empty() {
        forbidden(errors, &path.child("storageClassName"), INLINE);
    } else if !class.is_empty() {
        subdomain(errors, &path.child("storageClassName"), class);
    }
    volume_mode(errors, spec, path, place);
    let at = path.child("volumeAttributesClassName");
    match spec["volumeAttributesClassName"].as_str() {
        None => return,
        Some("") => required(errors, &at, "an empty string is disallowed"),
        Some(class) => subdomain(errors, &at, class),
    }
    if !is_set(&spec["csi"]) {
        let detail = "has to be specified when using volumeAttributesClassName";
        required(errors, &path.child("csi"), detail);
    }
}

fn volume_mode(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, place: Place) {
    let Some(mode) = spec["volumeMode"].as_str() else { return };
    let path = path.child("volumeMode");
    match place {
        Place::Own => one_of(errors, &path, mode, &["Block", "Filesystem"]),
        Place::Inline if mode != "Filesystem" => {
            let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            forbidden(errors, &path, detail);
        }
        Place::Inline => {}
    }
}

fn access_modes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let path = path.child("accessModes");
    let modes = strings(&spec["accessModes"]);
    if modes.is_empty() {
        required(errors, &path, "");
    }
    for mode in &modes {
        one_of(errors, &path, mode, ACCESS_MODES);
    }
    let single = modes.contains(&"ReadWriteOncePod");
    if single && modes.iter().any(|mode| *mode != "ReadWriteOncePod" && ACCESS_MODES.contains(mode)) {
        forbidden(errors, &path, "may not use ReadWriteOncePod with other access modes");
    }
}

fn capacity(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let capacity = &spec["capacity"];
    if size(capacity) == 0 {
        required(errors, path, "");
    }
    if !is_set(&capacity["storage"]) || size(capacity) > 1 {
        errors.push(FieldError::not_supported(path, capacity, &["storage"]));
    }
    for (name, amount) in entries(capacity) {
        let amount = quantity(amount);
        if amount.is_negative() {
            invalid(errors, &path.key(name), &amount.units().into(), "must be a valid resource quantity");
        }
        if amount.is_negative() || amount.is_zero() {
            invalid(errors, &path.key(name), &amount.to_string().into(), "must be greater than zero");
        }
    }
}

fn source(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let mut found = false;
    for kind in KINDS {
        let value = &spec[*kind];
        if !is_set(value) {
            continue;
        }
        if found && *kind != "flexVolume" {
            let shown = if *kind == "cephfs" { "cephFS" } else { kind };
            forbidden(errors, &path.child(shown), "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        let at = path.child(if *kind == "gcePersistentDisk" { "persistentDisk" } else { kind });
        one_source(errors, kind, value, &at);
        if *kind == "local" && !is_set(&spec["nodeAffinity"]) {
            required(errors, &path.child("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if !found {
        required(errors, path, "must specify a volume type");
    }
}

fn one_source(errors: &mut FieldErrors, kind: &str, value: &Value, path: &FieldPath) {
    needed_fields(errors, kind, value, path);
    particular(errors, kind, value, path, Secrets::Anywhere);
    match kind {
        "hostPath" => host_path(errors, value, path),
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(errors, value, path),
        "flocker" => flocker(errors, value, path),
        "nfs" => nfs(errors, value, path),
        "quobyte" => quobyte(errors, value, path),
        "iscsi" => iscsi(errors, value, path),
        "fc" => fibre_channel(errors, value, path),
        "azureDisk" => azure_disk(errors, value, path),
        "local" => match text(&value["path"]) {
            "" => required(errors, &path.child("path"), ""),
            file => no_backsteps(errors, &path.child("path"), file),
        },
        "csi" => csi(errors, value, path),
        _ => {}
    }
}

fn csi(errors: &mut FieldErrors, value: &Value, path: &FieldPath) {
    const SECRETS: [&str; 4] =
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"];
    driver_name(errors, text(&value["driver"]), &path.child("driver"));
    if text(&value["volumeHandle"]).is_empty() {
        required(errors, &path.child("volumeHandle"), "");
    }
    for field in SECRETS {
        let (reference, path) = (&value[field], path.child(field));
        if !is_set(reference) {
            continue;
        }
        match text(&reference["name"]) {
            "" => required(errors, &path.child("name"), ""),
            name => subdomain(errors, &path.child("name"), name),
        }
        match text(&reference["namespace"]) {
            "" => required(errors, &path.child("namespace"), ""),
            namespace => label(errors, &path.child("namespace"), namespace),
        }
    }
}

pub(super) fn validate_update(volume: &Object, old: &Object, errors: &mut FieldErrors) {
    // Kubernetes checks it twice.
    validate(volume, errors);
    validate(volume, errors);
    let (spec, was) = (field(volume, "spec"), field(old, "spec"));
    let sources = |spec: &Value| -> BTreeMap<&str, Value> {
        KINDS.iter().filter(|kind| is_set(&spec[**kind])).map(|kind| (*kind, spec[*kind].clone())).collect()
    };
    let (mut new, before) = (sources(spec), sources(was));
    // A secret for expansion may be added later.
    const EXPAND: &str = "controllerExpandSecretRef";
    if is_set(&was["csi"])
        && !is_set(&was["csi"][EXPAND])
        && let Some(Value::Object(csi)) = new.get_mut("csi")
    {
        csi.remove(EXPAND);
    }
    if new != before {
        let detail = "spec.persistentvolumesource is immutable after creation";
        forbidden(errors, &path("spec.persistentvolumesource"), detail);
    }
    immutable(errors, &path("volumeMode"), &spec["volumeMode"], &was["volumeMode"]);
    if is_set(&was["nodeAffinity"])
        && spec["nodeAffinity"] != with_general_labels(&was["nodeAffinity"], &spec["nodeAffinity"])
    {
        let detail = "field is immutable, except for updating from beta label to GA";
        invalid(errors, &path("nodeAffinity"), &spec["nodeAffinity"], detail);
    }
    if is_set(&was["volumeAttributesClassName"]) && !is_set(&spec["volumeAttributesClassName"]) {
        let detail = "update from non-nil value to nil is forbidden";
        forbidden(errors, &path("spec.volumeAttributesClassName"), detail);
    }
}

/// Labels of nodes that were beta, and what they are called now.
const GENERAL_LABELS: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// An old affinity with the labels that a new one calls by their present names. As in Kubernetes (`betaToGALabel`), a key
/// without another name may become empty here, which other checks refuse.
fn with_general_labels(old: &Value, new: &Value) -> Value {
    let mut named = old.clone();
    let terms = named.pointer_mut("/required/nodeSelectorTerms").and_then(Value::as_array_mut);
    let new_terms = list(&new["required"]["nodeSelectorTerms"]);
    for (term, new_term) in terms.into_iter().flatten().zip(new_terms) {
        for part in ["matchExpressions", "matchFields"] {
            let requirements = term.get_mut(part).and_then(Value::as_array_mut);
            for (requirement, new) in requirements.into_iter().flatten().zip(list(&new_term[part])) {
                let general = GENERAL_LABELS.iter().find(|(beta, _)| requirement["key"] == *beta);
                if general.map_or("", |(_, general)| general) == text(&new["key"]) {
                    requirement["key"] = new["key"].clone();
                }
            }
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_of_an_affinity_may_change_to_their_present_names_only() {
        let affinity = |key: &str| {
            let expression = json!({"key": key, "operator": "In", "values": ["v"]});
            json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}})
        };
        let may = |old: &str, new: &str| with_general_labels(&affinity(old), &affinity(new)) == affinity(new);
        assert!(may("beta.kubernetes.io/os", "kubernetes.io/os"));
        assert!(may("a", "a"));
        assert!(may("a", ""));
        assert!(!may("a", "b"));
        assert!(!may("kubernetes.io/os", "beta.kubernetes.io/os"));
        assert!(!may("beta.kubernetes.io/os", ""));
    }
}
