//! ResourceClaimTemplates: claims to devices that pods make for themselves.

use crate::resources::kind::{AGE_ONLY, Kind, Manners, Version};
use crate::resources::printing::age_only;

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
    cells: age_only,
    ..Kind::NAMESPACED
};
