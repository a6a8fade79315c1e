//! What the example `limits` promises, seen by a client.

use atoll::test::ControlPlane;
use k8s_openapi::api::core::v1::Secret;

use super::*;

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let slots = Arc::new(Semaphore::new(64));
    let plane = ControlPlane::start_with(bounded(slots.clone())).await.expect("a control plane");
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
    let all = slots.acquire_many(64).await.expect("slots");
    let busy = secrets.list(&Default::default()).await.expect_err("no slot is free").to_string();
    assert!(busy.contains("too many requests"), "{busy}");
    drop(all);
    assert_eq!(secrets.list(&Default::default()).await.expect("a list").items.len(), 2);
    plane.stop().await;
}
