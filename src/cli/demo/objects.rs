//! The objects of the demo's story.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Where definitions are created.
pub(super) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Where widgets are created.
pub(super) const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
/// Where the workload's Deployment is.
pub(super) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";

/// One tenant's idea of a size.
pub(super) fn sized_by_number() -> Value {
    json!({"described": "a number from 1 to 5", "size": {"type": "integer", "minimum": 1, "maximum": 5}})
}

/// The other tenant's.
pub(super) fn sized_by_word() -> Value {
    json!({"described": "small or large", "size": {"type": "string", "enum": ["small", "large"]}})
}

/// The definition of widgets with sizes of this schema.
pub(super) fn definition(size: &Value) -> Value {
    let spec = json!({"type": "object", "required": ["size"], "properties": {"size": size}});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema,
                          "additionalPrinterColumns": [{"name": "Size", "type": "string", "jsonPath": ".spec.size"}]}],
        },
    })
}

/// A widget of this size.
pub(super) fn widget(name: &str, size: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}})
}

/// The secret that holds the physical cluster's kubeconfig.
pub(super) fn kubeconfig_secret(kubeconfig: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge"},
        "data": {"kubeconfig": STANDARD.encode(kubeconfig)},
    })
}

/// The physical cluster, registered.
pub(super) fn sync_target() -> Value {
    json!({
        "apiVersion": "workload.atoll.dev/v1alpha1", "kind": "SyncTarget", "metadata": {"name": "edge"},
        "spec": {"kubeconfig": {"namespace": "default", "name": "edge"}},
    })
}

/// The namespace that runs on a physical cluster.
pub(super) fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"workload.atoll.dev/sync": "true"}},
    })
}

/// What the tenant applies: collections, and an object for each.
pub(super) fn workload() -> [(&'static str, Value); 3] {
    let labels = json!({"app": "web"});
    let container = json!({
        "name": "main", "image": "registry.k8s.io/pause:3.10", "envFrom": [{"configMapRef": {"name": "greeting"}}],
    });
    [
        (
            "/api/v1/namespaces/shop/configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"},
                   "data": {"GREETING": "hello from team-a"}}),
        ),
        (
            "/api/v1/namespaces/shop/services",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                   "spec": {"selector": labels, "ports": [{"port": 80}]}}),
        ),
        (
            DEPLOYMENTS,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": 2, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}}),
        ),
    ]
}

/// The namespace of a physical cluster that holds team-a's copies.
pub(super) fn copied_namespace(list: &Value) -> Option<String> {
    let found = list["items"].as_array()?.iter().find(|item| {
        let annotations = &item["metadata"]["annotations"];
        annotations["workload.atoll.dev/cluster"] == "team-a" && annotations["workload.atoll.dev/name"] == "shop"
    })?;
    found["metadata"]["name"].as_str().map(str::to_owned)
}

/// The status a Deployment has when all its replicas run.
pub(super) fn all_ready(deployment: &Value) -> Value {
    let replicas = &deployment["spec"]["replicas"];
    let condition = json!({
        "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
        "message": "Deployment has minimum availability.",
    });
    json!({
        "observedGeneration": deployment["metadata"]["generation"], "replicas": replicas, "updatedReplicas": replicas,
        "readyReplicas": replicas, "availableReplicas": replicas, "conditions": [condition],
    })
}
