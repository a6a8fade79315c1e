//! PriorityClasses: names for how important pods are.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, flag, int, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "priorityclasses",
    kind: "PriorityClass",
    short_names: &["pc"],
    versions: &[Version {
        api_version: "scheduling.k8s.io/v1",
        type_name: "scheduling.v1.PriorityClass",
        columns: &[
            column("Value", "integer", "@scheduling.v1.PriorityClass.value"),
            column("Global-Default", "boolean", "@scheduling.v1.PriorityClass.globalDefault"),
            AGE,
            column("PreemptionPolicy", "string", "@scheduling.v1.PriorityClass.preemptionPolicy"),
        ],
        ..Version::BARE
    }],
    // There is no spec that could change: the generation stays 1.
    generation: GenerationPolicy::SpecChanges,
    cells,
    type_defaults: &[("scheduling.v1.PriorityClass", |class| set(class, "preemptionPolicy", "PreemptLowerPriority"))],
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![
        int(field(object, "value")).into(),
        flag(field(object, "globalDefault")).into(),
        age(object, now),
        text(field(object, "preemptionPolicy")).into(),
    ]
}
