//! CSIStorageCapacities: how much room a storage class has in some place.

use atoll_api::validation::validate_label_selector;
use atoll_api::{FieldErrors, Object};

use crate::registry::resource::MetadataChecks;
use crate::resources::checks::amounts::not_negative_amount;
use crate::resources::checks::labels::selector_warnings;
use crate::resources::checks::{immutable, path, subdomain};
use crate::resources::kind::{Kind, Manners, Version};
use crate::resources::read::{field, is_set, text};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "csistoragecapacities",
    kind: "CSIStorageCapacity",
    versions: &[Version {
        api_version: "storage.k8s.io/v1",
        type_name: "storage.v1.CSIStorageCapacity",
        // Kubernetes has columns of its own for them, but does not use them (registry/storage/csistoragecapacity, 1.36).
        ..Version::BARE
    }],
    manners: Manners::CONDITIONAL,
    validate_create,
    validate_update: Some(|capacity, old, errors| {
        validate_create(capacity, errors);
        for name in ["nodeTopology", "storageClassName"] {
            immutable(errors, &path(name), field(capacity, name), field(old, name));
        }
    }),
    warnings: |capacity, _| selector_warnings(field(capacity, "nodeTopology"), &path("nodeTopology")),
    metadata_checks: MetadataChecks::Both,
    ..Kind::NAMESPACED
};

fn validate_create(capacity: &Object, errors: &mut FieldErrors) {
    validate_label_selector(field(capacity, "nodeTopology"), &path("nodeTopology"), errors);
    subdomain(errors, &path("storageClassName"), text(field(capacity, "storageClassName")));
    if is_set(field(capacity, "capacity")) {
        not_negative_amount(errors, &path("capacity"), field(capacity, "capacity"));
    }
}
