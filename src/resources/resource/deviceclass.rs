//! DeviceClasses: sorts of devices that can be claimed.

use crate::registry::resource::GenerationPolicy;
use crate::resources::kind::{AGE_ONLY, Kind, Manners, Version};
use crate::resources::printing::age_only;

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "deviceclasses",
    kind: "DeviceClass",
    versions: &[Version {
        api_version: "resource.k8s.io/v1",
        type_name: "resource.v1.DeviceClass",
        columns: AGE_ONLY,
        ..Version::BARE
    }],
    generation: GenerationPolicy::SpecChanges,
    manners: Manners::RETURNS_DELETED,
    cells: age_only,
    ..Kind::CLUSTER
};
