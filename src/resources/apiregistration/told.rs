//! What the server itself tells each cluster about aggregation, in objects that nobody stores: the API services of the
//! groups that it serves, and whom the API servers of the cluster are to believe.

use std::sync::Arc;

use atoll_api::Object;
use serde_json::{Value, json};

use super::priorities::{group_priority, version_priority};
use crate::registry::ObjectName;
use crate::registry::resource::Origin;
use crate::registry::underlay::Underlay;
use crate::request::RequestContext;
use crate::resources::told::{created, uid};
use crate::resources::{Authorities, Surfaces};
use crate::storage::Store;
use crate::tenancy::Clusters;

const NAMESPACE: &str = "kube-system";
const CONFIG_MAP: &str = "extension-apiserver-authentication";
/// How an API service says that it is there because the server serves the group.
const AUTOMATIC: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The common name in the certificate that the server shows the API servers of a cluster: a cluster's own, by its
/// identity, so that what is told to them cannot be told to those of another.
pub fn front_proxy_name(cluster_uid: &str) -> String {
    format!("front-proxy:{cluster_uid}")
}

/// The API services of the groups and versions that the server serves itself.
pub(in crate::resources) struct LocalServices {
    pub(in crate::resources) surfaces: Arc<Surfaces>,
    pub(in crate::resources) store: Arc<Store>,
    pub(in crate::resources) clusters: Arc<Clusters>,
}

/// The config map in which API servers of a cluster find whom they are to believe.
pub(in crate::resources) struct Trust {
    pub(in crate::resources) clusters: Arc<Clusters>,
    pub(in crate::resources) store: Arc<Store>,
    /// Whom they may believe.
    pub(in crate::resources) authorities: Authorities,
}

// === impl LocalServices ===

impl LocalServices {
    /// The group, version and origin of everything that is served, each once.
    fn served(&self, cx: &RequestContext) -> Vec<(String, String, Origin)> {
        let mut found: Vec<(String, String, Origin)> = Vec::new();
        for resource in self.surfaces.served(&cx.scope) {
            for version in resource.descriptor().versions.iter().filter(|version| version.served) {
                let (group, version) = (version.version.group.to_string(), version.version.version.to_string());
                if !found.iter().any(|(g, v, _)| *g == group && *v == version) {
                    found.push((group, version, resource.origin()));
                }
            }
        }
        found
    }

    fn object(&self, cx: &RequestContext, group: &str, version: &str, origin: Origin) -> Object {
        let name = format!("{version}.{group}");
        let created = created(&self.store, &cx.cluster);
        let mut spec = json!({"version": version});
        if !group.is_empty() {
            spec = json!({"group": group, "version": version});
        }
        // One more than is valid for others: nothing comes before the group of API services itself.
        spec["groupPriorityMinimum"] = group_priority(group, origin).min(20_000).into();
        spec["versionPriority"] = version_priority(group, version, origin).into();
        let automatic = if origin == Origin::Builtin { "onstart" } else { "true" };
        let mut metadata = json!({
            "name": name, "uid": uid(&self.clusters, &cx.cluster, &["apiservices", &name]), "labels": {AUTOMATIC: automatic},
        });
        let mut condition = json!({
            "type": "Available", "status": "True", "reason": "Local", "message": "Local APIServices are always available",
        });
        if let Some(created) = created {
            metadata["creationTimestamp"] = created.as_str().into();
            condition["lastTransitionTime"] = created.into();
        }
        object(json!({"metadata": metadata, "spec": spec, "status": {"conditions": [condition]}}))
    }
}

impl Underlay for LocalServices {
    fn list(&self, cx: &RequestContext, _: &str) -> Vec<Object> {
        let served = self.served(cx).into_iter();
        served.map(|(group, version, origin)| self.object(cx, &group, &version, origin)).collect()
    }

    fn get(&self, cx: &RequestContext, name: &ObjectName<'_>) -> Option<Object> {
        let (version, group) = name.name.split_once('.')?;
        let (group, version, origin) = self.served(cx).into_iter().find(|(g, v, _)| *g == group && *v == version)?;
        Some(self.object(cx, &group, &version, origin))
    }
}

// === impl Trust ===

impl Underlay for Trust {
    fn list(&self, cx: &RequestContext, namespace: &str) -> Vec<Object> {
        match namespace {
            "" | NAMESPACE => {
                self.get(cx, &ObjectName { namespace: NAMESPACE, name: CONFIG_MAP }).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn get(&self, cx: &RequestContext, name: &ObjectName<'_>) -> Option<Object> {
        if (name.namespace, name.name) != (NAMESPACE, CONFIG_MAP) {
            return None;
        }
        let cluster = self.clusters.find(&cx.cluster)?;
        let (client_ca, front_proxy_ca) = (self.authorities)();
        let list = |items: &[&str]| json!(items).to_string();
        let mut metadata = json!({
            "name": CONFIG_MAP, "namespace": NAMESPACE, "uid": uid(&self.clusters, &cx.cluster, &["configmaps", CONFIG_MAP]),
        });
        if let Some(created) = created(&self.store, &cx.cluster) {
            metadata["creationTimestamp"] = created.into();
        }
        Some(object(json!({
            "metadata": metadata,
            "data": {
                "client-ca-file": client_ca,
                "requestheader-allowed-names": list(&[&front_proxy_name(cluster.uid.as_str())]),
                "requestheader-client-ca-file": front_proxy_ca,
                "requestheader-extra-headers-prefix": list(&["X-Remote-Extra-"]),
                "requestheader-group-headers": list(&["X-Remote-Group"]),
                "requestheader-uid-headers": list(&["X-Remote-Uid"]),
                "requestheader-username-headers": list(&["X-Remote-User"]),
            },
        })))
    }
}

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap_or_default()
}
