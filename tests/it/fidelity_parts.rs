//! What kube-apiserver 1.36 answers to writes through subresources (evictions, resizes, bindings, tokens) and to changed
//! metadata. Compared with a real one, beyond what is recorded.

use serde_json::{Value, json};

use crate::requests::CONFIG_MAPS;
use crate::server::{Atoll, Client, MERGE_PATCH};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    (atoll, client)
}

fn deployment() -> Value {
    let labels = json!({"a": "b"});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}});
    json!({"metadata": {"name": "a"}, "spec": spec})
}

fn pod(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "c", "image": "i"}]);
    }
    json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
}

async fn evictable(client: &Client, name: &str, status: Value) {
    client.post(PODS, pod(name, json!({"nodeName": "n"}))).await.expect(201);
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    client.patch(&format!("{PODS}/{name}/status"), MERGE_PATCH, ready).await.expect(200);
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": name}}});
    client.post(BUDGETS, json!({"metadata": {"name": name}, "spec": spec})).await.expect(201);
    client.patch(&format!("{BUDGETS}/{name}/status"), MERGE_PATCH, json!({"status": status})).await.expect(200);
}

fn eviction(name: &str, options: Value) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options})
}

#[tokio::test]
async fn an_eviction_tells_why_a_budget_refuses_it_and_marks_the_pod_it_ends() {
    let (_atoll, client) = team().await;
    let status = |allowed: i64, conditions: Value| {
        json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2,
            "expectedPods": 3, "conditions": conditions})
    };
    let failed = json!([{"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "why",
        "lastTransitionTime": "2020-01-01T00:00:00Z"}]);
    evictable(&client, "failed", status(0, failed)).await;
    evictable(&client, "free", status(1, json!([]))).await;
    let path = |name: &str| format!("{PODS}/{name}/eviction");
    let refused = client.post(&path("failed"), eviction("failed", json!(null))).await.refused(429, "TooManyRequests");
    assert_eq!(
        refused["details"]["causes"][0]["message"],
        "The disruption budget failed does not allow evicting pods currently because it failed sync: why"
    );
    // What is wrong with the options is looked at when the pod is deleted.
    let wrong = json!({"propagationPolicy": "x"});
    client.post(&path("failed"), eviction("failed", wrong.clone())).await.refused(429, "TooManyRequests");
    client.post(&format!("{}?dryRun=All", path("free")), eviction("free", wrong)).await.refused(422, "Invalid");
    let refused =
        client.post(&format!("{}?dryRun=All", path("free")), eviction("free", json!({"dryRun": ["X"]}))).await;
    assert_eq!(refused.expect(500)["message"], "Non-matching dry-run options in request and content: [All] and [X]");
    client.post(&path("free"), eviction("free", json!({"gracePeriodSeconds": 30}))).await.expect(201);
    let ending = client.get(&format!("{PODS}/free")).await.expect(200);
    let condition = &ending["status"]["conditions"][1];
    assert_eq!(
        (&condition["type"], &condition["reason"]),
        (&json!("DisruptionTarget"), &json!("EvictionByEvictionAPI"))
    );
    let second = json!({"metadata": {"name": "second"}, "spec": {"selector": {"matchLabels": {"app": "failed"}}}});
    client.post(BUDGETS, second).await.expect(201);
    client.post(&path("failed"), eviction("failed", json!(null))).await.expect(500);
}

#[tokio::test]
async fn resizes_reach_initial_containers_and_pods_as_a_whole() {
    let (_atoll, client) = team().await;
    let amounts =
        |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "1Gi"}, "limits": {"cpu": "4", "memory": "1Gi"}});
    let container = |name: &str| json!({"name": name, "image": "i", "resources": amounts("1")});
    let spec =
        json!({"containers": [container("c")], "initContainers": [container("first")], "resources": amounts("2")});
    client.post(PODS, pod("p", spec)).await.expect(201);
    let path = format!("{PODS}/p/resize");
    let strategic = "application/strategic-merge-patch+json";
    let change =
        json!({"spec": {"initContainers": [{"name": "first", "resources": amounts("2")}], "resources": amounts("3")}});
    let resized = client.patch(&path, strategic, change).await.expect(200);
    assert_eq!(resized["spec"]["resources"]["requests"]["cpu"], "3");
    assert_eq!(resized["spec"]["initContainers"][0]["resources"]["requests"]["cpu"], "2");
    assert_eq!(resized["metadata"]["generation"], 2);
    for (change, field) in [
        (json!({"resources": null}), "spec.resources"),
        (json!({"initContainers": [{"name": "new", "image": "i"}]}), "spec.initContainers"),
        (
            json!({"initContainers": [{"name": "first", "resources": {"limits": null}}]}),
            "spec.initContainers[0].resources.limits",
        ),
    ] {
        let refused = client.patch(&path, strategic, json!({"spec": change})).await.refused(422, "Invalid");
        let causes = refused["details"]["causes"].as_array().expect("causes").clone();
        assert!(causes.iter().any(|cause| cause["field"] == field), "{field}: {refused}");
    }
}

#[tokio::test]
async fn the_end_of_a_namespace_is_checked_and_owned_like_other_writes() {
    let (_atoll, client) = team().await;
    client.post("/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.expect(201);
    let body = |metadata: Value, finalizer: &str| {
        let mut metadata = metadata;
        metadata["name"] = "n".into();
        json!({"metadata": metadata, "spec": {"finalizers": [finalizer]}, "status": {"phase": "Terminating"}})
    };
    let path = "/api/v1/namespaces/n/finalize?fieldManager=ender";
    let refused = client.put(path, body(json!({}), "zz")).await.refused(422, "Invalid");
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.finalizers[0]", "{refused}");
    let refused = client.put(path, body(json!({"finalizers": ["zz"]}), "kubernetes")).await.refused(422, "Invalid");
    assert_eq!(refused["details"]["causes"][0]["field"], "metadata.finalizers[0]", "{refused}");
    let done = client.put(path, body(json!({"labels": {"a": "b"}}), "x.y/z")).await.expect(200);
    assert_eq!((&done["status"]["phase"], &done["spec"]["finalizers"]), (&json!("Active"), &json!(["x.y/z"])));
    let owners = done["metadata"]["managedFields"].as_array().expect("owners").clone();
    let ender = owners.iter().find(|owner| owner["manager"] == "ender").expect("an owner");
    assert_eq!(ender["subresource"], "finalize");
    assert!(ender["fieldsV1"].get("f:status").is_none(), "{ender}");
}

#[tokio::test]
async fn metadata_of_changes_is_checked_as_often_as_each_kind_does() {
    let (_atoll, client) = team().await;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    let hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    // How often faulty labels are told of; and those of a finalizer that is no name, and of one without a domain.
    for (path, object, labels, slashes, bare) in [
        (CONFIG_MAPS, json!({}), 4, 2, 2),
        (DEPLOYMENTS, deployment(), 3, 1, 1),
        (slices, json!({"addressType": "IPv4", "endpoints": []}), 3, 2, 1),
        (classes, json!({"provisioner": "p"}), 4, 2, 2),
        (hooks, json!({}), 3, 2, 0),
        (BUDGETS, json!({"spec": {}}), 2, 1, 0),
    ] {
        let mut object = object;
        object["metadata"] = json!({"name": "m"});
        client.post(path, object).await.expect(201);
        for (metadata, field, count) in [
            (json!({"labels": {"a": "Bad!"}}), "metadata.labels", labels),
            (json!({"finalizers": ["a/b/c"]}), "metadata.finalizers", slashes),
            (json!({"finalizers": ["bare"]}), "metadata.finalizers[0]", bare),
        ] {
            let answer = client.patch(&format!("{path}/m"), MERGE_PATCH, json!({"metadata": metadata})).await;
            assert_eq!(answer.status == 422, count > 0, "{path} {metadata}");
            if count > 0 {
                let refused = answer.refused(422, "Invalid");
                let causes = refused["details"]["causes"].as_array().expect("causes").clone();
                let told = causes.iter().filter(|cause| cause["field"] == field).count();
                assert_eq!(told, count, "{path} {refused}");
            }
        }
    }
}

#[tokio::test]
async fn bindings_and_tokens_name_what_they_mean() {
    let (_atoll, client) = team().await;
    client.post(PODS, pod("p", json!({}))).await.expect(201);
    let target = json!({"kind": "Node", "name": "n"});
    let nameless = json!({"apiVersion": "v1", "kind": "Binding", "target": target});
    let refused = client.post("/api/v1/namespaces/default/bindings", nameless).await.refused(400, "BadRequest");
    assert_eq!(refused["message"], "Name parameter required.");
    let other = json!({"metadata": {"name": "p", "uid": "x"}, "target": target});
    let refused = client.post(&format!("{PODS}/p/binding"), other).await.refused(409, "Conflict");
    assert!(refused["message"].as_str().is_some_and(|m| m.contains("UID in precondition: x,")), "{refused}");
    let request = json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1"}}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let refused = client.post(path, request).await.refused(400, "BadRequest");
    assert_eq!(refused["message"], "Name parameter required.");
}
