//! ServiceCIDRs: ranges of addresses for services.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, strings};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "servicecidrs",
    kind: "ServiceCIDR",
    versions: &[Version {
        api_version: "networking.k8s.io/v1",
        type_name: "networking.v1.ServiceCIDR",
        columns: &[column("CIDRs", "string", "@networking.v1.ServiceCIDRSpec.cidrs"), AGE],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![strings(&field(object, "spec")["cidrs"]).join(",").into(), age(object, now)]
}
