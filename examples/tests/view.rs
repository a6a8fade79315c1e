//! What the example `view` promises, seen by a client.

use atoll::test::ControlPlane;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};

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
    assert_eq!(groups.resources[0].verbs, ["get", "list"]);
    plane.stop().await;
}
