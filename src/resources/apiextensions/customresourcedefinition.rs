//! CustomResourceDefinitions: types of a tenant's own.

use atoll_api::Object;
use serde_json::{Map, Value, json};

use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::{child, set};
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
    prepare_create: |definition| {
        record_stored_version(definition);
        super::names::add_finalizer(definition);
    },
    prepare_update: |definition, _| record_stored_version(definition),
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
            set(names, "singular", kind.to_lowercase());
            set(names, "listKind", format!("{kind}List"));
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
    if let Value::Array(stored) = stored
        && !stored.contains(&name)
    {
        stored.push(name);
    }
}
