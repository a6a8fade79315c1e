//! What tools that keep a cluster as files say do with a large bundle: apply it from the server's side, compare, change, prune.
//!
//! The bundle is made from a compact description; it has definitions, RBAC, workloads and objects of its own kinds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::server::{APPLY_PATCH, Answer, Atoll, Client, STRATEGIC_PATCH};

/// The label by which the objects of a bundle are known, as with Helm and kubectl's apply sets.
const PART: &str = "app.kubernetes.io/part-of";
const GROUP: &str = "platform.example.com";

/// The kinds a bundle has, in the order they are applied: API version, kind, plural, whether they are in a namespace.
const KINDS: [(&str, &str, &str, bool); 15] = [
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("v1", "Namespace", "namespaces", false),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("networking.k8s.io/v1", "Ingress", "ingresses", true),
    ("platform.example.com/v1", "Database", "databases", true),
];

/// What a bundle is to be.
#[derive(Clone, Copy)]
struct Release {
    /// Its applications are numbered.
    applications: usize,
    version: &'static str,
    /// Whether applications log what they do.
    logs: Logs,
}

#[derive(Clone, Copy, PartialEq)]
enum Logs {
    Kept,
    Dropped,
}

const FIRST: Release = Release { applications: 16, version: "1.0.0", logs: Logs::Kept };
const SECOND: Release = Release { applications: 14, version: "1.1.0", logs: Logs::Dropped };

/// An object of a bundle, and where it is.
struct Part {
    path: String,
    collection: String,
    config: Value,
}

/// The resource versions of objects, by their paths.
type Versions = BTreeMap<String, String>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_applied_compared_changed_and_pruned_in_its_cluster_alone() {
    let atoll = Atoll::start().await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    let bundle = parts(FIRST);
    assert!(bundle.len() >= 200, "{} objects", bundle.len());
    apply(&theirs, &parts(SECOND), 201).await;
    let untouched = versions(&theirs, &parts(SECOND)).await;

    apply(&ours, &bundle, 201).await;
    let before = versions(&ours, &bundle).await;
    apply(&ours, &bundle, 200).await;
    assert_eq!(versions(&ours, &bundle).await, before, "what has not changed is not written");
    assert!(differences(&ours, &bundle).await.is_empty(), "a dry run sees no difference");

    others_write(&ours).await;
    let scaled = deployment(&ours, 0).await;
    apply(&ours, &bundle, 200).await;
    assert_eq!(
        deployment(&ours, 0).await["spec"]["replicas"],
        scaled["spec"]["replicas"],
        "the scaler keeps its field"
    );

    let changed = parts(SECOND);
    let told = differences(&ours, &changed).await;
    let deployments = told.iter().filter(|path| path.contains("/deployments/")).count();
    assert_eq!(deployments, SECOND.applications, "each application would be changed: {told:?}");
    apply(&ours, &changed, 200).await;
    let deployment = deployment(&ours, 3).await;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "example.com/app-3:1.1.0");
    assert_eq!(container["env"], json!([{"name": "NAME", "value": "app-3"}]), "what is applied no longer is gone");

    let pruned = prune(&ours, &changed).await;
    assert_eq!(pruned, bundle.len() - changed.len());
    let gone = ours.get(&format!("/apis/apps/v1/namespaces/bundle/deployments/app-{}", FIRST.applications - 1)).await;
    gone.refused(404, "NotFound");
    assert_eq!(versions(&ours, &changed).await.len(), changed.len(), "the rest is there");
    assert_eq!(prune(&ours, &changed).await, 0, "there is nothing left to prune");
    assert_eq!(versions(&theirs, &changed).await, untouched, "the other cluster's bundle is as it was");
    atoll.stop().await;
}

/// Applies all objects; each answer has the status, if it is not one of both.
async fn apply(client: &Client, parts: &[Part], status: u16) {
    for part in parts {
        let answer = apply_one(client, part, "").await;
        let object = answer.expect(status);
        assert_eq!(object["metadata"]["managedFields"][0]["operation"], "Apply", "{}", part.path);
    }
}

async fn apply_one(client: &Client, part: &Part, options: &str) -> Answer {
    client.patch(&format!("{}?fieldManager=deployer{options}", part.path), APPLY_PATCH, part.config.clone()).await
}

async fn versions(client: &Client, parts: &[Part]) -> Versions {
    let mut versions = Versions::new();
    for part in parts {
        let object = client.get(&part.path).await.expect(200);
        let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        versions.insert(part.path.clone(), version);
    }
    versions
}

/// The objects that applying would change, told by a dry run, which changes nothing.
async fn differences(client: &Client, parts: &[Part]) -> Vec<String> {
    let mut differing = Vec::new();
    for part in parts {
        let live = client.get(&part.path).await.expect(200);
        let merged = apply_one(client, part, "&dryRun=All").await.expect(200);
        if plain(&live) != plain(&merged) {
            differing.push(part.path.clone());
        }
        assert_eq!(client.get(&part.path).await.expect(200), live, "a dry run stores nothing");
    }
    differing
}

/// An object without what each write changes.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["managedFields", "resourceVersion", "generation"] {
        object["metadata"][field] = Value::Null;
    }
    object
}

/// A scaler takes the replicas, which the bundle leaves open; an operator's image is a conflict that can be forced.
async fn others_write(client: &Client) {
    let path = "/apis/apps/v1/namespaces/bundle/deployments/app-0";
    let scale = json!({"spec": {"replicas": 7}});
    client.patch(&format!("{path}/scale"), "application/merge-patch+json", scale).await.expect(200);
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.com/hot:fix"}]}}}});
    client.patch(path, STRATEGIC_PATCH, image).await.expect(200);
    let bundle = parts(FIRST);
    let part = bundle.iter().find(|part| part.path == path).expect("a part");
    let refused = apply_one(client, part, "").await.refused(409, "Conflict");
    let field = ".spec.template.spec.containers[name=\"main\"].image";
    assert_eq!(refused["details"]["causes"][0]["field"], field);
    apply_one(client, part, "&force=true").await.expect(200);
}

async fn deployment(client: &Client, number: usize) -> Value {
    client.get(&format!("/apis/apps/v1/namespaces/bundle/deployments/app-{number}")).await.expect(200)
}

/// Deletes what has the bundle's label and is no part of it any more; gives how many objects that were.
async fn prune(client: &Client, keep: &[Part]) -> usize {
    let mut pruned = 0;
    let collections: Vec<String> = KINDS.iter().rev().map(|kind| collection(kind, "bundle")).collect();
    for collection in collections {
        let list = client.get(&format!("{collection}?labelSelector={PART}%3Dbundle")).await.expect(200);
        for item in list["items"].as_array().into_iter().flatten() {
            let path = format!("{collection}/{}", item["metadata"]["name"].as_str().unwrap_or_default());
            if keep.iter().all(|part| part.path != path) {
                client.delete(&format!("{path}?propagationPolicy=Background")).await.expect(200);
                pruned += 1;
            }
        }
    }
    pruned
}

// === the bundle ===

fn collection((api_version, _, plural, namespaced): &(&str, &str, &str, bool), namespace: &str) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let within = if *namespaced { format!("/namespaces/{namespace}") } else { String::new() };
    format!("/{root}/{api_version}{within}/{plural}")
}

/// All objects of a release, in the order they are to be applied.
fn parts(release: Release) -> Vec<Part> {
    let mut parts = Vec::new();
    for kind in &KINDS {
        let mut add = |name: String, fields: Value| {
            let (api_version, kind_name, ..) = kind;
            let labels = json!({PART: "bundle", "app.kubernetes.io/version": "1"});
            let mut config = json!({
                "apiVersion": api_version, "kind": kind_name, "metadata": {"name": name, "labels": labels},
            });
            for (field, value) in fields.as_object().into_iter().flatten() {
                config[field] = value.clone();
            }
            let collection = collection(kind, "bundle");
            parts.push(Part { path: format!("{collection}/{name}"), collection, config });
        };
        match kind.1 {
            "CustomResourceDefinition" => {
                for (plural, kind) in [("databases", "Database"), ("queues", "Queue"), ("buckets", "Bucket")] {
                    add(format!("{plural}.{GROUP}"), definition(plural, kind));
                }
            }
            "Namespace" => add("bundle".to_owned(), json!({})),
            kind => (0..release.applications).for_each(|n| add(name_of(kind, n), fields_of(kind, n, release))),
        }
    }
    assert!(parts.iter().all(|part| part.path.starts_with(&part.collection)));
    parts
}

fn name_of(kind: &str, number: usize) -> String {
    match kind {
        "ClusterRole" | "ClusterRoleBinding" => format!("bundle:app-{number}"),
        _ => format!("app-{number}"),
    }
}

/// What an object of an application says besides its metadata.
fn fields_of(kind: &str, number: usize, release: Release) -> Value {
    let app = format!("app-{number}");
    let selector = json!({"matchLabels": {"app": app}});
    let rules =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [app], "verbs": ["get", "watch"]}]);
    let subjects = json!([{"kind": "ServiceAccount", "name": app, "namespace": "bundle"}]);
    let role = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    match kind {
        "ServiceAccount" => json!({"automountServiceAccountToken": false}),
        "ClusterRole" | "Role" => json!({"rules": rules}),
        "ClusterRoleBinding" => json!({"subjects": subjects, "roleRef": role("ClusterRole", &format!("bundle:{app}"))}),
        "RoleBinding" => json!({"subjects": subjects, "roleRef": role("Role", &app)}),
        "ConfigMap" => json!({"data": {"version": release.version, "settings.yaml": "depth: 10\ncolour: blue\n"}}),
        "Secret" => json!({"type": "Opaque", "data": {"password": "Y29yYWw="}}),
        "Service" => json!({"spec": {
            "selector": {"app": app}, "ports": [{"name": "web", "port": 80, "targetPort": "web"}, {"name": "metrics", "port": 9090}],
        }}),
        "Deployment" => json!({"spec": {"selector": selector, "template": {
            "metadata": {"labels": {"app": app}}, "spec": {"serviceAccountName": app, "containers": [container(&app, release)]},
        }}}),
        "HorizontalPodAutoscaler" => json!({"spec": {
            "minReplicas": 1, "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        }}),
        "PodDisruptionBudget" => json!({"spec": {"maxUnavailable": "25%", "selector": selector}}),
        "Ingress" => json!({"spec": {"rules": [{"host": format!("{app}.example.com"), "http": {"paths": [{
            "path": "/", "pathType": "Prefix", "backend": {"service": {"name": app, "port": {"name": "web"}}}}]}}]}}),
        _ => {
            json!({"spec": {"engine": "postgres", "version": release.version, "users": [{"name": "owner"}, {"name": app}]}})
        }
    }
}

fn container(app: &str, release: Release) -> Value {
    let mut env = vec![json!({"name": "NAME", "value": app})];
    if release.logs == Logs::Kept {
        env.push(json!({"name": "LOGS", "value": "kept"}));
    }
    json!({
        "name": "main", "image": format!("example.com/{app}:{}", release.version), "env": env,
        "ports": [{"name": "web", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
        "resources": {"requests": {"cpu": "0.1", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "web"}},
    })
}

fn definition(plural: &str, kind: &str) -> Value {
    let user = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "rights": {"type": "array", "items": {"type": "string"}, "default": ["read"]}}});
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "engine": {"type": "string", "enum": ["postgres", "mysql"]}, "version": {"type": "string"},
        "replicas": {"type": "integer", "default": 1},
        "users": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": user},
    }}, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    json!({"spec": {
        "group": GROUP, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
        "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema}}],
    }})
}
