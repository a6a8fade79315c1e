//! CustomResourceDefinitions: types of a tenant's own.

use atoll_api::Object;
use serde_json::{Map, Value, json};

use super::{names, validate};
use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::{child, set, set_empty};
use crate::resources::kind::{Kind, Manners, SubresourceSpec, Version};
use crate::resources::read::{entry, field, flag, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "customresourcedefinitions",
    kind: "CustomResourceDefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    versions: &[Version {
        api_version: "apiextensions.k8s.io/v1",
        type_name: "apiextensions.v1.CustomResourceDefinition",
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::CONDITIONAL,
    prepare_create: record_stored_version,
    prepare_update: |definition, _| record_stored_version(definition),
    prepare_status_update: |definition, _| {
        if list(&field(definition, "status")["storedVersions"]).is_empty() {
            record_stored_version(definition);
        }
    },
    validate_create: validate::create,
    validate_update: Some(validate::update),
    validate_status_update: validate::status_update,
    warnings: validate::warnings,
    // A definition stays until its objects are gone.
    holds_deleted: |definition| definition.deletion_timestamp().is_none(),
    prepare_deletion,
    type_defaults: &[
        ("apiextensions.v1.CustomResourceDefinitionSpec", spec_defaults),
        ("apiextensions.v1.ServiceReference", |service| set(service, "port", 443)),
    ],
    ..Kind::CLUSTER
};

fn spec_defaults(spec: &mut Map<String, Value>) {
    if let Some(names) = child(spec, "names") {
        let kind = text(entry(names, "kind")).to_owned();
        if !kind.is_empty() {
            set_empty(names, "singular", kind.to_lowercase());
            set_empty(names, "listKind", format!("{kind}List"));
        }
    }
    set(spec, "conversion", json!({"strategy": "None"}));
}

/// Versions that objects were ever stored in are kept in the status.
fn record_stored_version(definition: &mut Object) {
    let versions = list(&field(definition, "spec")["versions"]);
    let Some(storage) = versions.iter().find(|version| flag(&version["storage"])) else { return };
    let name = storage["name"].clone();
    let stored = definition.map_mut("status").entry("storedVersions").or_insert(json!([]));
    if stored.is_null() {
        *stored = json!([]);
    }
    if let Value::Array(stored) = stored
        && !stored.contains(&name)
    {
        stored.push(name);
    }
}

/// The first deletion of a definition only says that its objects are to go; whoever deletes them takes the finalizer off.
fn prepare_deletion(definition: &mut Object, old: &Object) {
    // A definition has no grace period, and its deletion is no change of what it says (registry/customresourcedefinition).
    definition.metadata_mut().remove("deletionGracePeriodSeconds");
    let Some(since) = definition.deletion_timestamp().map(str::to_owned) else { return };
    if old.deletion_timestamp().is_some() {
        return;
    }
    definition.set_generation(old.generation());
    names::add_finalizer(definition);
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    names::set_condition(
        definition,
        names::condition("Terminating", "True", "InstanceDeletionPending", message, &since),
    );
}
