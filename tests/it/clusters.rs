//! How logical clusters go: many at once, each wholly, and none with its neighbours.

use serde_json::json;

use crate::server::{Atoll, WORKSPACES, eventually, workspace};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn many_clusters_deleted_at_once_all_go_and_their_neighbour_stays() {
    let atoll = Atoll::start().await;
    let root = atoll.root();
    let conf = format!("{MAPS}/conf");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}});
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).chain(["neighbour".to_owned()]).collect();
    for name in &names {
        root.post(WORKSPACES, workspace(name)).await.expect(201);
        atoll.admin_of(name).post(MAPS, map.clone()).await.expect(201);
    }
    for name in &names[..100] {
        root.delete(&format!("{WORKSPACES}/{name}")).await.expect(200);
    }
    let left = || async {
        let list = root.get(WORKSPACES).await.expect(200);
        (list["items"].as_array().map(Vec::len) == Some(1)).then_some(())
    };
    eventually("all but the neighbour to be gone", left).await;
    atoll.admin_of("neighbour").get(&conf).await.expect(200);
    root.post(WORKSPACES, workspace("c7")).await.expect(201);
    atoll.admin_of("c7").get(&conf).await.refused(404, "NotFound");
    atoll.stop().await;
}
