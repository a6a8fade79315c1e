//! ResourceSlices: devices that a driver offers.

use std::collections::BTreeMap;

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::Value;

use super::devices::{Placement, device, flag_that_is_set, named_counters};
use super::lists::{by_name, unique};
use super::names::pool_name;
use super::shown;
use crate::registry::resource::{GenerationPolicy, Part};
use crate::registry::seconds;
use crate::request::RequestContext;
use crate::resources::checks::{immutable, invalid, path, positive, required, subdomain};
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::podspec::{driver_name, node_selector};
use crate::resources::printing::age;
use crate::resources::read::{field, flag, int, is_set, list, size, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "resourceslices",
    kind: "ResourceSlice",
    versions: &[Version {
        api_version: "resource.k8s.io/v1",
        type_name: "resource.v1.ResourceSlice",
        columns: &[
            column("Node", "string", "@resource.v1.ResourceSliceSpec.nodeName"),
            column("Driver", "string", "@resource.v1.ResourceSliceSpec.driver"),
            column("Pool", "string", "@resource.v1.ResourcePool.name"),
            AGE,
        ],
        selectable_fields: &["spec.nodeName", "spec.driver"],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::RETURNS_DELETED,
    stamp,
    validate_create: |slice, errors| validate(errors, slice, None),
    validate_update: Some(|slice, old, errors| validate(errors, slice, Some(old))),
    warnings,
    cells,
    ..Kind::CLUSTER
};

/// The most devices of a slice, and of one whose devices have taints or take from counters.
const MAX_DEVICES: usize = 128;
const MAX_ADVANCED_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;

/// Taints that do not say since when they are there are there since now.
fn stamp(cx: &RequestContext, slice: &mut Object, _: Option<&Object>, _: Part) {
    let Some(Value::Array(devices)) = slice.map_mut("spec").get_mut("devices") else { return };
    let taints = devices.iter_mut().filter_map(|device| device.get_mut("taints")?.as_array_mut()).flatten();
    for taint in taints.filter_map(Value::as_object_mut) {
        if taint.get("timeAdded").is_none_or(Value::is_null) {
            taint.insert("timeAdded".into(), seconds(cx.now).into());
        }
    }
}

fn validate(errors: &mut FieldErrors, slice: &Object, old: Option<&Object>) {
    let (spec, at) = (field(slice, "spec"), path("spec"));
    let old = old.map(|old| field(old, "spec"));
    driver_name(errors, text(&spec["driver"]), &at.child("driver"));
    pool(errors, &spec["pool"], &at.child("pool"));
    if let Some(old) = old {
        immutable(errors, &at.child("pool").child("name"), &spec["pool"]["name"], &old["pool"]["name"]);
        for field in ["driver", "nodeName"] {
            immutable(errors, &at.child(field), &spec[field], &old[field]);
        }
    }
    placement(errors, spec, &at);
    if is_set(&spec["sharedCounters"]) && is_set(&spec["devices"]) {
        invalid(errors, &at, &"".into(), "only one of `sharedCounters` or `devices` is allowed");
    }
    let devices = list(&spec["devices"]);
    let is_advanced = devices.iter().any(|device| size(&device["taints"]) + size(&device["consumesCounters"]) > 0);
    let max = if is_advanced { MAX_ADVANCED_DEVICES } else { MAX_DEVICES };
    let mut before: BTreeMap<&str, &Value> = BTreeMap::new();
    for known in old.map(|old| list(&old["devices"])).unwrap_or_default() {
        before.entry(text(&known["name"])).or_insert(known);
    }
    let placement = if flag(&spec["perDeviceNodeSelection"]) { Placement::OfDevice } else { Placement::OfSlice };
    unique(errors, &spec["devices"], max, &at.child("devices"), by_name, |errors, new, path| {
        device(errors, new, before.get(text(&new["name"])).copied(), path, placement);
    });
    let at = at.child("sharedCounters");
    unique(errors, &spec["sharedCounters"], MAX_COUNTER_SETS, &at, by_name, |errors, set, path| {
        named_counters(errors, set, "name", path);
    });
}

fn pool(errors: &mut FieldErrors, pool: &Value, path: &FieldPath) {
    pool_name(errors, text(&pool["name"]), &path.child("name"));
    positive(errors, &path.child("resourceSliceCount"), int(&pool["resourceSliceCount"]));
    if int(&pool["generation"]) < 0 {
        invalid(errors, &path.child("generation"), &pool["generation"], "must be greater than or equal to zero");
    }
}

/// The nodes that have the devices: told in exactly one way.
fn placement(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let mut set = Vec::new();
    match spec["nodeName"].as_str() {
        None => {}
        Some("") => {
            let detail = "must be either unset or set to a non-empty string";
            invalid(errors, &path.child("nodeName"), &"".into(), detail);
        }
        Some(name) => {
            set.push("`nodeName`");
            subdomain(errors, &path.child("nodeName"), name);
        }
    }
    if is_set(&spec["nodeSelector"]) {
        set.push("`nodeSelector`");
        let (terms, at) = (&spec["nodeSelector"]["nodeSelectorTerms"], path.child("nodeSelector"));
        node_selector(errors, &spec["nodeSelector"], &at);
        if size(terms) != 1 {
            let (at, terms) = (at.child("nodeSelectorTerms"), shown::node_selector_terms(terms));
            errors.push(FieldError::invalid_shown(&at, terms, "must have exactly one node selector term"));
        }
    }
    for field in ["allNodes", "perDeviceNodeSelection"] {
        flag_that_is_set(errors, spec, field, path, &mut set);
    }
    let detail = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 => required(errors, path, detail),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", set.join(", "));
            invalid(errors, path, &shown.into(), format!("{detail}, but multiple fields are set"));
        }
    }
}

fn warnings(slice: &Object, _: Option<&Object>) -> Vec<String> {
    let driver = text(&field(slice, "spec")["driver"]);
    if driver == driver.to_lowercase() {
        return Vec::new();
    }
    let driver = atoll_api::field::go_quote(driver);
    vec![format!("spec.driver: driver names should be lowercase; {driver} contains uppercase characters")]
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    vec![
        text(&spec["nodeName"]).into(),
        text(&spec["driver"]).into(),
        text(&spec["pool"]["name"]).into(),
        age(object, now),
    ]
}
