//! APIServices: who serves which group and version.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{condition, field, is_set, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "apiservices",
    kind: "APIService",
    categories: &["api-extensions"],
    versions: &[Version {
        api_version: "apiregistration.k8s.io/v1",
        type_name: "apiregistration.v1.APIService",
        columns: &[
            column("Service", "string", "The service that serves it."),
            column("Available", "string", "Whether it can be reached."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL,
    cells,
    type_defaults: &[("apiregistration.v1.ServiceReference", |service| set(service, "port", 443))],
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let service = &field(object, "spec")["service"];
    let target = match is_set(service) {
        true => format!("{}/{}", text(&service["namespace"]), text(&service["name"])),
        false => "Local".to_owned(),
    };
    let available = match condition(&field(object, "status")["conditions"], "Available") {
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!("{} ({})", text(&condition["status"]), text(&condition["reason"])),
        None => "Unknown".to_owned(),
    };
    vec![target.into(), available.into(), age(object, now)]
}
