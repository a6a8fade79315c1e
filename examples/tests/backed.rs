//! What the example `backed` promises, seen by a user and by a platform engineer.

use atoll::test::ControlPlane;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};

use super::*;

fn api(client: kube::Client, group: &str) -> (Api<DynamicObject>, ApiResource) {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", "Database"));
    (Api::namespaced_with(client, "default", &kind), kind)
}

#[tokio::test]
async fn users_and_engineers_see_the_same_object_in_their_own_words() {
    let plane = ControlPlane::start_with(platform().expect("a definition")).await.expect("a control plane");
    let client = plane.cluster().await.expect("a cluster").client();
    let kept = definition("platform.example.com", json!({"cpus": {"type": "integer"}, "count": {"type": "integer"}}));
    let kept: CustomResourceDefinition = serde_json::from_value(kept).expect("a definition");
    Api::all(client.clone()).create(&Default::default(), &kept).await.expect("defined");
    let (users, kind) = api(client.clone(), "example.com");
    let (engineers, _) = api(client, "platform.example.com");

    let wish = |size| DynamicObject::new("orders", &kind).data(json!({"spec": {"size": size}}));
    match users.create(&Default::default(), &wish("huge")).await {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, 422);
            assert!(
                status.message.contains("supported values: \"small\", \"medium\", \"large\""),
                "{}",
                status.message
            );
        }
        other => panic!("{other:?}"),
    }
    let made = users.create(&Default::default(), &wish("medium")).await.expect("created");
    assert_eq!(made.data["spec"], json!({"size": "medium", "replicas": 1}));
    assert_eq!(engineers.get("orders").await.expect("kept").data["spec"], json!({"cpus": 4, "count": 1}));

    let more = Patch::Merge(json!({"spec": {"replicas": 3}}));
    users.patch("orders", &PatchParams::default(), &more).await.expect("patched");
    let larger = Patch::Merge(json!({"spec": {"cpus": 20}}));
    let changed = engineers.patch("orders", &PatchParams::default(), &larger).await.expect("patched");
    assert_eq!(changed.data["spec"], json!({"cpus": 20, "count": 3}));
    let seen = users.list(&Default::default()).await.expect("a list");
    assert_eq!(seen.items[0].data["spec"], json!({"size": "large", "replicas": 3}));

    users.delete("orders", &Default::default()).await.expect("deleted");
    assert!(engineers.get_opt("orders").await.expect("answered").is_none());
    plane.stop().await;
}
