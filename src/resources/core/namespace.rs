//! Namespaces: what names are unique in.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::registry::descriptor::Verb;
use crate::registry::resource::NameRule;
use crate::resources::defaults::{child, made, set};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, text};

/// The finalizer that keeps a namespace until it is empty.
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
        subresources: &[SubresourceSpec::Other("finalize", "", "Namespace", &[Verb::Update]), SubresourceSpec::Status],
        selectable_fields: &["status.phase"],
    }],
    name_rule: NameRule::Label,
    manners: Manners::RETURNS_DELETED,
    prepare_create: |namespace| {
        namespace.map_mut("spec").insert("finalizers".into(), vec![Value::from(FINALIZER)].into());
    },
    prepare_update: |namespace, old| match old.get("spec").cloned() {
        Some(spec) => {
            namespace.0.insert("spec".into(), spec);
        }
        None => {
            namespace.0.remove("spec");
        }
    },
    holds_deleted: |namespace| {
        namespace.at(&["spec", "finalizers"]).and_then(Value::as_array).is_some_and(|held| !held.is_empty())
    },
    prepare_deletion: |namespace| {
        // A namespace has no grace period (registry/core/namespace/storage).
        namespace.metadata_mut().remove("deletionGracePeriodSeconds");
        namespace.map_mut("status").insert("phase".into(), "Terminating".into());
    },
    cells,
    type_defaults: &[("core.v1.Namespace", namespace_defaults), ("core.v1.NamespaceStatus", status_defaults)],
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
