//! What those who watch over a server see: figures in Prometheus' format and health checks, under kube-apiserver's names.

use serde_json::json;

use crate::requests::{CONFIG_MAPS, DEFINITIONS};
use crate::server::Atoll;

#[tokio::test]
async fn requests_are_counted_by_what_they_are_about_and_never_by_names_of_tenants() {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    client.post(CONFIG_MAPS, json!({"metadata": {"name": "a"}})).await.expect(201);
    client.get(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    client.get("/api/v1/configmaps").await.expect(200);
    client.get("/apis/apps/v1/namespaces/default/deployments/a/scale").await.refused(404, "NotFound");
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "secretnames.private.example.com"},
        "spec": {"group": "private.example.com", "scope": "Namespaced", "names": {"plural": "secretnames", "kind": "Name"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]},
    });
    client.post(DEFINITIONS, definition).await.expect(201);
    client.get("/apis/private.example.com/v1/namespaces/default/secretnames").await.expect(200);
    client.get("/apis/nowhere.example.com/v1/secretnames").await;
    let figures = String::from_utf8(atoll.root().get("/metrics").await.body.to_vec()).expect("text");
    let about = |group: &str, resource: &str, scope: &str, sub: &str| {
        format!("dry_run=\"\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{sub}\"")
    };
    for (code, about, verb, version) in [
        ("201", about("", "configmaps", "resource", ""), "POST", "v1"),
        ("200", about("", "configmaps", "resource", ""), "GET", "v1"),
        ("200", about("", "configmaps", "cluster", ""), "LIST", "v1"),
        ("404", about("apps", "deployments", "resource", "scale"), "GET", "v1"),
        ("200", about("", "", "", ""), "LIST", ""),
    ] {
        let series = format!(
            "apiserver_request_total{{code=\"{code}\",component=\"apiserver\",{about},verb=\"{verb}\",version=\"{version}\"}}"
        );
        assert!(figures.contains(&series), "{series}\n{figures}");
    }
    assert!(!figures.contains("secretnames") && !figures.contains("example.com"), "{figures}");
    for name in [
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1",
        "apiserver_longrunning_requests{component=\"apiserver\",verb=\"WATCH\"}",
        "process_resident_memory_bytes ",
    ] {
        assert!(figures.contains(name), "{name}\n{figures}");
    }
}

#[tokio::test]
async fn health_checks_are_told_one_by_one_and_counted() {
    let atoll = Atoll::start().await;
    let root = atoll.root();
    for (path, status) in [
        ("/readyz/informer-sync", 200),
        ("/readyz/shutdown", 200),
        ("/livez/etcd", 200),
        ("/livez/informer-sync", 404),
        ("/livez/shutdown", 404),
        ("/livez/", 404),
        ("/readyz/nothing", 404),
    ] {
        assert_eq!(root.get(path).await.status, status, "{path}");
    }
    let told = root.get("/readyz?verbose&exclude=etcd&exclude=nothing").await.text();
    assert!(told.contains("[+]etcd excluded: ok\n[+]etcd-readiness ok\n"), "{told}");
    let warned = "warn: some health checks cannot be excluded: no matches for \"nothing\"\nreadyz check passed\n";
    assert!(told.ends_with(warned), "{told}");
    let figures = root.get("/metrics/slis").await.text();
    for series in [
        "kubernetes_healthcheck{name=\"etcd\",type=\"livez\"} 1",
        "kubernetes_healthcheck{name=\"log\",type=\"readyz\"} 1",
    ] {
        assert!(figures.contains(series), "{series}\n{figures}");
    }
    let counted = "kubernetes_healthchecks_total{name=\"shutdown\",status=\"success\",type=\"readyz\"} 2";
    let figures = String::from_utf8(root.get("/metrics/slis").await.body.to_vec()).expect("text");
    assert!(figures.contains(counted), "{figures}");
}
