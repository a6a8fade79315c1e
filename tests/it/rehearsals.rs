//! Dry runs: whatever is rehearsed succeeds as the thing itself would, and leaves everything as it was, in its own cluster and
//! in the one beside it.

use http::Method;
use serde_json::{Value, json};

use crate::requests::{self, Call, every_verb, furnish};
use crate::server::{Atoll, Client, MERGE_PATCH};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Writes to what a cluster only sees so far, and through subresources of their own.
fn further() -> Vec<Call> {
    let call = |verb, method, path, media_type, body| Call { verb, method, path, media_type, body };
    let create = |path, body| call("create", Method::POST, path, "application/json", body);
    let patch = |path, body| call("patch", Method::PATCH, path, MERGE_PATCH, body);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let subjects = json!({"subjects": []});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "first"}});
    let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let binding = json!({"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n"}});
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    vec![
        patch("/api/v1/namespaces/kube-system", labels.clone()),
        patch("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:public-info-viewer", subjects),
        call("delete", Method::DELETE, "/api/v1/namespaces/kube-node-lease", "", Value::Null),
        create("/api/v1/namespaces/kube-public/secrets", secret),
        create("/api/v1/namespaces/default/services", service),
        create("/api/v1/namespaces/default/persistentvolumeclaims", claim),
        create("/api/v1/namespaces/default/pods/web/binding", binding),
        create(
            "/api/v1/namespaces/default/pods/web/eviction",
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}}),
        ),
        create("/api/v1/namespaces/default/serviceaccounts/default/token", json!({"spec": {"audiences": ["a"]}})),
        patch("/api/v1/namespaces/default/pods/web", labels),
        call("delete", Method::DELETE, "/api/v1/namespaces/default/pods/web", "", Value::Null),
    ]
}

/// The newest version of the store.
async fn revision(client: &Client) -> String {
    let list = client.get("/api/v1/namespaces?limit=1").await.expect(200);
    list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_rehearsed_leaves_everything_as_it_was() {
    let atoll = Atoll::start().await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    for (client, mark) in [(&ours, "ours"), (&theirs, "theirs")] {
        furnish(client, mark).await;
        let spec = json!({"containers": [{"name": "c", "image": "i"}]});
        client.post(PODS, json!({"metadata": {"name": "web"}, "spec": spec})).await.expect(201);
    }
    let before = (requests::held(&ours).await, requests::held(&theirs).await);
    let mut writing = Vec::new();
    for mut call in every_verb().into_iter().chain(further()) {
        if matches!(call.verb, "get" | "list") || call.path.contains("dryRun") {
            continue;
        }
        let separator = if call.path.contains('?') { '&' } else { '?' };
        call.path = Box::leak(format!("{}{separator}dryRun=All", call.path).into_boxed_str());
        let started = revision(&ours).await;
        let answer = call.send(&ours).await;
        assert!(answer.status.is_success(), "{} {}: {}", call.verb, call.path, answer.text());
        if revision(&ours).await != started {
            writing.push(format!("{} {}", call.verb, call.path));
        }
    }
    let after = (requests::held(&ours).await, requests::held(&theirs).await);
    for (was, is) in [(before.0, after.0), (before.1, after.1)] {
        assert_eq!(is.len(), was.len());
        for ((path, was), (_, is)) in was.iter().zip(&is) {
            assert_eq!(is, was, "{path}; something was written during {writing:?}");
        }
    }
}
