//! ClusterSnapshots: what a logical cluster held at one moment, kept in the system cluster beside it.
//!
//! The object says what is kept; the content is the subresource `content`, an archive that is read and, where the snapshot
//! is one to be uploaded, written as a whole. Taking it and letting go of it is the keeper's work (`src/tenancy/keeper.rs`).

use atoll_api::{FieldError, FieldErrors, FieldPath, LogicalClusterName, Object};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::descriptor::Verb;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "clustersnapshots",
    kind: "ClusterSnapshot",
    versions: &[Version {
        api_version: "tenancy.atoll.dev/v1alpha1",
        type_name: "clustersnapshot.v1alpha1.ClusterSnapshot",
        columns: &[
            column("Cluster", "string", "The logical cluster it was taken of."),
            column("Phase", "string", "Whether its content is complete."),
            column("Objects", "integer", "How many objects it holds."),
            column("Reason", "string", "Why it was taken, if nobody asked for it."),
            column("Expires", "string", "When it is deleted by itself."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Other(
            "content",
            "tenancy.atoll.dev/v1alpha1",
            "ClusterSnapshot",
            &[Verb::Get, Verb::Update],
        )],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    prepare_create,
    prepare_update,
    validate_create,
    validate_update: Some(validate_update),
    cells,
    holds_deleted: |_| true,
    ..Kind::CLUSTER
};

fn prepare_create(snapshot: &mut Object) {
    let uploaded = snapshot.at(&["spec", "upload"]) == Some(&Value::Bool(true));
    let phase = if uploaded { "Uploading" } else { "Pending" };
    snapshot.0.insert("status".into(), json!({"phase": phase}));
}

/// What it is of cannot be changed, but for how long it is kept can.
fn prepare_update(snapshot: &mut Object, old: &Object) {
    let expires = snapshot.at(&["spec", "expires"]).cloned();
    for part in ["spec", "status"] {
        match old.get(part) {
            Some(value) => snapshot.0.insert(part.into(), value.clone()),
            None => snapshot.0.remove(part),
        };
    }
    match expires {
        Some(time) => snapshot.map_mut("spec").insert("expires".into(), time),
        None => snapshot.map_mut("spec").remove("expires"),
    };
}

fn validate_create(snapshot: &Object, errors: &mut FieldErrors) {
    let path = FieldPath::new("spec.cluster");
    let uploaded = snapshot.at(&["spec", "upload"]) == Some(&Value::Bool(true));
    let cluster = snapshot.text_at(&["spec", "cluster"]);
    match (cluster, uploaded) {
        ("", true) => {}
        ("", false) => errors.push(FieldError::required(&path, "name the logical cluster to take it of")),
        (name, true) => {
            errors.push(FieldError::invalid(&path, &name.into(), "what is uploaded says itself what it is of"));
        }
        (name, false) => {
            let fault = match LogicalClusterName::parse(name) {
                Ok(name) if name.is_root() => Some("the system cluster is part of the server's backup".to_owned()),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            };
            errors.extend(fault.map(|why| FieldError::invalid(&path, &name.into(), why)));
        }
    }
}

fn validate_update(_: &Object, _: &Object, _: &mut FieldErrors) {}

fn cells(snapshot: &Object, now: Timestamp) -> Vec<Value> {
    let text = |path: &[&str]| Value::from(snapshot.text_at(path));
    let cluster = match snapshot.text_at(&["spec", "cluster"]) {
        "" => text(&["status", "cluster", "name"]),
        named => named.into(),
    };
    let objects = snapshot.at(&["status", "objects"]).cloned().unwrap_or_else(|| 0.into());
    let (phase, reason) = (text(&["status", "phase"]), text(&["status", "reason"]));
    vec![cluster, phase, objects, reason, text(&["spec", "expires"]), age(snapshot, now)]
}
