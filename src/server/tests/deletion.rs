//! Deletions as clients of all sorts ask for them.

use super::*;
use crate::codec::protobuf;

/// Go clients write the options of a deletion in the encoding that they write everything in.
#[tokio::test]
async fn the_options_of_a_deletion_may_be_protobuf() {
    let server = TestServer::start().await;
    let collection = "/api/v1/namespaces/default/configmaps";
    let made = server.check(ADMIN, "POST", collection, json!({"metadata": {"name": "a"}}), 201).await;
    let uid = made["metadata"]["uid"].as_str().expect("a uid");
    for (wanted, status) in [("another", 409), (uid, 200)] {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": wanted}});
        let request = Request::builder()
            .method("DELETE")
            .uri(format!("{collection}/a"))
            .header("authorization", "Bearer admin")
            .header("content-type", "application/vnd.kubernetes.protobuf")
            .body(Body::from(protobuf::encode(&options).expect("a message")))
            .expect("a request");
        let answer = server.running.service().oneshot(request).await.expect("infallible");
        assert_eq!(answer.status(), status, "for the uid {wanted}");
    }
}
