//! DaemonSets: a pod on every node, or on some.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{age, containers, labels, selector};
use crate::resources::read::{entry, field, int};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "daemonsets",
    kind: "DaemonSet",
    short_names: &["ds"],
    categories: &["all"],
    versions: &[Version {
        api_version: "apps/v1",
        type_name: "apps.v1.DaemonSet",
        columns: &[
            column("Desired", "integer", "@apps.v1.DaemonSetStatus.desiredNumberScheduled"),
            column("Current", "integer", "@apps.v1.DaemonSetStatus.currentNumberScheduled"),
            column("Ready", "integer", "@apps.v1.DaemonSetStatus.numberReady"),
            column("Up-to-date", "integer", "@apps.v1.DaemonSetStatus.updatedNumberScheduled"),
            column("Available", "integer", "@apps.v1.DaemonSetStatus.numberAvailable"),
            column("Node Selector", "string", "@core.v1.PodSpec.nodeSelector"),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
            wide("Selector", "string", "@apps.v1.DaemonSetSpec.selector"),
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    cells,
    type_defaults: &[("apps.v1.DaemonSetSpec", spec_defaults)],
    ..Kind::NAMESPACED
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    if let Some(strategy) = child(spec, "updateStrategy") {
        set(strategy, "type", "RollingUpdate");
        if entry(strategy, "type") == "RollingUpdate" {
            let rolling = made(strategy, "rollingUpdate");
            set(rolling, "maxUnavailable", 1);
            set(rolling, "maxSurge", 0);
        }
    }
    set(spec, "revisionHistoryLimit", 10);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let pod = &spec["template"]["spec"];
    let (names, images) = containers(&pod["containers"]);
    vec![
        int(&status["desiredNumberScheduled"]).into(),
        int(&status["currentNumberScheduled"]).into(),
        int(&status["numberReady"]).into(),
        int(&status["updatedNumberScheduled"]).into(),
        int(&status["numberAvailable"]).into(),
        labels(&pod["nodeSelector"]),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}
