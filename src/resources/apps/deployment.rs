//! Deployments: replicas of a pod, changed step by step.

use atoll_api::Object;
use atoll_api::selector::LabelSelector;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{age, containers};
use crate::resources::read::{entry, field, int};

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
    cells,
    type_defaults: &[("apps.v1.DeploymentSpec", spec_defaults)],
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
