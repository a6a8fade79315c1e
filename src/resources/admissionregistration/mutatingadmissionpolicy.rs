//! MutatingAdmissionPolicies: expressions that change what is written.

use super::policy_cells;
use crate::registry::resource::GenerationPolicy;
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, Version, column};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "mutatingadmissionpolicies",
    kind: "MutatingAdmissionPolicy",
    categories: &["api-extensions"],
    versions: &[Version {
        api_version: "admissionregistration.k8s.io/v1",
        type_name: "admissionregistration.v1.MutatingAdmissionPolicy",
        columns: &[
            column("Mutations", "integer", "The number of mutations."),
            column("ParamKind", "string", "The kind of the parameters."),
            AGE,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::CONDITIONAL,
    cells: |object, now| policy_cells(object, "mutations", now),
    type_defaults: &[("admissionregistration.v1.MutatingAdmissionPolicySpec", |spec| {
        set(spec, "failurePolicy", "Fail")
    })],
    ..Kind::CLUSTER
};
