//! RuntimeClasses: ways to run containers.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "runtimeclasses",
    kind: "RuntimeClass",
    versions: &[Version {
        api_version: "node.k8s.io/v1",
        type_name: "node.v1.RuntimeClass",
        columns: &[column("Handler", "string", "@node.v1.RuntimeClass.handler"), AGE],
        ..Version::BARE
    }],
    manners: Manners { create_on_update: true, ..Manners::CONDITIONAL },
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(field(object, "handler")).into(), age(object, now)]
}
