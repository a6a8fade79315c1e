//! What is done to pods and services beyond writing them: given addresses and ports, put on nodes, evicted.

use kube::core::Status;
use serde_json::{Value, json};

use crate::atoll_server::Atoll;

const JSON: &str = "application/json";

fn refusal(answer: Result<Value, Box<Status>>) -> (u16, String) {
    answer.map_or_else(|status| (status.code, status.message), |object| (200, object.to_string()))
}

fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_nodes_is_one_services_in_its_cluster_until_it_gives_it_back() {
    let atoll = Atoll::start().await;
    for cluster in [atoll.cluster("a").await, atoll.cluster("b").await] {
        let services = format!("{cluster}/api/v1/namespaces/default/services");
        atoll.post(&services, service("first", 30100)).await;
        let taken = refusal(atoll.call("POST", &services, JSON, Some(service("second", 30100))).await);
        assert!(taken.0 == 422 && taken.1.contains("provided port is already allocated"), "{taken:?}");
        let outside = refusal(atoll.call("POST", &services, JSON, Some(service("second", 80))).await);
        assert!(outside.0 == 422 && outside.1.contains("30000-32767"), "{outside:?}");
        atoll.delete(&format!("{services}/first")).await;
        let second = atoll.post(&services, service("second", 30100)).await;
        let ip = second["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
        let address = atoll.get(&format!("{cluster}/apis/networking.k8s.io/v1/ipaddresses/{ip}")).await;
        assert_eq!(address.expect("the claim of the address")["spec"]["parentRef"]["name"], "second");
    }
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_bound_once_and_evicted_when_its_budget_allows() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    let pods = format!("{a}/api/v1/namespaces/default/pods");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"x": "y"}},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "c", "image": "i"}]},
    });
    atoll.post(&pods, pod).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "n"}});
    atoll.post(&format!("{pods}/p/binding"), binding.clone()).await;
    let again = refusal(atoll.call("POST", &format!("{pods}/p/binding"), JSON, Some(binding)).await);
    assert!(again.0 == 409 && again.1.contains("already assigned to node \"n\""), "{again:?}");

    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let merge = "application/merge-patch+json";
    atoll.call("PATCH", &format!("{pods}/p/status"), merge, Some(status)).await.expect("a status");
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "all"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"x": "y"}}},
    });
    atoll.post(&format!("{a}/apis/policy/v1/namespaces/default/poddisruptionbudgets"), budget).await;
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let refused = refusal(atoll.call("POST", &format!("{pods}/p/eviction"), JSON, Some(eviction.clone())).await);
    assert!(refused.0 == 429 && refused.1.contains("disruption budget"), "{refused:?}");
    let elsewhere = format!("{b}/api/v1/namespaces/default/pods/p/eviction");
    let elsewhere = refusal(atoll.call("POST", &elsewhere, JSON, Some(eviction)).await);
    assert_eq!(elsewhere, (404, "pods \"p\" not found".to_owned()));
    atoll.stop().await;
}
