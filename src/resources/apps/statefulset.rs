//! StatefulSets: pods with identities and storage of their own.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column, wide};
use crate::resources::printing::{age, containers};
use crate::resources::read::{entry, field, int};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "statefulsets",
    kind: "StatefulSet",
    short_names: &["sts"],
    categories: &["all"],
    versions: &[Version {
        api_version: "apps/v1",
        type_name: "apps.v1.StatefulSet",
        columns: &[
            column("Ready", "string", "How many of the wanted pods are ready."),
            AGE,
            wide("Containers", "string", "The names of the containers."),
            wide("Images", "string", "The images of the containers."),
        ],
        subresources: &[
            SubresourceSpec::Scale("spec.replicas", "status.replicas", "spec.selector"),
            SubresourceSpec::Status,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    cells,
    type_defaults: &[("apps.v1.StatefulSetSpec", spec_defaults)],
    ..Kind::NAMESPACED
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = child(spec, "updateStrategy") {
        if !strategy.contains_key("type") {
            set(strategy, "type", "RollingUpdate");
            made(strategy, "rollingUpdate");
        }
        if entry(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set(rolling, "partition", 0);
        }
    }
    let retention = made(spec, "persistentVolumeClaimRetentionPolicy");
    set(retention, "whenDeleted", "Retain");
    set(retention, "whenScaled", "Retain");
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (field(object, "spec"), field(object, "status"));
    let (names, images) = containers(&spec["template"]["spec"]["containers"]);
    let ready = format!("{}/{}", int(&status["readyReplicas"]), int(&spec["replicas"]));
    vec![ready.into(), age(object, now), names, images]
}
