//! What kube-apiserver 1.36 says to objects that are none of their kind's type: bodies, and what patches make of objects.
//! Compared with a real one, beyond what is recorded.

use serde_json::{Value, json};

use crate::requests::CONFIG_MAPS;
use crate::server::{Atoll, Client, MERGE_PATCH};

const PODS: &str = "/api/v1/namespaces/default/pods";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";

async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    (atoll, client)
}

fn pod(container: Value) -> Value {
    let mut whole = json!({"name": "c", "image": "i"});
    for (name, value) in container.as_object().expect("an object") {
        whole[name] = value.clone();
    }
    json!({"metadata": {"name": "p"}, "spec": {"containers": [whole]}})
}

#[tokio::test]
async fn bodies_of_wrong_types_are_told_in_the_words_of_go() {
    let (_atoll, client) = team().await;
    for (container, why) in [
        (
            json!({"imagePullPolicy": 5}),
            "number into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            json!({"livenessProbe": {"exec": {"command": [5]}}}),
            "number into Go struct field ExecAction.spec.containers.livenessProbe.ProbeHandler.exec.command of type string",
        ),
        (
            json!({"livenessProbe": {"httpGet": {"port": 1.5}}}),
            "number 1.5 into Go struct field HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32",
        ),
        (
            json!({"securityContext": {"capabilities": {"add": "x"}}}),
            "string into Go struct field Capabilities.spec.containers.securityContext.capabilities.add of type []v1.Capability",
        ),
        (
            json!({"resources": {"limits": 5}}),
            "number into Go struct field ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList",
        ),
    ] {
        let refused = client.post(PODS, pod(container.clone())).await.refused(400, "BadRequest");
        let expected = format!("Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal {why}");
        assert_eq!(refused["message"], expected, "{container}");
    }
    let review = json!({"spec": {"user": "u", "extra": {"a": 5}}});
    let refused =
        client.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review).await.refused(400, "BadRequest");
    let told = refused["message"].as_str().unwrap_or_default();
    assert!(told.ends_with("SubjectAccessReviewSpec.spec.extra of type v1.ExtraValue"), "{told}");
    let bytes = json!({"metadata": {"name": "bytes"}, "binaryData": {"k": [97, 98]}});
    assert_eq!(client.post(CONFIG_MAPS, bytes).await.expect(201)["binaryData"]["k"], "YWI=");
}

#[tokio::test]
async fn patches_into_wrong_types_are_told_as_go_reads_their_results() {
    let (_atoll, client) = team().await;
    client.post(PODS, pod(json!({}))).await.expect(201);
    let path = format!("{PODS}/p");
    for (patch, merged, strategic) in [
        (
            json!({"spec": {"dnsPolicy": 5}}),
            "json: cannot unmarshal number into Go struct field PodSpec.spec.dnsPolicy of type v1.DNSPolicy",
            "Invalid value: \"map[spec:map[dnsPolicy:5]]\": cannot convert int64 to v1.DNSPolicy",
        ),
        (
            json!({"spec": {"activeDeadlineSeconds": "x"}}),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
            "Invalid value: \"map[spec:map[activeDeadlineSeconds:x]]\": unrecognized type: int64",
        ),
        (
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": 5}]}}),
            "json: cannot unmarshal number into Go struct field Volume.spec.volumes.VolumeSource.emptyDir of type v1.EmptyDirVolumeSource",
            "Invalid value: \"map[spec:map[volumes:[map[emptyDir:5 name:v]]]]\": cannot restore struct from: int64",
        ),
        (
            json!({"metadata": {"labels": 5}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            "Invalid value: \"map[metadata:map[labels:5]]\": cannot restore map from int64",
        ),
    ] {
        for (kind, why) in [(MERGE_PATCH, merged), (STRATEGIC_MERGE_PATCH, strategic)] {
            let refused = client.patch(&path, kind, patch.clone()).await.refused(422, "Invalid");
            let told = refused["details"]["causes"][0]["message"].as_str().unwrap_or_default();
            assert!(told.ends_with(why), "{kind}: {told}");
        }
    }
    // Values do not say what is made of them.
    let renamed =
        client.patch(&path, STRATEGIC_MERGE_PATCH, json!({"apiVersion": "v2", "kind": "Foo"})).await.expect(200);
    assert_eq!((&renamed["apiVersion"], &renamed["kind"]), (&json!("v1"), &json!("Pod")));
    client.patch(&path, MERGE_PATCH, json!({"kind": "Foo"})).await.refused(422, "Invalid");
    // What was read before is converted without a look at whether it fits.
    let wrapped = json!({"spec": {"terminationGracePeriodSeconds": 30, "priority": 4_294_967_296_i64}});
    client.patch(&path, STRATEGIC_MERGE_PATCH, wrapped).await.expect(200);
}
