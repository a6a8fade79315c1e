//! What the example `view` promises, seen by a client.

use atoll::test::ControlPlane;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams};

use super::*;

#[tokio::test]
async fn usage_is_computed_when_it_is_read() {
    let plane = ControlPlane::start_with(with_usage().expect("a definition")).await.expect("a control plane");
    let client = plane.cluster().await.expect("a cluster").client();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Usage"));
    let usages: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let before = usages.get("default").await.map_or(0, |usage| usage.data["configMaps"].as_u64().unwrap_or_default());

    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let made = serde_json::from_value(json!({"metadata": {"name": "a"}})).expect("a config map");
    config_maps.create(&Default::default(), &made).await.expect("created");
    assert_eq!(usages.get("default").await.expect("computed").data["configMaps"], before + 1);

    let named = ListParams::default().fields("metadata.name=default");
    let listed = usages.list(&named).await.expect("computed");
    assert_eq!(listed.items.len(), 1);
    match usages.get("nowhere").await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 404),
        other => panic!("{other:?}"),
    }
    match usages.create(&Default::default(), &DynamicObject::new("mine", &kind)).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 405),
        other => panic!("{other:?}"),
    }
    let groups = client.list_api_group_resources("example.com/v1").await.expect("discovery");
    assert_eq!(groups.resources[0].verbs, ["get", "list", "watch"]);
    plane.stop().await;
}

/// The next event of a watch, as type, name, number of config maps.
async fn next(events: &mut (impl Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + Unpin)) -> (String, u64) {
    let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("told in time");
    let (what, usage) = match event.expect("goes on").expect("an event") {
        WatchEvent::Added(usage) => ("added", usage),
        WatchEvent::Modified(usage) => ("modified", usage),
        WatchEvent::Deleted(usage) => ("deleted", usage),
        other => panic!("{other:?}"),
    };
    let count = usage.data["configMaps"].as_u64().unwrap_or_default();
    (format!("{what} {}", usage.metadata.name.unwrap_or_default()), count)
}

#[tokio::test]
async fn usage_is_told_when_what_it_is_computed_from_changes() {
    let plane = ControlPlane::start_with(with_usage().expect("a definition")).await.expect("a control plane");
    let (ours, theirs) = (plane.cluster().await.expect("a cluster"), plane.cluster().await.expect("a cluster"));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Usage"));
    let usages: Api<DynamicObject> = Api::all_with(ours.client(), &kind);
    let namespaces: Api<Namespace> = Api::all(ours.client());
    let made = serde_json::from_value(json!({"metadata": {"name": "team"}})).expect("a namespace");
    namespaces.create(&Default::default(), &made).await.expect("created");
    let team = |client| Api::<ConfigMap>::namespaced(client, "team");
    let map = |name: &str| serde_json::from_value(json!({"metadata": {"name": name}})).expect("a config map");

    let listed = usages.list(&ListParams::default().fields("metadata.name=team")).await.expect("computed");
    let version = listed.metadata.resource_version.clone().expect("a version");
    let params = WatchParams::default().fields("metadata.name=team").timeout(30);
    // The controllers put a certificate into each namespace at their own pace.
    let counted = listed.items.first().map_or(0, |usage| usage.data["configMaps"].as_u64().unwrap_or_default());
    let config_maps = team(ours.client());
    config_maps.create(&Default::default(), &map("a")).await.expect("created");
    let mut events = usages.watch(&params, &version).await.expect("a watch").boxed();
    let mut last = counted;
    while last < 2 {
        let (what, count) = next(&mut events).await;
        assert!(
            what.ends_with("team") && count > last,
            "what changed after the list is told: {what}, {count} of {last}"
        );
        last = count;
    }

    // What happens in another cluster, or to what it is not computed from, is not told.
    let elsewhere: Api<ConfigMap> = Api::namespaced(theirs.client(), "default");
    elsewhere.create(&Default::default(), &map("theirs")).await.expect("created");
    namespaces
        .create(&Default::default(), &serde_json::from_value(json!({"metadata": {"name": "other"}})).expect("one"))
        .await
        .expect("created");
    config_maps.create(&Default::default(), &map("b")).await.expect("created");
    assert_eq!(next(&mut events).await, ("modified team".to_owned(), last + 1));

    let all: Vec<String> = config_maps
        .list(&ListParams::default())
        .await
        .expect("listed")
        .into_iter()
        .filter_map(|map| map.metadata.name)
        .collect();
    drop(events);
    let mut events = usages.watch(&params, "0").await.expect("a watch").boxed();
    assert_eq!(next(&mut events).await, ("added team".to_owned(), all.len() as u64), "what is there comes first");
    plane.stop().await;
}
