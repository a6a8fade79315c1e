//! Leases: who holds something, and until when.

use atoll_api::{FieldErrors, Object};
use jiff::Timestamp;
use serde_json::Value;

use crate::resources::checks::{forbidden, invalid, not_negative, one_of, path, qualified};
use crate::resources::kind::{AGE, Kind, Manners, Version, column};
use crate::resources::printing::age;
use crate::resources::read::{field, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "leases",
    kind: "Lease",
    versions: &[Version {
        api_version: "coordination.k8s.io/v1",
        type_name: "coordination.v1.Lease",
        columns: &[column("Holder", "string", "@coordination.v1.LeaseSpec.holderIdentity"), AGE],
        ..Version::BARE
    }],
    manners: Manners { create_on_update: true, ..Manners::CONDITIONAL },
    validate_create,
    cells,
    ..Kind::NAMESPACED
};

fn cells(object: &Object, now: Timestamp) -> Vec<Value> {
    vec![text(&field(object, "spec")["holderIdentity"]).into(), age(object, now)]
}

fn validate_create(lease: &Object, errors: &mut FieldErrors) {
    let spec = field(lease, "spec");
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64()
        && seconds <= 0
    {
        invalid(errors, &path("spec.leaseDurationSeconds"), &seconds.into(), "must be greater than 0");
    }
    not_negative(errors, &path("spec.leaseTransitions"), &spec["leaseTransitions"]);
    if let Some(strategy) = spec["strategy"].as_str() {
        // Kubernetes names the field twice.
        let at = path("spec.strategy.strategy");
        match strategy.contains('/') {
            true => qualified(errors, &at, strategy),
            false => one_of(errors, &at, strategy, &["OldestEmulationVersion"]),
        }
    }
    if !text(&spec["preferredHolder"]).is_empty() && text(&spec["strategy"]).is_empty() {
        forbidden(errors, &path("spec.preferredHolder"), "may only be specified if `strategy` is defined");
    }
}
