//! What those who watch over a server see: figures in Prometheus' format and health checks, under kube-apiserver's names.

use atoll::flow::FlowControl;
use serde_json::json;

use crate::requests::{CONFIG_MAPS, DEFINITIONS};
use crate::server::{Atoll, Client};

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

/// Kubernetes' own suite takes a level's figure for the sign that a new priority level is heeded.
#[tokio::test]
async fn seats_of_priority_levels_are_told_in_their_own_cluster() {
    const FLOW: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let atoll = Atoll::start_with(|builder| builder.flow_control(FlowControl::default())).await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    let level = json!({
        "metadata": {"name": "few"},
        "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 100, "limitResponse": {"type": "Reject"}}},
    });
    let schema = json!({
        "metadata": {"name": "few"},
        "spec": {"priorityLevelConfiguration": {"name": "few"}, "matchingPrecedence": 1000, "rules": [{
            "subjects": [{"kind": "User", "user": {"name": "noxu"}}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }]},
    });
    let level = ours.post(&format!("{FLOW}/prioritylevelconfigurations"), level).await.expect(201);
    let schema = ours.post(&format!("{FLOW}/flowschemas"), schema).await.expect(201);
    let seats = |figures: &str, level: &str| {
        let series = format!("apiserver_flowcontrol_nominal_limit_seats{{priority_level=\"{level}\"}} ");
        figures.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u32>().ok())
    };
    let figures = async |client: &Client| String::from_utf8_lossy(&client.get("/metrics").await.body).into_owned();
    let (here, there) = (figures(&ours).await, figures(&theirs).await);
    assert!(seats(&here, "few").is_some_and(|seats| seats >= 1), "{here}");
    assert!(seats(&here, "workload-low") < seats(&there, "workload-low"), "more levels divide the same seats");
    assert_eq!((seats(&there, "few"), seats(&there, "exempt")), (None, Some(0)));

    let answer = ours.user("noxu", &[]).get("/version").await;
    for (header, uid) in [
        ("x-kubernetes-pf-prioritylevel-uid", &level["metadata"]["uid"]),
        ("x-kubernetes-pf-flowschema-uid", &schema["metadata"]["uid"]),
    ] {
        assert_eq!(answer.headers[header].to_str().expect("text"), uid, "{header}");
        let other = ours.user("foo", &[]).get("/version").await;
        assert_ne!(other.headers[header].to_str().expect("text"), uid, "{header}");
    }
}
