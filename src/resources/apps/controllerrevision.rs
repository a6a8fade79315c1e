//! ControllerRevisions: immutable snapshots of what a controller was told.

use atoll_api::{FieldErrors, GroupKind, GroupVersion, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{immutable, not_negative, path, required};
use crate::resources::kind::{AGE, Kind, Version, column};
use crate::resources::printing::{NONE, age};
use crate::resources::read::{field, int};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "controllerrevisions",
    kind: "ControllerRevision",
    versions: &[Version {
        api_version: "apps/v1",
        type_name: "apps.v1.ControllerRevision",
        columns: &[
            column("Controller", "string", "The controller that owns the revision."),
            column("Revision", "string", "@apps.v1.ControllerRevision.revision"),
            AGE,
        ],
        ..Version::BARE
    }],
    validate_create,
    validate_update: Some(validate_update),
    cells,
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let owners = object.owner_references();
    let controller = owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| {
        let group = GroupVersion::parse(&owner.api_version).map(|version| version.group).unwrap_or_default();
        let kind = GroupKind { group, kind: owner.kind.as_str().into() };
        format!("{}/{}", kind.to_string().to_lowercase(), owner.name)
    });
    vec![controller.unwrap_or(NONE.to_owned()).into(), int(field(object, "revision")).into(), age(object, now)]
}

fn validate_create(revision: &Object, errors: &mut FieldErrors) {
    not_negative(errors, &path("revision"), field(revision, "revision"));
    match field(revision, "data") {
        Value::Object(_) => {}
        Value::Null => required(errors, &path("data"), "data is mandatory"),
        _ => required(errors, &path("data"), "data must be a valid JSON object"),
    }
}

fn validate_update(revision: &Object, old: &Object, errors: &mut FieldErrors) {
    not_negative(errors, &path("revision"), field(revision, "revision"));
    immutable(errors, &path("data"), field(revision, "data"), field(old, "data"));
}
