//! VolumeAttributesClasses: qualities of volumes that can be changed later.

use atoll_api::{FieldErrors, Object};
use jiff::Timestamp;
use serde_json::Value;

use super::checks::{Parameters, parameters, provisioner};
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{forbidden, path};
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
    validate_create,
    validate_update: Some(|class, old, errors| {
        for name in ["driverName", "parameters"] {
            if field(class, name) != field(old, name) {
                forbidden(errors, &path(name), format!("updates to {name} are forbidden."));
            }
        }
        validate_create(class, errors);
    }),
    cells,
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(field(object, "driverName")).into(), age(object, now)]
}

fn validate_create(class: &Object, errors: &mut FieldErrors) {
    provisioner(errors, &path("driverName"), field(class, "driverName"));
    parameters(errors, &path("parameters"), field(class, "parameters"), Parameters::Required);
}
