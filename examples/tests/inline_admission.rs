//! What the example `inline_admission` promises, seen by a client.

use atoll::test::ControlPlane;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::ResourceExt;
use serde_json::json;

use super::*;

#[tokio::test]
async fn plugins_change_objects_and_check_them_against_others() {
    let plane = ControlPlane::start_with(guarded()).await.expect("a control plane");
    let cluster = plane.cluster().await.expect("a cluster");
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "default");
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}});
    let pod: Pod = serde_json::from_value(pod).expect("a pod");
    match pods.create(&Default::default(), &pod).await {
        Err(kube::Error::Api(status)) => assert_eq!(
            (status.code, status.message.as_str()),
            (403, "pods \"web\" is forbidden: the image \"nginx\" is not listed in the config map \"images\"")
        ),
        other => panic!("{other:?}"),
    }
    let images: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "images"}, "data": {"nginx": ""}})).expect("a config map");
    let config_maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    config_maps.create(&Default::default(), &images).await.expect("created");
    let made = pods.create(&Default::default(), &pod).await.expect("created");
    assert_eq!(made.annotations()["example.com/made-by"], "admin");
    plane.stop().await;
}
