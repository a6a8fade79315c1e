//! Owners of fields that Kubernetes writes even where clients say nothing of them.

use serde_json::{Value, json};

use super::{ADMIN, TestServer};

/// Times of conditions have no `omitempty` that would work for them in Go: where nobody told one, they are null, and
/// belong to whoever wrote the condition (recorded with kube-apiserver 1.36).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_nobody_told_belongs_to_who_wrote_the_condition() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let namespaces = "/clusters/team-a/api/v1/namespaces";
    server.check(ADMIN, "POST", namespaces, json!({"metadata": {"name": "n"}}), 201).await;
    let namespace = &format!("{namespaces}/n");
    let said = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "x"}]}});
    let owned = |object: &Value, kind: &str| {
        let managers = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let place = format!("k:{{\"type\":\"{kind}\"}}");
        let of = |manager: &Value| manager["fieldsV1"]["f:status"]["f:conditions"][&place].clone();
        managers.iter().map(of).filter(Value::is_object).collect::<Vec<_>>()
    };
    let path = format!("{namespace}/status?fieldManager=one");
    let written = server.check(ADMIN, "PATCH", &path, said("A"), 200).await;
    assert_eq!(written["status"]["conditions"][0]["lastTransitionTime"], Value::Null);
    let all = json!({".": {}, "f:lastTransitionTime": {}, "f:reason": {}, "f:status": {}, "f:type": {}});
    assert_eq!(owned(&written, "A"), vec![all.clone()]);
    // Who writes another one in its place takes nothing of it along.
    let path = format!("{namespace}/status?fieldManager=other");
    let mut replaced = server.check(ADMIN, "GET", namespace, Value::Null, 200).await;
    replaced["status"]["conditions"][0]["type"] = json!("B");
    let written = server.check(ADMIN, "PUT", &path, replaced, 200).await;
    assert_eq!((owned(&written, "A"), owned(&written, "B")), (vec![], vec![all]));
}
