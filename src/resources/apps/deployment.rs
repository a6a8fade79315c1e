//! Deployments: replicas of a pod, changed step by step.

use atoll_api::selector::LabelSelector;
use atoll_api::{FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::checks::workloads::{
    at_most, at_most_all, collisions, count_or_percent, count_or_share, counts, own_selector, pods_warnings,
    unknown_strategy,
};
use crate::resources::checks::{forbidden, immutable, invalid, not_negative, path};
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::podspec::{Template, validate_template};
use crate::resources::printing::{age, containers};
use crate::resources::read::{entry, field, int, is_set, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "deployments",
    kind: "Deployment",
    short_names: &["deploy"],
    categories: &["all"],
    versions: &[Version {
        api_version: "apps/v1",
        type_name: "apps.v1.Deployment",
        columns: &[
            column("Ready", "string", "How many of the wanted pods are ready."),
            column("Up-to-date", "string", "@apps.v1.DeploymentStatus.updatedReplicas"),
            column("Available", "string", "@apps.v1.DeploymentStatus.availableReplicas"),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
            wide("Selector", "string", "@apps.v1.DeploymentSpec.selector"),
        ],
        subresources: &[
            SubresourceSpec::Scale("spec.replicas", "status.replicas", "spec.selector"),
            SubresourceSpec::Status,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    prepare_update: count_annotations,
    validate_create,
    validate_update: Some(validate_update),
    validate_status_update,
    warnings: |deployment, old| pods_warnings(deployment, old, "spec.template"),
    cells,
    type_defaults: &[("apps.v1.DeploymentSpec", spec_defaults)],
    status_keeps: &["spec", "metadata.labels"],
    ..Kind::NAMESPACED
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "replicas", 1);
    if let Some(strategy) = child(spec, "strategy") {
        set(strategy, "type", "RollingUpdate");
        if entry(strategy, "type") == "RollingUpdate" {
            let rolling = made(strategy, "rollingUpdate");
            set(rolling, "maxUnavailable", "25%");
            set(rolling, "maxSurge", "25%");
        }
    }
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let (names, images) = containers(&spec["template"]["spec"]["containers"]);
    let selector = match LabelSelector::from_object(&spec["selector"]) {
        Ok(selector) => selector.to_string(),
        Err(_) => "<invalid>".to_owned(),
    };
    vec![
        format!("{}/{}", int(&status["readyReplicas"]), int(&spec["replicas"])).into(),
        int(&status["updatedReplicas"]).into(),
        int(&status["availableReplicas"]).into(),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}

/// Annotations of a deployment are copied to its replica sets, so a change of them is one its controller must see.
fn count_annotations(deployment: &mut Object, old: &Object) {
    if field(deployment, "metadata")["annotations"] != field(old, "metadata")["annotations"] {
        deployment.set_generation(old.generation() + 1);
    }
}

fn validate_create(deployment: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (field(deployment, "spec"), path("spec"));
    not_negative(errors, &path.child("replicas"), &spec["replicas"]);
    own_selector(errors, &spec["selector"], &path.child("selector"), "deployment");
    match LabelSelector::from_object(&spec["selector"]) {
        Err(_) => invalid(errors, &path.child("selector"), &spec["selector"], "invalid label selector"),
        Ok(selector) => {
            let demands =
                Template { selector: Some(selector), restart_policies: &["Always"], no_deadline: Some("ReplicaSet") };
            validate_template(errors, &spec["template"], &path.child("template"), &demands);
        }
    }
    validate_strategy(errors, &spec["strategy"], &path.child("strategy"));
    for field in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        not_negative(errors, &path.child(field), &spec[field]);
    }
    let deadline = &spec["progressDeadlineSeconds"];
    if is_set(deadline) && int(deadline) <= int(&spec["minReadySeconds"]) {
        invalid(errors, &path.child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
    }
}

fn validate_strategy(errors: &mut FieldErrors, strategy: &Value, path: &FieldPath) {
    let rolling = &strategy["rollingUpdate"];
    match text(&strategy["type"]) {
        "Recreate" => {
            if is_set(rolling) {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                forbidden(errors, &path.child("rollingUpdate"), detail);
            }
        }
        "RollingUpdate" => {
            let path = path.child("rollingUpdate");
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            count_or_percent(errors, unavailable, &path.child("maxUnavailable"));
            count_or_percent(errors, surge, &path.child("maxSurge"));
            if count_or_share(unavailable) == 0 && count_or_share(surge) == 0 {
                let detail = "may not be 0 when `maxSurge` is 0";
                invalid(errors, &path.child("maxUnavailable"), unavailable, detail);
            }
            at_most_all(errors, unavailable, &path.child("maxUnavailable"));
        }
        _ => unknown_strategy(errors, strategy, path, &["Recreate", "RollingUpdate"]),
    }
}

fn validate_update(deployment: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_create(deployment, errors);
    let selector = |object| field(object, "spec").get("selector").cloned().unwrap_or_default();
    immutable(errors, &path("spec.selector"), &selector(deployment), &selector(old));
}

fn validate_status_update(deployment: &Object, old: &Object, errors: &mut FieldErrors) {
    let (status, path) = (field(deployment, "status"), path("status"));
    let fields = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ];
    counts(errors, status, &path, &fields);
    let bounded = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    at_most(errors, status, &path, &bounded, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than readyReplicas";
    at_most(errors, status, &path, &["availableReplicas"], "readyReplicas", detail);
    collisions(errors, status, field(old, "status"), &path);
}
