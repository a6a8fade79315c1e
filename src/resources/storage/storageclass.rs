//! StorageClasses: how volumes are made.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, NAME, Version, column};
use crate::resources::printing::{age, text_or};
use crate::resources::read::{field, flag, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "storageclasses",
    kind: "StorageClass",
    short_names: &["sc"],
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.StorageClass",
        columns: &[
            NAME,
            column("Provisioner", "string", "@storage.v1.StorageClass.provisioner"),
            column("ReclaimPolicy", "string", "@storage.v1.StorageClass.reclaimPolicy"),
            column("VolumeBindingMode", "string", "@storage.v1.StorageClass.volumeBindingMode"),
            column("AllowVolumeExpansion", "string", "@storage.v1.StorageClass.allowVolumeExpansion"),
            AGE,
        ],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    cells,
    type_defaults: &[("storage.v1.StorageClass", class_defaults)],
    ..Kind::CLUSTER
};

const IS_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

fn class_defaults(class: &mut Map<String, Value>) {
    set(class, "reclaimPolicy", "Delete");
    set(class, "volumeBindingMode", "Immediate");
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let is_default = IS_DEFAULT.iter().any(|annotation| object.annotation(annotation) == Some("true"));
    let name = if is_default { format!("{} (default)", object.name()) } else { object.name().to_owned() };
    vec![
        name.into(),
        text(field(object, "provisioner")).into(),
        text_or(field(object, "reclaimPolicy"), "Delete"),
        text_or(field(object, "volumeBindingMode"), "Immediate"),
        flag(field(object, "allowVolumeExpansion")).into(),
        age(object, now),
    ]
}
