//! The calls that isolation tests make: every verb of a built-in kind, a kind with subresources and a custom kind, as data.

use http::Method;
use serde_json::{Value, json};

use crate::server::{APPLY_PATCH, Answer, Client, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH};

/// One call that changes or reads something.
pub(crate) struct Call {
    /// The verb by which it is authorized.
    pub(crate) verb: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) body: Value,
}

impl Call {
    /// Makes the call as this client.
    pub(crate) async fn send(&self, client: &Client) -> Answer {
        let body = if self.body.is_null() { String::new() } else { self.body.to_string() };
        client.send(self.method.clone(), self.path, self.media_type, body).await
    }
}

/// The objects every call finds: the same names in each cluster, their contents marked with the cluster's name.
pub(crate) fn furniture(mark: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/api/v1/namespaces/default/configmaps", config_map("shared", mark)),
        ("/api/v1/namespaces/default/configmaps", config_map("doomed", mark)),
        (
            "/api/v1/namespaces/default/secrets",
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shared"}, "stringData": {"mark": mark},
            }),
        ),
        ("/apis/apps/v1/namespaces/default/deployments", deployment("shared", mark)),
        (
            "/api/v1/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shared", "labels": {"mark": mark}}}),
        ),
        (DEFINITIONS, definition("string")),
        ("/apis/it.example.com/v1/namespaces/default/widgets", widget("shared", mark)),
        ("/apis/it.example.com/v1/namespaces/default/widgets", widget("doomed", mark)),
        (
            CLUSTER_ROLES,
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": "shared", "labels": {"mark": mark}},
                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
            }),
        ),
    ]
}

pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(crate) const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
pub(crate) const CLUSTER_ROLE_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const WIDGETS: &str = "/apis/it.example.com/v1/namespaces/default/widgets";

/// Puts the furniture into a cluster.
pub(crate) async fn furnish(client: &Client, mark: &str) {
    for (path, object) in furniture(mark) {
        client.post(path, object).await.expect(201);
    }
    client.settled().await;
}

pub(crate) fn config_map(name: &str, mark: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"mark": mark}}, "data": {"mark": mark}})
}

pub(crate) fn widget(name: &str, mark: &str) -> Value {
    json!({"apiVersion": "it.example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"mark": mark}})
}

fn deployment(name: &str, mark: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"mark": mark}},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

/// A definition of widgets whose `spec.mark` has the given type.
pub(crate) fn definition(mark_type: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.it.example.com"},
        "spec": {
            "group": "it.example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"mark": {"type": mark_type}}},
                    "status": {"type": "object", "properties": {"seen": {"type": "string"}}},
                }}},
            }],
        },
    })
}

/// A definition of things in a group, which may hold anything and have these subresources.
pub(crate) fn things(group: &str, subresources: Value) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": subresources}]},
    })
}

/// Every verb, on kinds of every sort, in an order in which all of them succeed in a furnished cluster.
pub(crate) fn every_verb() -> Vec<Call> {
    let call = |verb, method, path, media_type, body| Call { verb, method, path, media_type, body };
    let read = |verb, path| call(verb, Method::GET, path, "", Value::Null);
    let write = |verb, method, path, body| call(verb, method, path, "application/json", body);
    let patch = |path, media_type, body| call("patch", Method::PATCH, path, media_type, body);
    const MAP: &str = "/api/v1/namespaces/default/configmaps/shared";
    const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/shared";
    const DEPLOYMENT_STATUS: &str = "/apis/apps/v1/namespaces/default/deployments/shared/status";
    const DEPLOYMENT_SCALE: &str = "/apis/apps/v1/namespaces/default/deployments/shared/scale";
    const WIDGET: &str = "/apis/it.example.com/v1/namespaces/default/widgets/shared";
    const WIDGET_STATUS: &str = "/apis/it.example.com/v1/namespaces/default/widgets/shared/status";
    const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/shared";
    let status = json!({"status": {"observedGeneration": 1}});
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"k": "v"}});
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "shared", "namespace": "default"}, "spec": {"replicas": 3},
    });
    vec![
        read("get", MAP),
        read("list", CONFIG_MAPS),
        read("list", "/api/v1/configmaps"),
        write("create", Method::POST, CONFIG_MAPS, config_map("new", "new")),
        write("create", Method::POST, "/api/v1/namespaces/default/configmaps?dryRun=All", config_map("dry", "dry")),
        write("create", Method::POST, CONFIG_MAPS, json!({"metadata": {"generateName": "made-"}})),
        write("update", Method::PUT, MAP, config_map("shared", "updated")),
        patch(MAP, MERGE_PATCH, json!({"data": {"mark": "merged"}})),
        patch(MAP, STRATEGIC_PATCH, json!({"data": {"mark": "strategic"}})),
        patch(MAP, JSON_PATCH, json!([{"op": "replace", "path": "/data/mark", "value": "patched"}])),
        patch("/api/v1/namespaces/default/configmaps/applied?fieldManager=it", APPLY_PATCH, applied),
        read("get", DEPLOYMENT_STATUS),
        patch(DEPLOYMENT_STATUS, MERGE_PATCH, status),
        read("get", DEPLOYMENT_SCALE),
        write("update", Method::PUT, DEPLOYMENT_SCALE, scale),
        patch(DEPLOYMENT_SCALE, MERGE_PATCH, json!({"spec": {"replicas": 5}})),
        write("delete", Method::DELETE, DEPLOYMENT, Value::Null),
        read("get", WIDGET),
        read("list", WIDGETS),
        write("create", Method::POST, WIDGETS, widget("new", "new")),
        patch(WIDGET, MERGE_PATCH, json!({"spec": {"mark": "merged"}})),
        patch(WIDGET_STATUS, MERGE_PATCH, json!({"status": {"seen": "yes"}})),
        write("delete", Method::DELETE, "/apis/it.example.com/v1/namespaces/default/widgets/doomed", Value::Null),
        write("deletecollection", Method::DELETE, WIDGETS, Value::Null),
        write("delete", Method::DELETE, "/api/v1/namespaces/default/configmaps/doomed", Value::Null),
        write("deletecollection", Method::DELETE, CONFIG_MAPS, Value::Null),
        write(
            "deletecollection",
            Method::DELETE,
            "/api/v1/namespaces/default/secrets?labelSelector=!none",
            Value::Null,
        ),
        patch(ROLE, MERGE_PATCH, json!({"rules": []})),
        write("delete", Method::DELETE, ROLE, Value::Null),
        patch("/api/v1/namespaces/shared", MERGE_PATCH, json!({"metadata": {"labels": {"mark": "merged"}}})),
        write("delete", Method::DELETE, "/api/v1/namespaces/shared", Value::Null),
        write(
            "delete",
            Method::DELETE,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.it.example.com",
            Value::Null,
        ),
    ]
}

/// Everything a cluster holds, by the path of its list: the items of all that discovery tells of.
pub(crate) async fn everything(client: &Client) -> Vec<(String, Value)> {
    let mut versions = vec!["/api/v1".to_owned()];
    let groups = client.get("/apis").await.expect(200);
    for group in groups["groups"].as_array().into_iter().flatten() {
        for version in group["versions"].as_array().into_iter().flatten() {
            versions.push(format!("/apis/{}", version["groupVersion"].as_str().unwrap_or_default()));
        }
    }
    let mut held = Vec::new();
    for version in versions {
        let document = client.get(&version).await.expect(200);
        for resource in document["resources"].as_array().into_iter().flatten() {
            let listed = resource["verbs"].as_array().is_some_and(|verbs| verbs.contains(&"list".into()));
            if listed {
                let path = format!("{version}/{}", resource["name"].as_str().unwrap_or_default());
                let mut list = client.get(&path).await.expect(200);
                held.push((path, list["items"].take()));
            }
        }
    }
    held
}

/// What a cluster holds itself: without what the server tells of it to each in another way.
pub(crate) async fn held(client: &Client) -> Vec<(String, Value)> {
    let mut all = everything(client).await;
    all.retain(|(path, _)| !path.ends_with("/apiservices"));
    for (_, items) in all.iter_mut().filter(|(path, _)| path == "/api/v1/configmaps") {
        if let Some(items) = items.as_array_mut() {
            items.retain(|item| item["metadata"]["name"] != "extension-apiserver-authentication");
        }
    }
    all
}
