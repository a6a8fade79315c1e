//! ReplicaSets: a number of equal pods.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
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
