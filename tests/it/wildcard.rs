//! Custom resources read over all logical clusters: by their metadata, each with its cluster, whatever defines them there.

use serde_json::{Value, json};

use crate::server::{Atoll, Client, MERGE_PATCH, eventually};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const WATCH: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// Where the things of the cluster `a` are, and those of `b`.
const OF_A: &str = "/apis/example.com/v1/namespaces/default/things";
const OF_B: &str = "/apis/example.com/v2/things";

fn definition(version: &str, scope: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": scope, "names": {"plural": "things", "kind": kind},
            "versions": [{"name": version, "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    })
}

/// Two clusters whose things have nothing in common but their name, and in each a thing; and all clusters.
async fn two_clusters(atoll: &Atoll) -> (Client, Client, Client) {
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    a.post(DEFINITIONS, definition("v1", "Namespaced", "Thing")).await.expect(201);
    b.post(DEFINITIONS, definition("v2", "Cluster", "Being")).await.expect(201);
    let thing = json!({
        "apiVersion": "example.com/v1", "kind": "Thing", "spec": {"of": "a"},
        "metadata": {"name": "one", "labels": {"of": "a"}, "annotations": {"kcp.io/cluster": "forged", "note": "n"}},
    });
    a.post(OF_A, thing).await.expect(201);
    let being =
        json!({"apiVersion": "example.com/v2", "kind": "Being", "metadata": {"name": "one"}, "spec": {"of": "b"}});
    b.post(OF_B, being).await.expect(201);
    (a, b, atoll.root().below("/clusters/*"))
}

/// Cluster, namespace and name of an object.
fn place(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let cluster = text("/metadata/annotations/kcp.io~1cluster");
    format!("{cluster}:{}/{}", text("/metadata/namespace"), text("/metadata/name"))
}

fn places(list: &Value) -> Vec<String> {
    list["items"].as_array().expect("items").iter().map(place).collect()
}

#[tokio::test]
async fn things_of_all_clusters_are_told_apart_and_show_metadata_only() {
    let atoll = Atoll::start().await;
    let (_, _, all) = two_clusters(&atoll).await;
    for version in ["v1", "v2"] {
        let path = format!("/apis/example.com/{version}/things");
        let found = all.get_as(&path, LIST).await.expect(200);
        assert_eq!(found["kind"], "PartialObjectMetadataList");
        assert_eq!(places(&found), ["a:default/one", "b:/one"]);
        let first = &found["items"][0];
        assert_eq!(first["kind"], "PartialObjectMetadata");
        assert_eq!(first["metadata"]["annotations"]["note"], "n");
        assert!(first["metadata"]["resourceVersion"].is_string());
        assert!(found["items"].as_array().expect("items").iter().all(|item| item.get("spec").is_none()), "{found}");
        let selected = all.get_as(&format!("{path}?labelSelector=of%3Da"), LIST).await.expect(200);
        assert_eq!(places(&selected), ["a:default/one"]);
        let narrow = format!("/apis/example.com/{version}/namespaces/default/things");
        assert_eq!(places(&all.get_as(&narrow, LIST).await.expect(200)), ["a:default/one"]);
    }
    atoll.stop().await;
}

#[tokio::test]
async fn more_than_metadata_what_nobody_defines_and_single_things_are_refused() {
    let atoll = Atoll::start().await;
    let (_, _, all) = two_clusters(&atoll).await;
    for accept in ["application/json", "*/*", "application/json;as=Table;g=meta.k8s.io;v=v1"] {
        all.get_as("/apis/example.com/v1/things", accept).await.refused(406, "NotAcceptable");
    }
    all.get_as("/apis/example.com/v1/others", LIST).await.expect(404);
    all.get_as(&format!("{OF_A}/one"), WATCH).await.refused(405, "MethodNotAllowed");
    all.delete("/apis/example.com/v1/things").await.refused(400, "BadRequest");
    atoll.stop().await;
}

#[tokio::test]
async fn only_those_with_rights_in_the_system_cluster_read_over_all_clusters() {
    let atoll = Atoll::start().await;
    let (a, _, all) = two_clusters(&atoll).await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "owner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}],
    });
    a.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await.expect(201);
    let tenant = a.user("tenant", &[]);
    tenant.get("/apis/example.com/v1/things").await.expect(200);
    for path in ["/apis/example.com/v1/things", "/apis/example.com/v1/others"] {
        tenant.at(&all).get_as(path, LIST).await.refused(403, "Forbidden");
    }
    atoll.stop().await;
}

#[tokio::test]
async fn one_watch_sees_the_things_of_every_cluster() {
    let atoll = Atoll::start().await;
    let (a, b, all) = two_clusters(&atoll).await;
    let list = all.get_as("/apis/example.com/v1/things", LIST).await.expect(200);
    let from = list["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let path = format!("/apis/example.com/v1/things?resourceVersion={from}");
    let mut watch = all.watch_as(&path, WATCH).await;
    a.delete(&format!("{OF_A}/one")).await.expect(200);
    b.patch(&format!("{OF_B}/one"), MERGE_PATCH, json!({"metadata": {"labels": {"of": "b"}}})).await.expect(200);
    for expected in ["DELETED a:default/one", "MODIFIED b:/one"] {
        let event = watch.next().await.expect("an event");
        assert_eq!(format!("{} {}", event["type"].as_str().unwrap_or_default(), place(&event["object"])), expected);
        assert!(event["object"].get("spec").is_none(), "{event}");
    }
    atoll.stop().await;
}

#[tokio::test]
async fn dependents_go_with_things_that_clusters_define_differently() {
    let atoll = Atoll::start().await;
    let (a, b, _) = two_clusters(&atoll).await;
    for (cluster, things) in [(&a, OF_A), (&b, OF_B)] {
        let owner = cluster.get(&format!("{things}/one")).await.expect(200);
        let child = json!({
            "apiVersion": owner["apiVersion"], "kind": owner["kind"],
            "metadata": {"name": "child", "ownerReferences": [{
                "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "one", "uid": owner["metadata"]["uid"],
            }]},
        });
        cluster.post(things, child).await.expect(201);
    }
    let gone = |cluster: &Client, path: String| {
        let cluster = cluster.clone();
        async move {
            let path = &path;
            eventually(path, || async { (cluster.get(path).await.status == 404).then_some(()) }).await;
        }
    };
    b.delete(&format!("{OF_B}/one")).await.expect(200);
    gone(&b, format!("{OF_B}/child")).await;
    a.get(&format!("{OF_A}/child")).await.expect(200);
    a.delete(&format!("{OF_A}/one")).await.expect(200);
    gone(&a, format!("{OF_A}/child")).await;
    atoll.stop().await;
}
