//! DeviceClasses: sorts of devices that can be claimed.

use atoll_api::{FieldErrors, Object};
use serde_json::Value;

use super::lists::elements;
use super::requests::{MAX_CONFIGURATIONS, Novelty, configuration};
use super::selectors::selectors;
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::checks::amounts::is_extended;
use crate::resources::checks::{invalid, path};
use crate::resources::kind::{AGE_ONLY, Kind, Manners, Version};
use crate::resources::printing::age_only;
use crate::resources::read::field;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "deviceclasses",
    kind: "DeviceClass",
    versions: &[Version {
        api_version: "resource.k8s.io/v1",
        type_name: "resource.v1.DeviceClass",
        columns: AGE_ONLY,
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::RETURNS_DELETED,
    validate_create: |class, errors| validate(class, &Value::Null, errors),
    validate_update: Some(|class, old, errors| validate(class, &field(old, "spec")["config"], errors)),
    cells: age_only,
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

/// Checks a class; configuration that stays as it was may be longer than new one.
fn validate(class: &Object, old_config: &Value, errors: &mut FieldErrors) {
    let (spec, at) = (field(class, "spec"), path("spec"));
    selectors(errors, &spec["selectors"], &at.child("selectors"));
    let novelty = if spec["config"] == *old_config { Novelty::Stored } else { Novelty::New };
    elements(errors, &spec["config"], MAX_CONFIGURATIONS, &at.child("config"), |errors, config, path| {
        configuration(errors, config, path, novelty);
    });
    if let Some(name) = spec["extendedResourceName"].as_str()
        && !is_extended(name)
    {
        let detail = "must be a valid extended resource name";
        invalid(errors, &at.child("extendedResourceName"), &name.into(), detail);
    }
}
