//! Secrets: confidential data.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, size, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "secrets",
    kind: "Secret",
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.Secret",
        columns: &[
            column("Type", "string", "@core.v1.Secret.type"),
            column("Data", "string", "@core.v1.Secret.data"),
            AGE,
        ],
        selectable_fields: &["type"],
        ..Version::BARE
    }],
    cells,
    type_defaults: &[("core.v1.Secret", secret_defaults)],
    ..Kind::NAMESPACED
};

fn secret_defaults(secret: &mut Map<String, Value>) {
    set(secret, "type", "Opaque");
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(field(object, "type")).into(), size(field(object, "data")).into(), age(object, now)]
}
