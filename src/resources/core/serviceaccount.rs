//! ServiceAccounts: identities for what runs in pods.

use atoll_api::Object;
use serde_json::Value;

use crate::registry::descriptor::Verb;
use crate::registry::resource::MetadataChecks;
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
    prepare_create: clean_secrets,
    prepare_update: |account, _| clean_secrets(account),
    cells: age_only,
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

/// References to secrets hold their names only.
fn clean_secrets(account: &mut Object) {
    let secrets = account.0.get_mut("secrets").and_then(Value::as_array_mut);
    for reference in secrets.into_iter().flatten().filter_map(Value::as_object_mut) {
        reference.retain(|field, _| field == "name");
    }
}
