//! What the example `pod_logs` promises, seen by a client.

use atoll::test::ControlPlane;
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use serde_json::json;

use super::*;

#[tokio::test]
async fn logs_are_streamed_for_as_long_as_somebody_follows() {
    let plane = ControlPlane::start_with(talkative()).await.expect("a control plane");
    let cluster = plane.cluster().await.expect("a cluster");
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "default");
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}});
    pods.create(&Default::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("created");

    let two = LogParams { tail_lines: Some(2), ..LogParams::default() };
    assert_eq!(pods.logs("web", &two).await.expect("logs"), "web/main: line 1\nweb/main: line 2\n");

    let on = LogParams { follow: true, tail_lines: Some(1), ..LogParams::default() };
    let mut lines = pods.log_stream("web", &on).await.expect("a stream").lines();
    for number in 1..=5 {
        let line = lines.try_next().await.expect("goes on").expect("a line");
        assert_eq!(line, format!("web/main: line {number}"));
    }
    drop(lines);

    let other = LogParams { container: Some("other".to_owned()), ..LogParams::default() };
    for (name, params, code) in [("web", &other, 400), ("gone", &two, 404)] {
        match pods.logs(name, params).await {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, code, "{}", status.message),
            told => panic!("{told:?}"),
        }
    }
    let nobody: Api<Pod> = Api::namespaced(cluster.client_as("alice", &[]), "default");
    assert!(nobody.logs("web", &two).await.is_err(), "nobody reads logs without the right to");
    plane.stop().await;
}
