//! What the example `limits` promises, seen by clients.

use atoll::test::ControlPlane;
use http::Request;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::*;

#[tokio::test]
async fn a_quota_holds() {
    let plane = ControlPlane::start_with(limited(50.0, 100)).await.expect("a control plane");
    let client = plane.cluster().await.expect("a cluster").client();
    limit_secrets(&client, "default", 2).await.expect("a quota");
    let secrets: Api<Secret> = Api::namespaced(client, "default");
    for (name, code) in [("a", 201), ("b", 201), ("c", 403)] {
        let secret = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a secret");
        match secrets.create(&Default::default(), &secret).await {
            Ok(_) => assert_eq!(code, 201, "{name}"),
            Err(kube::Error::Api(status)) => {
                assert_eq!(status.code, code, "{}", status.message);
                assert!(status.message.contains("exceeded quota: secrets"), "{}", status.message);
            }
            Err(other) => panic!("{other}"),
        }
    }
    plane.stop().await;
}

#[tokio::test]
async fn a_group_has_a_priority_level_of_its_own() {
    let plane = ControlPlane::start_with(limited(50.0, 100)).await.expect("a control plane");
    let cluster = plane.cluster_serving(&["all"]).await.expect("a cluster");
    let client = cluster.client();
    put_behind(&client, "reporters").await.expect("a level and a schema");
    let schema = Api::<FlowSchema>::all(client).get("reporters").await.expect("the schema");
    let request = || Request::get("/api/v1/namespaces/default/secrets").body(Vec::new().into()).expect("a request");
    for (group, own) in [("reporters", true), ("others", false)] {
        let answer = cluster.client_as("alice", &[group]).send(request()).await.expect("an answer");
        let told = answer.headers().get("x-kubernetes-pf-flowschema-uid").expect("where the request belongs");
        assert_eq!(Some(told.to_str().expect("a uid").to_owned()) == schema.uid(), own, "{group}");
    }
    plane.stop().await;
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_to_come_again_later() {
    let plane = ControlPlane::start_with(limited(0.1, 3)).await.expect("a control plane");
    let cluster = plane.cluster().await.expect("a cluster");
    let request = || Request::get("/version").body(Vec::new().into()).expect("a request");
    let (alice, bob) = (cluster.client_as("alice", &[]), cluster.client_as("bob", &[]));
    let mut codes = Vec::new();
    for client in [&alice, &alice, &alice, &alice, &bob] {
        let answer = client.send(request()).await.expect("an answer");
        let waits = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse::<u64>().ok());
        assert_eq!(waits.is_some_and(|seconds| (1..=10).contains(&seconds)), answer.status() == 429);
        codes.push(answer.status().as_u16());
    }
    assert_eq!(codes, [200, 200, 200, 429, 200]);
    plane.stop().await;
}
