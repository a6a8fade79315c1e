//! Leases: who holds something, and until when.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "leases",
    kind: "Lease",
    versions: &[Version {
        api_version: "coordination.k8s.io/v1",
        type_name: "coordination.v1.Lease",
        columns: &[column("Holder", "string", "@coordination.v1.LeaseSpec.holderIdentity"), AGE],
        ..Version::BARE
    }],
    manners: Manners { create_on_update: true, ..Manners::CONDITIONAL },
    cells,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(&field(object, "spec")["holderIdentity"]).into(), age(object, now)]
}
