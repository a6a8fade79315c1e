//! ValidatingAdmissionPolicies: expressions that check what is written.

use super::{policies, policy_cells};
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::defaults::set;
use crate::resources::kind::{AGE, Kind, Manners, SubresourceSpec, Version, column};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "validatingadmissionpolicies",
    kind: "ValidatingAdmissionPolicy",
    categories: &["api-extensions"],
    versions: &[Version {
        api_version: "admissionregistration.k8s.io/v1",
        type_name: "admissionregistration.v1.ValidatingAdmissionPolicy",
        columns: &[
            column("Validations", "integer", "The number of validations."),
            column("ParamKind", "string", "The kind of the parameters."),
            AGE,
        ],
        subresources: &[SubresourceSpec::Status],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::CONDITIONAL,
    validate_create: |policy, errors| policies::validating(policy, None, errors),
    validate_update: Some(|policy, old, errors| policies::validating(policy, Some(old), errors)),
    validate_status_update: |policy, _, errors| policies::validating_status(policy, errors),
    status_keeps: &["metadata", "spec"],
    cells: |object, now| policy_cells(object, "validations", now),
    type_defaults: &[
        ("admissionregistration.v1.ValidatingAdmissionPolicySpec", |spec| set(spec, "failurePolicy", "Fail")),
        ("admissionregistration.v1.MatchResources", super::match_defaults),
        ("admissionregistration.v1.NamedRuleWithOperations", |rule| set(rule, "scope", "*")),
    ],
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};
