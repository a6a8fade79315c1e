//! CSINodes: which storage drivers a node has.

use std::collections::{BTreeMap, BTreeSet};

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{IMMUTABLE, invalid, not_negative, path, qualified, required};
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::podspec::driver_name;
use crate::resources::printing::age;
use crate::resources::read::{field, list, size, strings, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "csinodes",
    kind: "CSINode",
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.CSINode",
        columns: &[column("Drivers", "integer", "The number of drivers on the node."), AGE],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL_RETURNS_DELETED,
    validate_create,
    validate_update: Some(validate_update),
    cells,
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![size(&field(object, "spec")["drivers"]).into(), age(object, now)]
}

/// The longest name a driver may give a node, in bytes.
const MAX_NODE_ID: usize = 256;

fn validate_create(node: &Object, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (index, driver) in list(&field(node, "spec")["drivers"]).iter().enumerate() {
        let at = path("spec.drivers").index(index);
        check_driver(errors, driver, &at);
        if !names.insert(text(&driver["name"])) {
            errors.push(FieldError::duplicate(&at.child("name"), &driver["name"]));
        }
        let mut keys = BTreeSet::new();
        for key in strings(&driver["topologyKeys"]) {
            if key.is_empty() {
                required(errors, &at, "");
            }
            if !keys.insert(key) {
                errors.push(FieldError::duplicate(&at, &key.into()));
            }
            qualified(errors, &at, key);
        }
    }
}

fn check_driver(errors: &mut FieldErrors, driver: &Value, path: &FieldPath) {
    driver_name(errors, text(&driver["name"]), &path.child("name"));
    let node = text(&driver["nodeID"]);
    if node.is_empty() {
        required(errors, &path.child("nodeID"), "");
    }
    if node.len() > MAX_NODE_ID {
        let detail = format!("must be {MAX_NODE_ID} characters or less");
        invalid(errors, &path.child("nodeID"), &node.into(), detail);
    }
    not_negative(errors, &path.child("allocatable").child("count"), &driver["allocatable"]["count"]);
}

/// A driver that stays keeps everything but how much it can take.
fn validate_update(node: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_create(node, errors);
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        driver.as_object_mut().map(|driver| driver.remove("allocatable"));
        driver
    };
    let drivers = |node| list(&field(node, "spec")["drivers"]);
    let before: BTreeMap<&str, &Value> = drivers(old).iter().map(|driver| (text(&driver["name"]), driver)).collect();
    for driver in drivers(node) {
        let Some(known) = before.get(text(&driver["name"])) else { continue };
        if fixed(driver) != fixed(known) {
            invalid(errors, &path("spec.drivers"), &fixed(driver), IMMUTABLE);
        }
    }
}
