//! PodDisruptionBudgets: how many pods may be missing at a time.

use atoll_api::Object;
use jiff::Timestamp;
use serde_json::Value;

use crate::registry::resource::GenerationPolicy;
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
    cells,
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
