//! Checks of how containers use volumes, and of the paths in them.

use std::collections::BTreeSet;

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::spec::Scope;
use crate::resources::checks::{forbidden, invalid, one_of, required};
use crate::resources::read::{flag, is_set, list, text};

/// A path must not lead upwards.
pub(in crate::resources) fn no_backsteps(errors: &mut FieldErrors, path: &FieldPath, file: &str) {
    if leads_upwards(file) {
        invalid(errors, path, &file.into(), "must not contain '..'");
    }
}

fn leads_upwards(file: &str) -> bool {
    file.split('/').any(|part| part == "..")
}

/// A relative path that does not lead upwards.
pub(in crate::resources) fn descending(errors: &mut FieldErrors, path: &FieldPath, file: &str) {
    if file.starts_with('/') {
        invalid(errors, path, &file.into(), "must be a relative path");
    }
    no_backsteps(errors, path, file);
}

/// A relative path whose first part does not begin with `..`, which is kept for other things.
pub(super) fn not_reserved(errors: &mut FieldErrors, path: &FieldPath, file: &str) {
    descending(errors, path, file);
    if file.starts_with("..") && !file.starts_with("../") {
        invalid(errors, path, &file.into(), "must not start with '..'");
    }
}

pub(super) fn volume_mounts(errors: &mut FieldErrors, container: &Value, path: &FieldPath, scope: &Scope<'_>) {
    let devices = list(&container["volumeDevices"]);
    let mut points = BTreeSet::new();
    for (index, mount) in list(&container["volumeMounts"]).iter().enumerate() {
        let at = path.index(index);
        let (name, point) = (text(&mount["name"]), text(&mount["mountPath"]));
        if name.is_empty() {
            required(errors, &at.child("name"), "");
        }
        if !scope.volumes.contains_key(name) {
            errors.push(FieldError::not_found(&at.child("name"), &name.into()));
        }
        if point.is_empty() {
            required(errors, &at.child("mountPath"), "");
        }
        if !points.insert(point) {
            invalid(errors, &at.child("mountPath"), &point.into(), "must be unique");
        }
        if devices.iter().any(|device| text(&device["name"]) == name) {
            invalid(errors, &at.child("name"), &name.into(), "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| text(&device["devicePath"]) == point) {
            let detail = "must not already exist as a path in volumeDevices";
            invalid(errors, &at.child("mountPath"), &point.into(), detail);
        }
        validate_parts(errors, mount, container, path, &at);
    }
}

/// What is mounted of a volume, and how. Kubernetes names the list, not the mount, in these faults (1.36).
fn validate_parts(errors: &mut FieldErrors, mount: &Value, container: &Value, path: &FieldPath, at: &FieldPath) {
    let (part, expression) = (text(&mount["subPath"]), text(&mount["subPathExpr"]));
    if !part.is_empty() {
        descending(errors, &path.child("subPath"), part);
    }
    if !expression.is_empty() {
        if !part.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            invalid(errors, &at.child("subPathExpr"), &expression.into(), detail);
        }
        descending(errors, &path.child("subPathExpr"), expression);
    }
    let propagation = mount["mountPropagation"].as_str();
    if let Some(propagation) = propagation {
        let path = path.child("mountPropagation");
        one_of(errors, &path, propagation, &["Bidirectional", "HostToContainer", "None"]);
        if propagation == "Bidirectional" && !flag(&container["securityContext"]["privileged"]) {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            forbidden(errors, &path, detail);
        }
    }
    let path = path.child("recursiveReadOnly");
    match mount["recursiveReadOnly"].as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !flag(&mount["readOnly"]) {
                forbidden(errors, &path, "may only be specified when readOnly is true");
            }
            if propagation.is_some_and(|propagation| propagation != "None") {
                forbidden(errors, &path, "may only be specified when mountPropagation is None or not specified");
            }
        }
        Some(other) => one_of(errors, &path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

pub(super) fn volume_devices(errors: &mut FieldErrors, container: &Value, path: &FieldPath, scope: &Scope<'_>) {
    let mounts = list(&container["volumeMounts"]);
    let (mut names, mut points) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in list(&container["volumeDevices"]).iter().enumerate() {
        let path = path.index(index);
        let (name, point) = (text(&device["name"]), text(&device["devicePath"]));
        let volume = scope.volumes.get(name);
        if name.is_empty() {
            required(errors, &path.child("name"), "");
        }
        let mut wrong = |field: &str, value: &str, detail: &str| {
            invalid(errors, &path.child(field), &value.into(), detail);
        };
        if names.contains(name) {
            wrong("name", name, "must be unique");
        }
        if volume.is_some_and(|volume| !is_set(&volume["persistentVolumeClaim"]) && !is_set(&volume["ephemeral"])) {
            let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
            wrong("name", name, detail);
        }
        if volume.is_none() {
            errors.push(FieldError::not_found(&path.child("name"), &name.into()));
        }
        if point.is_empty() {
            required(errors, &path.child("devicePath"), "");
        }
        let mut wrong = |field: &str, value: &str, detail: &str| {
            invalid(errors, &path.child(field), &value.into(), detail);
        };
        if points.contains(point) {
            wrong("devicePath", point, "must be unique");
        }
        if leads_upwards(point) {
            wrong("devicePath", point, "can not contain backsteps ('..')");
        } else {
            points.insert(point);
        }
        if mounts.iter().any(|mount| text(&mount["name"]) == name) {
            wrong("name", name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| text(&mount["mountPath"]) == point) {
            wrong("devicePath", point, "must not already exist as a path in volumeMounts");
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}
