//! RuntimeClasses: ways to run containers.

use std::collections::BTreeSet;

use atoll_api::validation::validate_labels;
use atoll_api::{FieldError, FieldErrors, Object};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::resource::MetadataChecks;
use crate::resources::checks::labels::deprecated;
use crate::resources::checks::{immutable, label, path, required};
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::podspec::{container_requirements, tolerations};
use crate::resources::printing::age;
use crate::resources::read::{entries, field, is_set, list, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "runtimeclasses",
    kind: "RuntimeClass",
    versions: &[Version {
        api_version: "node.k8s.io/v1",
        type_name: "node.v1.RuntimeClass",
        columns: &[column("Handler", "string", "@node.v1.RuntimeClass.handler"), AGE],
        ..Version::BARE
    }],
    manners: Manners { create_on_update: true, ..Manners::CONDITIONAL },
    validate_create,
    validate_update: Some(|class, old, errors| {
        validate_create(class, errors);
        immutable(errors, &path("handler"), field(class, "handler"), field(old, "handler"));
    }),
    warnings: |class, _| {
        let labels = entries(&field(class, "scheduling")["nodeSelector"]).filter_map(|(label, _)| deprecated(label));
        labels.map(|message| format!("scheduling.nodeSelector: {message}")).collect()
    },
    cells,
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(field(object, "handler")).into(), age(object, now)]
}

fn validate_create(class: &Object, errors: &mut FieldErrors) {
    let handler = text(field(class, "handler"));
    if handler.is_empty() {
        required(errors, &path("handler"), "");
    } else {
        label(errors, &path("handler"), handler);
    }
    let overhead = field(class, "overhead");
    if is_set(overhead) {
        let requirements = json!({"limits": overhead["podFixed"]});
        container_requirements(errors, &requirements, &BTreeSet::new(), &path("overhead"));
    }
    let scheduling = field(class, "scheduling");
    if let Some(labels) = scheduling["nodeSelector"].as_object() {
        validate_labels(labels, &path("scheduling.nodeSelector"), errors);
    }
    let at = path("scheduling.tolerations");
    tolerations(errors, &scheduling["tolerations"], &at);
    let mut seen = BTreeSet::new();
    for (index, toleration) in list(&scheduling["tolerations"]).iter().enumerate() {
        let key = ["key", "operator", "value", "effect"].map(|name| text(&toleration[name]));
        if !seen.insert(key) {
            errors.push(FieldError::duplicate(&at.index(index), toleration));
        }
    }
}
