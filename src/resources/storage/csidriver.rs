//! CSIDrivers: what a storage driver can do and needs.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::{NONE, UNSET, age};
use crate::resources::read::{field, flag, list, strings, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "csidrivers",
    kind: "CSIDriver",
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.CSIDriver",
        columns: &[
            column("AttachRequired", "boolean", "@storage.v1.CSIDriverSpec.attachRequired"),
            column("PodInfoOnMount", "boolean", "@storage.v1.CSIDriverSpec.podInfoOnMount"),
            column("StorageCapacity", "boolean", "@storage.v1.CSIDriverSpec.storageCapacity"),
            column("TokenRequests", "string", "@storage.v1.CSIDriverSpec.tokenRequests"),
            column("RequiresRepublish", "boolean", "@storage.v1.CSIDriverSpec.requiresRepublish"),
            column("Modes", "string", "@storage.v1.CSIDriverSpec.volumeLifecycleModes"),
            AGE,
        ],
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL_RETURNS_DELETED,
    cells,
    type_defaults: &[("storage.v1.CSIDriverSpec", spec_defaults)],
    ..Kind::CLUSTER
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    set(spec, "attachRequired", true);
    for field in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        set(spec, field, false);
    }
    set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    set(spec, "volumeLifecycleModes", json!(["Persistent"]));
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let requests = &spec["tokenRequests"];
    let audiences: Vec<&str> = list(requests).iter().map(|request| text(&request["audience"])).collect();
    let modes = strings(&spec["volumeLifecycleModes"]).join(",");
    vec![
        spec["attachRequired"].as_bool().unwrap_or(true).into(),
        flag(&spec["podInfoOnMount"]).into(),
        flag(&spec["storageCapacity"]).into(),
        if requests.is_null() { UNSET.into() } else { audiences.join(",").into() },
        flag(&spec["requiresRepublish"]).into(),
        if modes.is_empty() { NONE.into() } else { modes.into() },
        age(object, now),
    ]
}
