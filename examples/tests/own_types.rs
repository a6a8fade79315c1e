//! What the example `own_types` promises, seen by a client.

use atoll::test::ControlPlane;
use kube::Api;
use kube::api::{ApiResource, GroupVersionKind, Patch, PatchParams};

use super::*;

#[tokio::test]
async fn a_struct_is_a_resource_and_there_is_nothing_else() {
    let plane = ControlPlane::start_with(boats().expect("a definition")).await.expect("a control plane");
    let client = plane.root().client();
    let groups = client.list_api_groups().await.expect("discovery").groups;
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["example.com"]);

    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Boat"));
    let boats: Api<Boat> = Api::namespaced_with(client, "default", &kind);
    let made = boats.create(&Default::default(), &boat(&kind, 2)).await.expect("created");
    assert_eq!(made.spec.home_port.as_deref(), Some("Kiel"));
    for (sails, told) in [(1, "sails are not taken away"), (41, "spec.sails")] {
        let patch = Patch::Merge(json!({"spec": {"sails": sails}}));
        match boats.patch("dinghy", &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) => assert!(status.message.contains(told), "{}", status.message),
            other => panic!("{other:?}"),
        }
    }
    let applied = Patch::Apply(boat(&kind, 3));
    boats.patch("dinghy", &PatchParams::apply("shipyard"), &applied).await.expect_err("another owns the sails");
    let applied = boats.patch("dinghy", &PatchParams::apply("shipyard").force(), &applied).await.expect("applied");
    assert_eq!((applied.spec.sails, applied.metadata.generation), (3, Some(2)));
    plane.stop().await;
}

fn boat(kind: &ApiResource, sails: u32) -> Boat {
    Boat::new("dinghy", kind, BoatSpec { sails, home_port: None })
}
