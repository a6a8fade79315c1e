//! Namespaces: what names are unique in.

use atoll_api::{FieldErrors, FieldPath, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::namespace_finalize::FINALIZE;
use crate::registry::descriptor::Verb;
use crate::registry::resource::{MetadataChecks, NameRule};
use crate::resources::checks::{invalid, invalid_each, path};
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, strings, text};

/// The finalizer that the namespace controller takes off once a namespace is empty.
const FINALIZER: &str = "kubernetes";
/// The label that carries a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "namespaces",
    kind: "Namespace",
    short_names: &["ns"],
    // Namespaces are deleted one at a time.
    verbs: &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.Namespace",
        columns: &[column("Status", "string", "Whether the namespace is active or being deleted."), AGE],
        subresources: &[SubresourceSpec::Other(FINALIZE, "", "Namespace", &[Verb::Update]), SubresourceSpec::Status],
        selectable_fields: &["status.phase"],
        ..Version::BARE
    }],
    name_rule: NameRule::Label,
    manners: Manners::RETURNS_DELETED,
    holds_deleted: |namespace| {
        namespace.at(&["spec", "finalizers"]).and_then(Value::as_array).is_some_and(|held| !held.is_empty())
    },
    prepare_deletion: |namespace, _| {
        // A namespace has no grace period (registry/core/namespace/storage).
        namespace.metadata_mut().remove("deletionGracePeriodSeconds");
        namespace.map_mut("status").insert("phase".into(), "Terminating".into());
    },
    prepare_create,
    prepare_update: |namespace, old| keep_finalizers(namespace, old),
    validate_create,
    validate_update: Some(|_, _, _| {}),
    validate_status_update,
    part_keeps: &["status"],
    prepare_part_update: |_, namespace, old| {
        match old.get("status") {
            Some(status) => namespace.0.insert("status".into(), status.clone()),
            None => namespace.0.remove("status"),
        };
    },
    validate_part_update: |_, namespace, _, errors| {
        for (index, finalizer) in strings(&field(namespace, "spec")["finalizers"]).into_iter().enumerate() {
            check_finalizer(errors, finalizer, &path("spec.finalizers").index(index));
        }
    },
    cells,
    type_defaults: &[("core.v1.Namespace", namespace_defaults), ("core.v1.NamespaceStatus", status_defaults)],
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

fn namespace_defaults(namespace: &mut Map<String, Value>) {
    let Some(metadata) = child(namespace, "metadata") else { return };
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !name.is_empty() {
        made(metadata, "labels").insert(NAME_LABEL.to_owned(), name.into());
    }
}

fn status_defaults(status: &mut Map<String, Value>) {
    set(status, "phase", "Active");
}

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(&field(object, "status")["phase"]).into(), age(object, now)]
}

fn prepare_create(namespace: &mut Object) {
    let finalizers = namespace.map_mut("spec").entry("finalizers").or_insert(json!([]));
    if let Value::Array(list) = finalizers
        && !list.iter().any(|finalizer| finalizer == FINALIZER)
    {
        list.push(FINALIZER.into());
    }
    namespace.0.insert("status".into(), json!({"phase": "Active"}));
}

/// Finalizers in the spec change through the subresource `finalize` only.
fn keep_finalizers(namespace: &mut Object, old: &Object) {
    let spec = namespace.map_mut("spec");
    match field(old, "spec").get("finalizers") {
        Some(finalizers) => spec.insert("finalizers".into(), finalizers.clone()),
        None => spec.remove("finalizers"),
    };
}

fn validate_create(namespace: &Object, errors: &mut FieldErrors) {
    for finalizer in strings(&field(namespace, "spec")["finalizers"]) {
        check_finalizer(errors, finalizer, &path("spec.finalizers"));
    }
}

fn check_finalizer(errors: &mut FieldErrors, finalizer: &str, path: &FieldPath) {
    invalid_each(errors, path, finalizer, atoll_api::validation::qualified_name(finalizer));
    if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        invalid(errors, path, &finalizer.into(), detail);
    }
}

const STANDARD_FINALIZERS: &[&str] = &[FINALIZER, "orphan", "foregroundDeletion"];

fn validate_status_update(namespace: &Object, _: &Object, errors: &mut FieldErrors) {
    let phase = &field(namespace, "status")["phase"];
    let (wanted, detail) = match namespace.deletion_timestamp() {
        None => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
        Some(_) => ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    };
    if phase != wanted {
        invalid(errors, &path("status.Phase"), phase, detail);
    }
}
