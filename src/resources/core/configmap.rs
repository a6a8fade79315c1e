//! ConfigMaps: configuration as text and bytes.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, size};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "configmaps",
    kind: "ConfigMap",
    short_names: &["cm"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.ConfigMap",
        columns: &[column("Data", "string", "@core.v1.ConfigMap.data"), AGE],
        ..Version::BARE
    }],
    cells,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let entries = size(field(object, "data")) + size(field(object, "binaryData"));
    vec![entries.into(), age(object, now)]
}
