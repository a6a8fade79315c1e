//! What the example `own_storage` promises: the contract of engines, and that what was stored is there again.

use atoll::server::Server;
use atoll::storage::conformance::Subject;
use atoll::test::ControlPlane;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use super::*;

async fn open() -> Subject {
    let dir = tempfile::tempdir().expect("a directory");
    let backend = Journal::open(&dir.path().join("journal")).await.expect("opened");
    Subject { backend, keep: Box::new(dir) }
}

atoll::storage::conformance::all!(open);

#[tokio::test]
async fn a_server_finds_again_what_it_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    for start in 0..2 {
        let journal = Journal::open(&dir.path().join("journal")).await.expect("opened");
        let plane = ControlPlane::start_with(Server::builder().engine(journal)).await.expect("a control plane");
        let config_maps: Api<ConfigMap> = Api::namespaced(plane.root().client(), "default");
        if start == 0 {
            let made = serde_json::from_value(json!({"metadata": {"name": "kept"}})).expect("a config map");
            config_maps.create(&Default::default(), &made).await.expect("created");
        }
        assert!(config_maps.get_opt("kept").await.expect("answered").is_some(), "after start {start}");
        plane.stop().await;
    }
}
