//! ConfigMaps: configuration as text and bytes.

use atoll_api::{FieldError, FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::Value;

use super::secret::{MAX_DATA, bytes, keep_if_immutable};
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{invalid, invalid_each, path};
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{entries, field, size, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "configmaps",
    kind: "ConfigMap",
    short_names: &["cm"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.ConfigMap",
        columns: &[column("Data", "string", "@core.v1.ConfigMap.data"), AGE],
        ..Version::BARE
    }],
    validate_create,
    validate_update: Some(validate_update),
    cells,
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let entries = size(field(object, "data")) + size(field(object, "binaryData"));
    vec![entries.into(), age(object, now)]
}

fn validate_create(map: &Object, errors: &mut FieldErrors) {
    let (data, binary) = (field(map, "data"), field(map, "binaryData"));
    let mut total = 0;
    for (key, value) in entries(data) {
        let at = path("data").key(key);
        invalid_each(errors, &at, key, atoll_api::validation::config_map_key(key));
        if !binary[key].is_null() {
            invalid(errors, &at, &key.into(), "duplicate of key present in binaryData");
        }
        total += text(value).len();
    }
    for (key, value) in entries(binary) {
        invalid_each(errors, &path("binaryData").key(key), key, atoll_api::validation::config_map_key(key));
        total += bytes(value).len();
    }
    if total > MAX_DATA {
        errors.push(FieldError::too_long(&FieldPath::new("[]"), MAX_DATA));
    }
}

fn validate_update(map: &Object, old: &Object, errors: &mut FieldErrors) {
    keep_if_immutable(map, old, &["data", "binaryData"], errors);
    validate_create(map, errors);
}
