//! The kinds that are synced, and what about each belongs to one cluster only.

use atoll_api::Object;
use serde_json::{Map, Value};

use super::marks::SYNC_LABEL;
use crate::cluster_api::Resource;
use crate::service_accounts::{DEFAULT_ACCOUNT, ROOT_CA, TOKEN_TYPE};

/// A kind that is synced.
pub(super) struct SyncedKind {
    /// Its resource.
    pub(super) resource: Resource<'static>,
    /// Its `apiVersion`.
    pub(super) api_version: &'static str,
    /// Its kind.
    pub(super) kind: &'static str,
    /// How its status comes back.
    pub(super) status: StatusFlow,
    /// The maps that are no more and no less than here: a program that reads them takes every key for ours.
    pub(super) exact: &'static [&'static str],
    /// Takes out what means something in one cluster only.
    pub(super) tidy: fn(&mut Map<String, Value>),
    /// Whether an object is made by each cluster for itself.
    is_local: fn(&Object) -> bool,
}

/// How the status of a kind comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusFlow {
    /// The kind has none.
    None,
    /// As it is, whenever it changes.
    Verbatim,
    /// As it is, once it speaks of the generation that was sent down.
    Observed,
}

/// The kinds that are synced, dependencies of pods before what makes pods.
pub(super) static KINDS: [SyncedKind; 5] = [
    SyncedKind {
        resource: Resource { api: "/api/v1", plural: "serviceaccounts" },
        api_version: "v1",
        kind: "ServiceAccount",
        status: StatusFlow::None,
        exact: &[],
        tidy: |account| {
            account.remove("secrets");
        },
        is_local: |account| account.name() == DEFAULT_ACCOUNT,
    },
    SyncedKind {
        resource: Resource { api: "/api/v1", plural: "configmaps" },
        api_version: "v1",
        kind: "ConfigMap",
        status: StatusFlow::None,
        exact: &["data", "binaryData"],
        tidy: |_| {},
        is_local: |map| map.name() == ROOT_CA,
    },
    SyncedKind {
        resource: Resource { api: "/api/v1", plural: "secrets" },
        api_version: "v1",
        kind: "Secret",
        status: StatusFlow::None,
        exact: &["data"],
        tidy: |_| {},
        // Tokens of this control plane are for this control plane.
        is_local: |secret| secret.text_at(&["type"]) == TOKEN_TYPE,
    },
    SyncedKind {
        resource: Resource { api: "/api/v1", plural: "services" },
        api_version: "v1",
        kind: "Service",
        status: StatusFlow::Verbatim,
        exact: &[],
        tidy: tidy_service,
        is_local: |service| service.name() == "kubernetes" && service.namespace() == "default",
    },
    SyncedKind {
        resource: Resource { api: "/apis/apps/v1", plural: "deployments" },
        api_version: "apps/v1",
        kind: "Deployment",
        status: StatusFlow::Observed,
        exact: &[],
        tidy: |_| {},
        is_local: |_| false,
    },
];

// === impl SyncedKind ===

impl SyncedKind {
    /// Whether an object goes down.
    pub(super) fn is_wanted(&self, object: &Object) -> bool {
        object.label(SYNC_LABEL) != Some("false") && !(self.is_local)(object)
    }
}

/// Addresses and node ports are each cluster's own; that a service has no address is not. Addresses outside would let a
/// tenant draw in the traffic of others.
fn tidy_service(service: &mut Map<String, Value>) {
    let Some(spec) = service.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.get("clusterIP").and_then(Value::as_str) != Some("None") {
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    for field in ["ipFamilies", "ipFamilyPolicy", "healthCheckNodePort", "loadBalancerIP", "externalIPs"] {
        spec.remove(field);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.remove("nodePort");
        }
    }
}
