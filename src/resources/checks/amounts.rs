//! Checks of the names and amounts of resources: CPU, memory, storage, counts of objects.

use atoll_api::quantity::Quantity;
use atoll_api::validation::qualified_name;
use atoll_api::{FieldErrors, FieldPath};
use serde_json::Value;

use super::{invalid, invalid_each};
use crate::resources::read::quantity;

const OF_CONTAINERS: &[&str] = &["cpu", "memory", "ephemeral-storage"];
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
const OF_QUOTAS: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// Whether the resource is memory in pages of some size.
pub(in crate::resources) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether the resource is one that Kubernetes itself knows.
pub(in crate::resources) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether the resource is one that somebody else's devices provide.
pub(in crate::resources) fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether limits may be greater than requests.
pub(in crate::resources) fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Whether quotas can limit the resource.
pub(in crate::resources) fn is_for_quotas(name: &str) -> bool {
    OF_QUOTAS.contains(&name)
        || COUNTED.contains(&name)
        || is_huge_page(name)
        || name.starts_with("requests.hugepages-")
}

/// Whether the resource comes in whole numbers only.
pub(in crate::resources) fn is_counted(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

/// The name of any resource.
pub(in crate::resources) fn resource_name(errors: &mut FieldErrors, path: &FieldPath, name: &str) {
    let wrong = qualified_name(name);
    let well_formed = wrong.is_empty();
    invalid_each(errors, path, name, wrong);
    if well_formed && !name.contains('/') && !is_for_quotas(name) && name != "storage" {
        invalid(errors, path, &name.into(), "must be a standard resource type or fully qualified");
    }
}

/// The name of a resource that containers use.
pub(in crate::resources) fn container_resource_name(errors: &mut FieldErrors, path: &FieldPath, name: &str) {
    resource_name(errors, path, name);
    if !name.contains('/') {
        if !OF_CONTAINERS.contains(&name) && !is_huge_page(name) {
            invalid(errors, path, &name.into(), "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        invalid(errors, path, &name.into(), "doesn't follow extended resource name standard");
    }
}

/// The name of a resource that quotas limit.
pub(in crate::resources) fn quota_resource_name(errors: &mut FieldErrors, path: &FieldPath, name: &str) {
    resource_name(errors, path, name);
    if !name.contains('/') && !is_for_quotas(name) {
        invalid(errors, path, &name.into(), "must be a standard resource for quota");
    }
}

/// An amount that must not be negative.
pub(in crate::resources) fn not_negative_amount(errors: &mut FieldErrors, path: &FieldPath, value: &Value) {
    let amount = quantity(value);
    if amount.is_negative() {
        invalid(errors, path, &amount.to_string().into(), super::NEGATIVE);
    }
}

/// An amount of a resource: not negative, and whole where only whole numbers make sense.
pub(in crate::resources) fn amount_of(errors: &mut FieldErrors, path: &FieldPath, name: &str, value: &Value) {
    not_negative_amount(errors, path, value);
    if is_counted(name) {
        whole(errors, path, value);
    }
}

/// An amount that must be a whole number.
pub(in crate::resources) fn whole(errors: &mut FieldErrors, path: &FieldPath, value: &Value) {
    let amount = quantity(value);
    if amount.milli() % 1000 != 0 {
        invalid(errors, path, &amount.to_string().into(), "must be an integer");
    }
}

/// Whether one amount is greater than another.
pub(in crate::resources) fn greater(one: &Quantity, other: &Quantity) -> bool {
    one.partial_cmp(other) == Some(std::cmp::Ordering::Greater)
}
