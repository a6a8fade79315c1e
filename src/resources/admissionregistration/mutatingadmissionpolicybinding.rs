//! MutatingAdmissionPolicyBindings: where a policy applies, and with which parameters.

use super::{binding_cells, policies};
use crate::registry::resource::{GenerationPolicy, MetadataChecks};
use crate::resources::kind::{AGE, Kind, Manners, Version, column};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "mutatingadmissionpolicybindings",
    kind: "MutatingAdmissionPolicyBinding",
    categories: &["api-extensions"],
    versions: &[Version {
        api_version: "admissionregistration.k8s.io/v1",
        type_name: "admissionregistration.v1.MutatingAdmissionPolicyBinding",
        columns: &[
            column("PolicyName", "string", "The policy."),
            column("ParamRef", "string", "The object with the parameters."),
            AGE,
        ],
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::CONDITIONAL,
    validate_create: policies::binding,
    cells: binding_cells,
    metadata_checks: MetadataChecks::AsNew,
    ..Kind::CLUSTER
};
