//! ClusterRoles: what may be done anywhere, or in any namespace.

use super::checks;
use crate::registry::resource::{MetadataChecks, NameRule};
use crate::resources::kind::{Kind, Manners, Underlay, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "clusterroles",
    kind: "ClusterRole",
    versions: &[Version {
        api_version: "rbac.authorization.k8s.io/v1",
        type_name: "rbac.v1.ClusterRole",
        ..Version::BARE
    }],
    name_rule: NameRule::PathSegment,
    manners: Manners { underlay: Underlay::Marked, ..Manners::CREATE_ON_UPDATE },
    validate_create: |role, errors| {
        checks::rules(errors, role, checks::Reach::Cluster);
        checks::aggregation(errors, role);
    },
    metadata_checks: MetadataChecks::Both,
    ..Kind::CLUSTER
};
