//! ReplicationControllers: the predecessor of ReplicaSets, with a plain map of labels as selector.

use atoll_api::selector::LabelSelector;
use atoll_api::{FieldErrors, Object};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::checks::workloads::{at_most, counts, pods_warnings};
use crate::resources::checks::{not_negative, path, required};
use crate::resources::defaults::{child, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, by_path, column, wide};
use crate::resources::podspec::{Template, validate_template};
use crate::resources::printing::{age, containers, labels};
use crate::resources::read::{entry, field, int, is_set, size};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "replicationcontrollers",
    kind: "ReplicationController",
    short_names: &["rc"],
    categories: &["all"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.ReplicationController",
        columns: &[
            column("Desired", "integer", "@core.v1.ReplicationControllerSpec.replicas"),
            column("Current", "integer", "@core.v1.ReplicationControllerStatus.replicas"),
            column("Ready", "integer", "@core.v1.ReplicationControllerStatus.readyReplicas"),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
            wide("Selector", "string", "@core.v1.ReplicationControllerSpec.selector"),
        ],
        subresources: &[
            SubresourceSpec::Scale("spec.replicas", "status.replicas", "spec.selector"),
            SubresourceSpec::Status,
        ],
        selectable_fields: &["status.replicas"],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners { orphans_by_default: true, ..Manners::USUAL },
    validate_create,
    validate_status_update,
    warnings: |controller, old| pods_warnings(controller, old, "spec.template"),
    cells,
    selectable: |object, path| match path {
        "status.replicas" => Some(int(&field(object, "status")["replicas"]).to_string()),
        other => by_path(object, other),
    },
    type_defaults: &[("core.v1.ReplicationController", controller_defaults)],
    ..Kind::NAMESPACED
};

fn controller_defaults(controller: &mut Map<String, Value>) {
    let labels = entry(controller, "spec")["template"]["metadata"]["labels"].clone();
    let Some(spec) = child(controller, "spec") else { return };
    set(spec, "replicas", 1);
    if size(&labels) == 0 {
        return;
    }
    if size(entry(spec, "selector")) == 0 {
        spec.insert("selector".into(), labels.clone());
    }
    if let Some(metadata) = child(controller, "metadata")
        && size(entry(metadata, "labels")) == 0
    {
        metadata.insert("labels".into(), labels);
    }
}

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
        labels(&spec["selector"]),
    ]
}

fn validate_create(controller: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (field(controller, "spec"), path("spec"));
    not_negative(errors, &path.child("minReadySeconds"), &spec["minReadySeconds"]);
    if size(&spec["selector"]) == 0 {
        required(errors, &path.child("selector"), "");
    }
    not_negative(errors, &path.child("replicas"), &spec["replicas"]);
    if !is_set(&spec["template"]) {
        return required(errors, &path.child("template"), "");
    }
    let demands = Template {
        selector: Some(LabelSelector::from_label_map(&spec["selector"])),
        restart_policies: &["Always"],
        no_deadline: Some("ReplicationController"),
    };
    validate_template(errors, &spec["template"], &path.child("template"), &demands);
}

fn validate_status_update(controller: &Object, _: &Object, errors: &mut FieldErrors) {
    let (status, path) = (field(controller, "status"), path("status"));
    let bounded = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    counts(errors, status, &path, &["replicas"]);
    counts(errors, status, &path, &bounded);
    counts(errors, status, &path, &["observedGeneration"]);
    at_most(errors, status, &path, &bounded, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than readyReplicas";
    at_most(errors, status, &path, &["availableReplicas"], "readyReplicas", detail);
}
