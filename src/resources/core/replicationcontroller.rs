//! ReplicationControllers: the predecessor of ReplicaSets, with a plain map of labels as selector.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::{child, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, by_path, column, wide};
use crate::resources::printing::{age, containers, labels};
use crate::resources::read::{entry, field, int, size};

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
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners { orphans_by_default: true, ..Manners::USUAL },
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
