//! PodDisruptionBudgets: how many pods may be missing at a time.

use atoll_api::validation::validate_label_selector;
use atoll_api::{FieldErrors, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::checks::workloads::{at_most_all, count_or_percent, counts};
use crate::resources::checks::{conditions, invalid_struct, one_of, path};
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, int, int_or_string, is_set};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "poddisruptionbudgets",
    kind: "PodDisruptionBudget",
    short_names: &["pdb"],
    versions: &[Version {
        api_version: "policy/v1",
        type_name: "policy.v1.PodDisruptionBudget",
        columns: &[
            column("Min Available", "string", "How many pods must stay available."),
            column("Max Unavailable", "string", "How many pods may be unavailable."),
            column("Allowed Disruptions", "integer", "How many pods may be evicted now."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::CONDITIONAL,
    validate_create,
    validate_status_update,
    cells,
    metadata_checks: MetadataChecks::None,
    part_metadata_checks: MetadataChecks::None,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = field(object, "spec");
    let bound = |value: &Value| if is_set(value) { int_or_string(value) } else { "N/A".to_owned() };
    vec![
        bound(&spec["minAvailable"]).into(),
        bound(&spec["maxUnavailable"]).into(),
        int(&field(object, "status")["disruptionsAllowed"]).into(),
        age(object, now),
    ]
}

fn validate_create(budget: &Object, errors: &mut FieldErrors) {
    let (spec, path) = (field(budget, "spec"), path("spec"));
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if is_set(least) && is_set(most) {
        let shown = [
            ("MinAvailable", least),
            ("Selector", &spec["selector"]),
            ("MaxUnavailable", most),
            ("UnhealthyPodEvictionPolicy", &spec["unhealthyPodEvictionPolicy"]),
        ];
        invalid_struct(errors, &path, &shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for (field, bound) in [("minAvailable", least), ("maxUnavailable", most)] {
        count_or_percent(errors, bound, &path.child(field));
        at_most_all(errors, bound, &path.child(field));
    }
    validate_label_selector(&spec["selector"], &path.child("selector"), errors);
    if let Some(policy) = spec["unhealthyPodEvictionPolicy"].as_str() {
        let accepted = ["AlwaysAllow", "IfHealthyBudget"];
        one_of(errors, &path.child("unhealthyPodEvictionPolicy"), policy, &accepted);
    }
}

fn validate_status_update(budget: &Object, _: &Object, errors: &mut FieldErrors) {
    let (status, path) = (field(budget, "status"), path("status"));
    conditions::conditions(errors, &path.child("conditions"), &status["conditions"]);
    counts(errors, status, &path, &["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"]);
}
