//! ResourceClaimTemplates: claims to devices that pods make for themselves.

use atoll_api::validation::{validate_annotations, validate_labels};
use atoll_api::{FieldError, FieldErrors, Object};

use super::{requests, shown};
use crate::registry::resource::MetadataChecks;
use crate::resources::checks::{IMMUTABLE, forbidden, path};
use crate::resources::kind::{AGE_ONLY, Kind, Manners, Version};
use crate::resources::printing::age_only;
use crate::resources::read::{entries, field};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "resourceclaimtemplates",
    kind: "ResourceClaimTemplate",
    versions: &[Version {
        api_version: "resource.k8s.io/v1",
        type_name: "resource.v1.ResourceClaimTemplate",
        columns: AGE_ONLY,
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    validate_create,
    validate_update: Some(validate_update),
    cells: age_only,
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn validate_create(template: &Object, errors: &mut FieldErrors) {
    let (spec, at) = (field(template, "spec"), path("spec"));
    let metadata_at = at.child("metadata");
    if let Some(annotations) = spec["metadata"]["annotations"].as_object() {
        validate_annotations(annotations, &metadata_at.child("annotations"), errors);
    }
    if let Some(labels) = spec["metadata"]["labels"].as_object() {
        validate_labels(labels, &metadata_at.child("labels"), errors);
    }
    let is_free = |name: &str| matches!(name, "annotations" | "labels");
    for (name, _) in entries(&spec["metadata"]).filter(|(name, value)| !is_free(name) && !value.is_null()) {
        // Kubernetes names the field as it is called in Go, but for its first letter.
        let name = if name == "uid" { "uID" } else { name };
        forbidden(errors, &metadata_at.child(name), "cannot be set");
    }
    requests::claim_spec(errors, &spec["spec"], &at.child("spec"));
}

fn validate_update(template: &Object, old: &Object, errors: &mut FieldErrors) {
    validate_create(template, errors);
    let spec = field(template, "spec");
    if spec != field(old, "spec") {
        errors.push(FieldError::invalid_shown(&path("spec"), shown::template_spec(spec), IMMUTABLE));
    }
}
