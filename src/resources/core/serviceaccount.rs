//! ServiceAccounts: identities for what runs in pods.

use crate::registry::descriptor::Verb;
use crate::resources::kind::{AGE_ONLY, Kind, Manners, SubresourceSpec, Version};
use crate::resources::printing::age_only;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "serviceaccounts",
    kind: "ServiceAccount",
    short_names: &["sa"],
    versions: &[Version {
        api_version: "v1",
        type_name: "core.v1.ServiceAccount",
        columns: AGE_ONLY,
        subresources: &[SubresourceSpec::Other("token", "authentication.k8s.io/v1", "TokenRequest", &[Verb::Create])],
        ..Version::BARE
    }],
    manners: Manners::RETURNS_DELETED,
    cells: age_only,
    ..Kind::NAMESPACED
};
