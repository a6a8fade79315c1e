//! CSIDrivers: what a storage driver can do and needs.

use std::collections::BTreeSet;

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::resources::checks::{immutable, invalid, one_of, path};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::{NONE, UNSET, age};
use crate::resources::read::{field, flag, is_set, list, strings, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "csidrivers",
    kind: "CSIDriver",
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.CSIDriver",
        columns: &[
            column("AttachRequired", "boolean", "@storage.v1.CSIDriverSpec.attachRequired"),
            column("PodInfoOnMount", "boolean", "@storage.v1.CSIDriverSpec.podInfoOnMount"),
            column("StorageCapacity", "boolean", "@storage.v1.CSIDriverSpec.storageCapacity"),
            column("TokenRequests", "string", "@storage.v1.CSIDriverSpec.tokenRequests"),
            column("RequiresRepublish", "boolean", "@storage.v1.CSIDriverSpec.requiresRepublish"),
            column("Modes", "string", "@storage.v1.CSIDriverSpec.volumeLifecycleModes"),
            AGE,
        ],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL_RETURNS_DELETED,
    // The generation is 0 until the first change.
    prepare_update: |driver, old| {
        if field(driver, "spec") != field(old, "spec") {
            driver.set_generation(old.generation() + 1);
        }
    },
    validate_create,
    validate_update: Some(validate_update),
    warnings,
    cells,
    type_defaults: &[("storage.v1.CSIDriverSpec", spec_defaults)],
    ..Kind::CLUSTER
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "attachRequired", true);
    for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        set(spec, field, false);
    }
    set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    set(spec, "volumeLifecycleModes", json!(["Persistent"]));
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let requests = &spec["tokenRequests"];
    let audiences: Vec<&str> = list(requests).iter().map(|request| text(&request["audience"])).collect();
    let modes = strings(&spec["volumeLifecycleModes"]).join(",");
    vec![
        spec["attachRequired"].as_bool().unwrap_or(true).into(),
        flag(&spec["podInfoOnMount"]).into(),
        flag(&spec["storageCapacity"]).into(),
        if requests.is_null() { UNSET.into() } else { audiences.join(",").into() },
        flag(&spec["requiresRepublish"]).into(),
        if modes.is_empty() { NONE.into() } else { modes.into() },
        age(object, now),
    ]
}

fn warnings(driver: &Object, old: Option<&Object>) -> Vec<String> {
    const TOKENS: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";
    let requests = |driver: &Object| field(driver, "spec")["tokenRequests"].clone();
    let is_new = old.is_none_or(|old| requests(old) != requests(driver));
    let is_risky = is_new && !list(&requests(driver)).is_empty();
    match is_risky && field(driver, "spec")["serviceAccountTokenInSecrets"].is_null() {
        true => vec![TOKENS.to_owned()],
        false => Vec::new(),
    }
}

/// The shortest time between two looks at what a node can take, in seconds.
const SHORTEST_PERIOD: i64 = 10;

fn validate_create(driver: &Object, errors: &mut FieldErrors) {
    let spec = field(driver, "spec");
    let at = path("spec");
    let policies = &["File", "None", "ReadWriteOnceWithFSType"];
    one_of(errors, &at.child("fsGroupPolicy"), text(&spec["fsGroupPolicy"]), policies);
    check_tokens(errors, list(&spec["tokenRequests"]), &at.child("tokenRequests"));
    for mode in strings(&spec["volumeLifecycleModes"]) {
        one_of(errors, &at.child("volumeLifecycleModes"), mode, &["Persistent", "Ephemeral"]);
    }
    let period = &spec["nodeAllocatableUpdatePeriodSeconds"];
    if period.as_i64().is_some_and(|seconds| seconds < SHORTEST_PERIOD) {
        let detail = format!("must be greater than or equal to {SHORTEST_PERIOD} seconds");
        invalid(errors, &at.child("nodeAllocatableUpdatePeriodSeconds"), period, detail);
    }
    let in_secrets = &spec["serviceAccountTokenInSecrets"];
    if is_set(in_secrets) && list(&spec["tokenRequests"]).is_empty() {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        invalid(errors, &at.child("serviceAccountTokenInSecrets"), in_secrets, detail);
    }
}

fn check_tokens(errors: &mut FieldErrors, requests: &[Value], path: &FieldPath) {
    let mut audiences = BTreeSet::new();
    for (index, request) in requests.iter().enumerate() {
        let at = path.index(index);
        let audience = text(&request["audience"]);
        if !audiences.insert(audience) {
            errors.push(FieldError::duplicate(&at.child("audience"), &audience.into()));
            continue;
        }
        let at = at.child("expirationSeconds");
        match request["expirationSeconds"].as_i64() {
            Some(seconds) if seconds < 600 => {
                invalid(errors, &at, &seconds.into(), "may not specify a duration less than 10 minutes");
            }
            Some(seconds) if seconds > 1 << 32 => {
                invalid(errors, &at, &seconds.into(), "may not specify a duration larger than 2^32 seconds");
            }
            _ => {}
        }
    }
}

fn validate_update(driver: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_create(driver, errors);
    let (new, old) = (field(driver, "spec"), field(old, "spec"));
    // Kubernetes misspells the first field.
    for (shown, name) in [("attachedRequired", "attachRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        immutable(errors, &path("spec").child(shown), &new[name], &old[name]);
    }
}
