//! VolumeAttributesClasses: qualities of volumes that can be changed later.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "volumeattributesclasses",
    kind: "VolumeAttributesClass",
    short_names: &["vac"],
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.VolumeAttributesClass",
        columns: &[column("DriverName", "string", "@storage.v1.VolumeAttributesClass.driverName"), AGE],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    cells,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(field(object, "driverName")).into(), age(object, now)]
}
