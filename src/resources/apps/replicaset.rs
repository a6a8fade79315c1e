//! ReplicaSets: a number of equal pods.

use atoll_api::selector::LabelSelector;
use atoll_api::{FieldErrors, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
use crate::resources::checks::workloads::{at_most, counts, own_selector, pods_warnings};
use crate::resources::checks::{immutable, invalid, not_negative, path};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::podspec::{Template, validate_template};
use crate::resources::printing::{age, containers, selector};
use crate::resources::read::{field, int};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "replicasets",
    kind: "ReplicaSet",
    short_names: &["rs"],
    categories: &["all"],
    versions: &[Version {
        api_version: "apps/v1",
        type_name: "apps.v1.ReplicaSet",
        columns: &[
            column("Desired", "integer", "@apps.v1.ReplicaSetSpec.replicas"),
            column("Current", "integer", "@apps.v1.ReplicaSetStatus.replicas"),
            column("Ready", "integer", "@apps.v1.ReplicaSetStatus.readyReplicas"),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
            wide("Selector", "string", "@apps.v1.ReplicaSetSpec.selector"),
        ],
        subresources: &[
            SubresourceSpec::Scale("spec.replicas", "status.replicas", "spec.selector"),
            SubresourceSpec::Status,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    validate_create,
    validate_update: Some(validate_update),
    validate_status_update,
    warnings: |set, old| pods_warnings(set, old, "spec.template"),
    cells,
    type_defaults: &[("apps.v1.ReplicaSetSpec", |spec| set(spec, "replicas", 1))],
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let (names, images) = containers(&spec["template"]["spec"]["containers"]);
    vec![
        int(&spec["replicas"]).into(),
        int(&status["replicas"]).into(),
        int(&status["readyReplicas"]).into(),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn validate_create(set: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (field(set, "spec"), path("spec"));
    not_negative(errors, &path.child("replicas"), &spec["replicas"]);
    not_negative(errors, &path.child("minReadySeconds"), &spec["minReadySeconds"]);
    own_selector(errors, &spec["selector"], &path.child("selector"), "deployment");
    match LabelSelector::from_object(&spec["selector"]) {
        Err(_) => invalid(errors, &path.child("selector"), &spec["selector"], "invalid label selector"),
        Ok(selector) => {
            let demands =
                Template { selector: Some(selector), restart_policies: &["Always"], no_deadline: Some("ReplicaSet") };
            validate_template(errors, &spec["template"], &path.child("template"), &demands);
        }
    }
}

fn validate_update(set: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_create(set, errors);
    let selector = |object| field(object, "spec").get("selector").cloned().unwrap_or_default();
    immutable(errors, &path("spec.selector"), &selector(set), &selector(old));
}

fn validate_status_update(set: &Object, _: &Object, errors: &mut FieldErrors) {
    let (status, path) = (field(set, "status"), path("status"));
    let bounded = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    counts(errors, status, &path, &["replicas"]);
    counts(errors, status, &path, &bounded);
    counts(errors, status, &path, &["observedGeneration", "terminatingReplicas"]);
    at_most(errors, status, &path, &bounded, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than readyReplicas";
    at_most(errors, status, &path, &["availableReplicas"], "readyReplicas", detail);
}
