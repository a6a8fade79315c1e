//! What kube-apiserver 1.36 answers to writes of services, autoscalers, jobs, claims and events. Compared with a real one,
//! beyond what is recorded.

use serde_json::{Value, json};

use crate::server::{Atoll, Client, MERGE_PATCH};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    (atoll, client)
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn services_keep_release_and_contradict_their_ports_of_nodes() {
    let (_atoll, client) = team().await;
    let path = |name: &str| format!("{SERVICES}/{name}");
    let two =
        json!({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30100}, {"name": "b", "port": 81}]});
    let made = client.post(SERVICES, service("s", two)).await.expect(201);
    let other = made["spec"]["ports"][1]["nodePort"].clone();
    // What a port had is found by its name.
    let renumbered = json!({"type": "NodePort", "ports": [{"name": "b", "port": 80}, {"name": "c", "port": 81}]});
    let changed = client.put(&path("s"), service("s", renumbered)).await.expect(200);
    assert_eq!(changed["spec"]["ports"][0]["nodePort"], other);
    client
        .post(SERVICES, service("t", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30100}]})))
        .await
        .expect(201);
    let twice = json!([{"name": "a", "port": 80, "nodePort": 30200}, {"name": "b", "port": 81, "nodePort": 30200}]);
    let refused =
        client.post(SERVICES, service("u", json!({"type": "NodePort", "ports": twice}))).await.refused(422, "Invalid");
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.ports[1].nodePort");
    let refused = client.put(&path("t"), service("t", json!({"type": "NodePort", "ports": twice}))).await.expect(500);
    assert_eq!(refused["message"], "duplicate nodePort: {TCP 30200}");
    let balancer = |port: i64| {
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port,
        "ports": [{"port": 80}]})
    };
    client.post(SERVICES, service("balanced", balancer(30300))).await.expect(201);
    client.post(SERVICES, service("again", balancer(30300))).await.expect(500);
    // A rehearsal does not look at the range.
    let outside = service("outside", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}));
    client.post(SERVICES, outside.clone()).await.refused(422, "Invalid");
    client.post(&format!("{SERVICES}?dryRun=All"), outside).await.expect(201);
}

#[tokio::test]
async fn services_that_select_nothing_give_a_second_family_back() {
    let (_atoll, client) = team().await;
    let bare = json!({"clusterIP": "None", "ports": [{"port": 80}]});
    let made = client.post(SERVICES, service("s", bare)).await.expect(201);
    assert_eq!(made["spec"]["ipFamilyPolicy"], "RequireDualStack");
    let path = format!("{SERVICES}/s");
    let selecting = json!({"selector": {"a": "b"}, "ports": [{"port": 80}]});
    let refused = client.put(&path, service("s", selecting.clone())).await.refused(422, "Invalid");
    let told = refused["details"]["causes"][0]["message"].as_str().unwrap_or_default();
    assert!(told.ends_with("this cluster is not configured for dual-stack services"), "{told}");
    let mut preferring = selecting;
    preferring["ipFamilyPolicy"] = "PreferDualStack".into();
    let changed = client.put(&path, service("s", preferring)).await.expect(200);
    assert_eq!(changed["spec"]["ipFamilies"], json!(["IPv4"]));
}

#[tokio::test]
async fn autoscalers_carry_in_annotations_what_their_first_version_cannot_say() {
    let (_atoll, client) = team().await;
    let all = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let one = |version: &str| format!("{}/h", all(version));
    let spec = json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 5,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
        "metrics": [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "5"}}}]});
    client.post(&all("v2"), json!({"metadata": {"name": "h"}, "spec": spec})).await.expect(201);
    let read = client.get(&one("v1")).await.expect(200);
    let annotations = &read["metadata"]["annotations"];
    assert_eq!(
        annotations["autoscaling.alpha.kubernetes.io/metrics"],
        r#"[{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"5"}}]"#
    );
    let behavior = annotations["autoscaling.alpha.kubernetes.io/behavior"].as_str().unwrap_or_default();
    assert!(
        behavior.starts_with(
            r#"{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","#
        ),
        "{behavior}"
    );
    let status = json!({"status": {"currentReplicas": 2, "desiredReplicas": 3, "currentCPUUtilizationPercentage": 40}});
    let path = format!("{}/status?fieldManager=measurer", one("v1"));
    let measured = client.patch(&path, MERGE_PATCH, status).await.expect(200);
    assert_eq!(
        measured["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/current-metrics"],
        r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":40,"currentAverageValue":"0"}}]"#
    );
    let owners = measured["metadata"]["managedFields"].as_array().expect("owners").clone();
    let measurer = owners.iter().find(|owner| owner["manager"] == "measurer").expect("an owner");
    assert!(
        measurer["fieldsV1"]["f:metadata"]["f:annotations"]["f:autoscaling.alpha.kubernetes.io/current-metrics"]
            .is_object(),
        "{measurer}"
    );
    // In the second version there is nothing to carry.
    let carried = json!({"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/conditions": "[]"}}});
    let patched = client.patch(&one("v2"), MERGE_PATCH, carried).await.expect(200);
    assert_eq!(patched["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/conditions"], json!(null));
    let none = json!({"spec": {"behavior": {"scaleUp": {"policies": []}}}});
    client.patch(&one("v2"), MERGE_PATCH, none).await.refused(422, "Invalid");
}

#[tokio::test]
async fn an_event_forgets_who_wrote_it_through_its_other_group() {
    let (_atoll, client) = team().await;
    let core = "/api/v1/namespaces/default/events";
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "R", "type": "Normal", "source": {"component": "c"}, "firstTimestamp": "2020-01-01T00:00:00Z", "count": 1});
    client.post(&format!("{core}?fieldManager=first"), event).await.expect(201);
    let other = "/apis/events.k8s.io/v1/namespaces/default/events/e";
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let patched = client.patch(&format!("{other}?fieldManager=second"), MERGE_PATCH, labels).await.expect(200);
    let owners = patched["metadata"]["managedFields"].as_array().expect("owners").clone();
    assert_eq!(owners.iter().map(|owner| owner["manager"].clone()).collect::<Vec<_>>(), ["second"]);
    // Only the newer group looks at finalizers.
    let finalizers = json!({"metadata": {"finalizers": ["short"]}});
    client.patch(other, MERGE_PATCH, finalizers.clone()).await.refused(422, "Invalid");
    client.patch(&format!("{core}/e?dryRun=All"), MERGE_PATCH, finalizers).await.expect(200);
}

#[tokio::test]
async fn rehearsals_show_links_and_scales_are_judged_as_objects() {
    let (_atoll, client) = team().await;
    let labels = json!({"a": "b"});
    let spec = json!({"selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    client.post(deployments, json!({"metadata": {"name": "d"}, "spec": spec})).await.expect(201);
    let path = format!("{deployments}/d");
    let link = json!({"metadata": {"selfLink": "x"}});
    for (query, shown) in [("?dryRun=All", json!("x")), ("", json!(null))] {
        let patched = client.patch(&format!("{path}{query}"), MERGE_PATCH, link.clone()).await.expect(200);
        assert_eq!(patched["metadata"]["selfLink"], shown, "{query}");
    }
    let scale = |metadata: Value| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": 2}});
    let bad = json!({"name": "d", "labels": {"x": "Bad!"}});
    client.put(&format!("{path}/scale"), scale(bad)).await.refused(422, "Invalid");
    let bad = json!({"name": "missing", "labels": {"x": "Bad!"}});
    client.put(&format!("{deployments}/missing/scale"), scale(bad)).await.refused(404, "NotFound");
    let other = json!([{"op": "replace", "path": "/metadata/uid", "value": "x"}]);
    let refused =
        client.patch(&format!("{path}/scale"), "application/json-patch+json", other).await.refused(409, "Conflict");
    assert_eq!(refused["details"]["kind"], "deployments/scale");
    client
        .patch(&format!("{deployments}/missing/scale?fieldManager=x"), APPLY_PATCH, json!({"kind": "Foo"}))
        .await
        .refused(404, "NotFound");
}
