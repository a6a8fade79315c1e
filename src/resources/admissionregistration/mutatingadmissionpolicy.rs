//! MutatingAdmissionPolicies: expressions that change what is written.

use super::{policies, policy_cells};
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
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
    validate_create: |policy, errors| policies::mutating(policy, None, errors),
    validate_update: Some(|policy, old, errors| policies::mutating(policy, Some(old), errors)),
    cells: |object, now| policy_cells(object, "mutations", now),
    type_defaults: &[("admissionregistration.v1.MutatingAdmissionPolicySpec", |spec| {
        set(spec, "failurePolicy", "Fail")
    })],
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};
