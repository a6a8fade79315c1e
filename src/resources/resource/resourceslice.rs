//! ResourceSlices: devices that a driver offers.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "resourceslices",
    kind: "ResourceSlice",
    versions: &[Version {
        api_version: "resource.k8s.io/v1",
        type_name: "resource.v1.ResourceSlice",
        columns: &[
            column("Node", "string", "@resource.v1.ResourceSliceSpec.nodeName"),
            column("Driver", "string", "@resource.v1.ResourceSliceSpec.driver"),
            column("Pool", "string", "@resource.v1.ResourcePool.name"),
            AGE,
        ],
        selectable_fields: &["spec.nodeName", "spec.driver"],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::RETURNS_DELETED,
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    vec![
        text(&spec["nodeName"]).into(),
        text(&spec["driver"]).into(),
        text(&spec["pool"]["name"]).into(),
        age(object, now),
    ]
}
