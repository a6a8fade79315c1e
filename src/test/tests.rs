//! Tests of the control plane for tests.

use std::time::Instant;

use super::*;

/// What a start that is not the first of its process may cost, without optimisation.
const MOST_TO_START: Duration = Duration::from_millis(40);
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

async fn names(client: &Client) -> Vec<String> {
    let list = call(client, "GET", CONFIG_MAPS, &Value::Null).await.expect("a list");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let names = items.iter().filter_map(|item| item["metadata"]["name"].as_str()).filter(|name| name.len() == 1);
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn fresh_clusters_share_a_server_and_nothing_else() {
    let plane = ControlPlane::shared().await.expect("a control plane");
    let (a, b) = tokio::join!(plane.cluster(), plane.cluster());
    let (a, b) = (a.expect("a cluster").client(), b.expect("a cluster").client());
    call(&a, "POST", CONFIG_MAPS, &config_map("a")).await.expect("created");
    call(&b, "POST", CONFIG_MAPS, &config_map("b")).await.expect("created");
    assert_eq!(names(&a).await, ["a"]);
    assert_eq!(names(&b).await, ["b"]);
}

#[test]
fn the_shared_control_plane_outlives_the_runtime_of_the_test_that_started_it() {
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let plane = ControlPlane::shared().await.expect("a control plane");
            let cluster = plane.cluster().await.expect("a cluster");
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            });
            call(&cluster.client(), "POST", "/api/v1/namespaces/default/pods", &pod).await.expect("a pod");
        });
    }
}

#[tokio::test]
async fn users_may_do_what_policy_allows() {
    let plane = ControlPlane::shared().await.expect("a control plane");
    let cluster = plane.cluster_serving(&["minimal"]).await.expect("a cluster");
    let refused = call(&cluster.client_as("alice", &["devs"]), "GET", CONFIG_MAPS, &Value::Null).await;
    match refused {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_deleted_cluster_is_gone() {
    let plane = ControlPlane::shared().await.expect("a control plane");
    let cluster = plane.cluster().await.expect("a cluster");
    let client = cluster.client();
    cluster.delete().await.expect("deleted");
    match call(&client, "GET", CONFIG_MAPS, &Value::Null).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 404),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bad_names_and_unknown_resources_are_refused() {
    let plane = ControlPlane::shared().await.expect("a control plane");
    let told = plane.cluster_named("Not A Name", &["all"]).await.map(|_| ()).expect_err("refused");
    assert!(matches!(told, Error::Name { .. }), "{told:?}");
    let told = plane.cluster_serving(&["unicorns"]).await.map(|_| ()).expect_err("refused");
    assert!(matches!(told, Error::Refused { .. }), "{told:?}");
}

/// Starts a control plane; how long that took, and for how long this thread had a processor meanwhile.
async fn timed_start() -> (Duration, Option<Duration>) {
    let (began, used) = (Instant::now(), processor_time());
    let plane = ControlPlane::start().await.expect("a control plane");
    let took = (began.elapsed(), processor_time().zip(used).map(|(now, before)| now - before));
    plane.stop().await;
    took
}

/// The processor time of this thread so far, where the system tells it.
fn processor_time() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// `docs/embedding.md` has the measured figures. What is bounded here is the time for which this thread had a processor,
/// and no other test is on this thread: a busy machine does not make it fail.
#[tokio::test]
async fn a_start_does_not_do_again_what_an_earlier_one_in_the_process_has_done() {
    let (first, _) = timed_start().await;
    let (second, used) = timed_start().await;
    eprintln!("control planes start in {first:?}, then in {second:?}, of which {used:?} of processor time");
    assert!(used.is_none_or(|used| used < MOST_TO_START), "{used:?} of processor time");
}
