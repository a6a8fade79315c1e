//! CSINodes: which storage drivers a node has.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, size};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "csinodes",
    kind: "CSINode",
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.CSINode",
        columns: &[column("Drivers", "integer", "The number of drivers on the node."), AGE],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL_RETURNS_DELETED,
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![size(&field(object, "spec")["drivers"]).into(), age(object, now)]
}
