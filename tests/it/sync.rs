//! Workloads of logical clusters on physical ones; a second server stands for a physical cluster.

use std::time::Duration;

use serde_json::{Value, json};

use crate::atoll_server::{Atoll, Home};

const TARGETS: &str = "/apis/workload.atoll.dev/v1alpha1/synctargets";

fn named(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}})
}

fn config_map(name: &str, value: &str) -> Value {
    let mut map = named("v1", "ConfigMap", name);
    map["data"] = json!({"key": value});
    map
}

fn deployment(name: &str, replicas: u32) -> Value {
    let mut deployment = named("apps/v1", "Deployment", name);
    deployment["spec"] = json!({
        "replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}},
                     "spec": {"containers": [{"name": "main", "image": "example.com/main:1"}]}},
    });
    deployment
}

/// Makes a namespace, with a label that has it synced.
async fn synced_namespace(atoll: &Atoll, cluster: &str, name: &str, label: (&str, &str)) {
    let mut namespace = named("v1", "Namespace", name);
    namespace["metadata"]["labels"] = json!({label.0: label.1});
    atoll.post(&format!("{cluster}/api/v1/namespaces"), namespace).await;
}

const SYNCED: (&str, &str) = ("workload.atoll.dev/sync", "true");
const PINNED: &str = "workload.atoll.dev/target";

/// The name of the downstream namespace that was made for this one, once it is there.
async fn downstream(physical: &Atoll, cluster: &str, namespace: &str) -> String {
    let made_for = |list: &Value| find_downstream(list, cluster, namespace);
    let list = physical.until("/api/v1/namespaces", "holding the namespace", |list| made_for(list).is_some()).await;
    made_for(&list).expect("just found")
}

fn find_downstream(list: &Value, cluster: &str, namespace: &str) -> Option<String> {
    let items = list["items"].as_array()?;
    let found = items.iter().find(|item| {
        let annotations = &item["metadata"]["annotations"];
        annotations["workload.atoll.dev/cluster"] == cluster && annotations["workload.atoll.dev/name"] == namespace
    })?;
    found["metadata"]["name"].as_str().map(str::to_owned)
}

async fn downstream_namespaces(physical: &Atoll) -> Vec<String> {
    let names = physical.names("/api/v1/namespaces").await;
    names.into_iter().filter(|name| name.starts_with("atoll-")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_go_down_status_comes_up_and_the_neighbour_sees_nothing() {
    let (atoll, physical) = (Atoll::start().await, Atoll::start().await);
    atoll.register("edge", &physical).await;
    let (a, b) = (atoll.cluster("team-a").await, atoll.cluster("team-b").await);
    synced_namespace(&atoll, &a, "shop", SYNCED).await;
    atoll.post(&format!("{b}/api/v1/namespaces"), named("v1", "Namespace", "shop")).await;
    atoll.post(&format!("{b}/api/v1/namespaces/shop/configmaps"), config_map("private", "b")).await;
    let deployments = format!("{a}/apis/apps/v1/namespaces/shop/deployments");
    atoll.post(&deployments, deployment("web", 2)).await;
    atoll.post(&format!("{a}/api/v1/namespaces/shop/configmaps"), config_map("conf", "a")).await;
    let mut service = named("v1", "Service", "web");
    service["spec"] = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
    let above = atoll.post(&format!("{a}/api/v1/namespaces/shop/services"), service).await;

    let namespace = downstream(&physical, "team-a", "shop").await;
    let below = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    physical.until_there(&below).await;
    physical.until_there(&format!("/api/v1/namespaces/{namespace}/configmaps/conf")).await;
    let copy = physical.until_there(&format!("/api/v1/namespaces/{namespace}/services/web")).await;
    assert!(above["spec"]["clusterIP"].is_string() && copy["spec"]["clusterIP"].is_string());
    assert_eq!(downstream_namespaces(&physical).await, [namespace.as_str()]);

    let counted = |target: &Value| target["status"]["namespaces"] == 1;
    atoll.until(&format!("{TARGETS}/edge"), "telling of the namespace", counted).await;

    let status = json!({"status": {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2}});
    physical.patch(&format!("{below}/status"), status).await;
    let path = format!("{deployments}/web");
    atoll.until(&path, "ready", |web| web["status"]["readyReplicas"] == 2).await;
    atoll.patch(&path, json!({"spec": {"replicas": 5}})).await;
    physical.until(&below, "scaled", |web| web["spec"]["replicas"] == 5).await;
    let web = atoll.get(&path).await.expect("the deployment");
    assert_eq!((&web["metadata"]["generation"], &web["status"]["observedGeneration"]), (&json!(2), &json!(1)));
    assert_eq!(
        atoll.names(&format!("{b}/api/v1/namespaces/shop/configmaps?labelSelector=!none")).await,
        ["kube-root-ca.crt", "private"]
    );
    atoll.stop().await;
    physical.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_undone_and_foreign_objects_are_left_alone() {
    let (atoll, physical) = (Atoll::start().await, Atoll::start().await);
    atoll.register("edge", &physical).await;
    let a = atoll.cluster("team-a").await;
    synced_namespace(&atoll, &a, "shop", SYNCED).await;
    let maps = format!("{a}/api/v1/namespaces/shop/configmaps");
    atoll.post(&maps, config_map("conf", "a")).await;
    let below = format!("/api/v1/namespaces/{}/configmaps", downstream(&physical, "team-a", "shop").await);
    physical.until_there(&format!("{below}/conf")).await;

    physical.patch(&format!("{below}/conf"), json!({"data": {"key": "forged", "more": "x"}})).await;
    let restored = |map: &Value| map["data"] == json!({"key": "a"});
    physical.until(&format!("{below}/conf"), "as it is above", restored).await;
    physical.delete(&format!("{below}/conf")).await;
    physical.until(&format!("{below}/conf"), "made again", restored).await;

    physical.post(&below, config_map("mine", "theirs")).await;
    atoll.post(&maps, config_map("mine", "ours")).await;
    let told = |events: &Value| {
        events["items"].as_array().is_some_and(|all| all.iter().any(|e| e["reason"] == "SyncCollision"))
    };
    atoll.until(&format!("{a}/api/v1/namespaces/shop/events"), "telling of the collision", told).await;
    atoll.delete(&format!("{maps}/mine")).await;
    atoll.until_gone(&format!("{maps}/mine")).await;
    let foreign = physical.get(&format!("{below}/mine")).await.expect("the foreign object");
    assert_eq!(foreign["data"], json!({"key": "theirs"}));
    atoll.stop().await;
    physical.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_above_goes_below_one_by_one_and_as_a_whole() {
    let (atoll, physical) = (Atoll::start().await, Atoll::start().await);
    atoll.register("edge", &physical).await;
    let (a, b) = (atoll.cluster("team-a").await, atoll.cluster("team-b").await);
    for (cluster, name) in [(&a, "one"), (&a, "two"), (&b, "one")] {
        synced_namespace(&atoll, cluster, name, SYNCED).await;
        for map in ["x", "y"] {
            atoll.post(&format!("{cluster}/api/v1/namespaces/{name}/configmaps"), config_map(map, "v")).await;
        }
    }
    let mut below = Vec::new();
    for (cluster, name) in [("team-a", "one"), ("team-a", "two"), ("team-b", "one")] {
        let namespace = downstream(&physical, cluster, name).await;
        physical.until_there(&format!("/api/v1/namespaces/{namespace}/configmaps/x")).await;
        physical.until_there(&format!("/api/v1/namespaces/{namespace}/configmaps/y")).await;
        below.push(format!("/api/v1/namespaces/{namespace}"));
    }
    atoll.delete(&format!("{a}/api/v1/namespaces/one/configmaps/x")).await;
    atoll.until_gone(&format!("{a}/api/v1/namespaces/one/configmaps/x")).await;
    assert_eq!(physical.get(&format!("{}/configmaps/x", below[0])).await, None, "gone below before above");
    physical.until_there(&format!("{}/configmaps/y", below[0])).await;

    // No longer to be synced: it goes below and stays above, and nothing holds it any more.
    atoll.patch(&format!("{a}/api/v1/namespaces/one"), json!({"metadata": {"labels": {SYNCED.0: null}}})).await;
    physical.until_gone(&below[0]).await;
    let free = |object: &Value| object["metadata"]["finalizers"].is_null();
    atoll.until(&format!("{a}/api/v1/namespaces/one"), "free", free).await;
    atoll.until(&format!("{a}/api/v1/namespaces/one/configmaps/y"), "free", free).await;

    atoll.delete(&format!("{a}/api/v1/namespaces/two")).await;
    atoll.until_gone(&format!("{a}/api/v1/namespaces/two")).await;
    assert_eq!(physical.get(&below[1]).await, None);
    physical.until_there(&format!("{}/configmaps/x", below[2])).await;

    atoll.delete("/apis/tenancy.kcp.io/v1alpha1/workspaces/team-b").await;
    physical.until_gone(&below[2]).await;
    assert_eq!(downstream_namespaces(&physical).await, Vec::<String>::new());
    atoll.stop().await;
    physical.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_move_between_physical_clusters() {
    let (atoll, first, second) = (Atoll::start().await, Atoll::start().await, Atoll::start().await);
    atoll.register("first", &first).await;
    atoll.register("second", &second).await;
    let a = atoll.cluster("team-a").await;
    synced_namespace(&atoll, &a, "shop", (PINNED, "first")).await;
    atoll.post(&format!("{a}/api/v1/namespaces/shop/configmaps"), config_map("conf", "a")).await;
    let old = downstream(&first, "team-a", "shop").await;
    first.until_there(&format!("/api/v1/namespaces/{old}/configmaps/conf")).await;
    assert_eq!(downstream_namespaces(&second).await, Vec::<String>::new());

    atoll.patch(&format!("{a}/api/v1/namespaces/shop"), json!({"metadata": {"labels": {PINNED: "second"}}})).await;
    let new = downstream(&second, "team-a", "shop").await;
    second.until_there(&format!("/api/v1/namespaces/{new}/configmaps/conf")).await;
    first.until_gone(&format!("/api/v1/namespaces/{old}")).await;

    // Unregistered in good order: what ran there runs on the other.
    atoll
        .patch(
            &format!("{a}/api/v1/namespaces/shop"),
            json!({"metadata": {"labels": {PINNED: null, SYNCED.0: "true"}}}),
        )
        .await;
    atoll.delete(&format!("{TARGETS}/second")).await;
    let again = downstream(&first, "team-a", "shop").await;
    first.until_there(&format!("/api/v1/namespaces/{again}/configmaps/conf")).await;
    atoll.until_gone(&format!("{TARGETS}/second")).await;
    assert_eq!(downstream_namespaces(&second).await, Vec::<String>::new());
    atoll.stop().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_either_side_loses_nothing_and_deletes_nothing() {
    let directories = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (mut above, mut below) = (Home::new(directories.0.path()), Home::new(directories.1.path()));
    let (atoll, physical) = (Atoll::start_at(&mut above).await, Atoll::start_at(&mut below).await);
    atoll.register("edge", &physical).await;
    let a = atoll.cluster("team-a").await;
    synced_namespace(&atoll, &a, "shop", SYNCED).await;
    let maps = format!("{a}/api/v1/namespaces/shop/configmaps");
    for name in ["stays", "goes"] {
        atoll.post(&maps, config_map(name, "1")).await;
    }
    let namespace = downstream(&physical, "team-a", "shop").await;
    let copies = format!("/api/v1/namespaces/{namespace}/configmaps");
    for name in ["stays", "goes"] {
        physical.until_there(&format!("{copies}/{name}")).await;
    }

    // The physical cluster is away: what happens meanwhile is made up for.
    physical.stop().await;
    let unready = |target: &Value| target["status"]["conditions"][0]["status"] == "False";
    atoll.until(&format!("{TARGETS}/edge"), "not ready", unready).await;
    atoll.delete(&format!("{maps}/goes")).await;
    atoll.patch(&format!("{maps}/stays"), json!({"data": {"key": "2"}})).await;
    atoll.post(&maps, config_map("comes", "1")).await;
    assert!(atoll.get(&format!("{maps}/goes")).await.is_some(), "held until its copy is gone");

    // So is this side: the record of what is to be done is in the objects.
    atoll.stop().await;
    let physical = Atoll::start_at(&mut below).await;
    assert_eq!(physical.names(&copies).await, ["goes", "kube-root-ca.crt", "stays"]);
    let atoll = Atoll::start_at(&mut above).await;
    physical.until(&format!("{copies}/stays"), "changed", |map| map["data"]["key"] == "2").await;
    physical.until_there(&format!("{copies}/comes")).await;
    physical.until_gone(&format!("{copies}/goes")).await;
    atoll.until_gone(&format!("{maps}/goes")).await;
    assert_eq!(downstream_namespaces(&physical).await, [namespace]);
    atoll.stop().await;
    physical.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_target_that_is_unregistered_lets_go_and_says_so() {
    let (atoll, physical) = (Atoll::start_impatient().await, Atoll::start().await);
    atoll.register("edge", &physical).await;
    let a = atoll.cluster("team-a").await;
    synced_namespace(&atoll, &a, "shop", SYNCED).await;
    atoll.post(&format!("{a}/api/v1/namespaces/shop/configmaps"), config_map("conf", "1")).await;
    let namespace = downstream(&physical, "team-a", "shop").await;
    physical.until_there(&format!("/api/v1/namespaces/{namespace}/configmaps/conf")).await;
    physical.stop().await;
    let unready = |target: &Value| target["status"]["conditions"][0]["status"] == "False";
    atoll.until(&format!("{TARGETS}/edge"), "not ready", unready).await;

    atoll.delete(&format!("{TARGETS}/edge")).await;
    atoll.until_gone(&format!("{TARGETS}/edge")).await;
    let free = |object: &Value| object["metadata"]["finalizers"].is_null();
    atoll.until(&format!("{a}/api/v1/namespaces/shop"), "free", free).await;
    atoll.until(&format!("{a}/api/v1/namespaces/shop/configmaps/conf"), "free", free).await;
    let told = |reason: &'static str| {
        move |events: &Value| events["items"].as_array().is_some_and(|all| all.iter().any(|e| e["reason"] == reason))
    };
    atoll.until("/api/v1/namespaces/default/events", "telling what was abandoned", told("Abandoned")).await;
    atoll.until(&format!("{a}/api/v1/namespaces/shop/events"), "telling what was left", told("LeftBehind")).await;
    atoll.delete(&format!("{a}/api/v1/namespaces/shop")).await;
    atoll.until_gone(&format!("{a}/api/v1/namespaces/shop")).await;
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_that_would_run_a_program_is_refused() {
    let atoll = Atoll::start().await;
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
        users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true}}}]\n";
    atoll.register_kubeconfig("evil", kubeconfig).await;
    let refused = |target: &Value| target["status"]["conditions"][0]["reason"] == "KubeconfigInvalid";
    atoll.until(&format!("{TARGETS}/evil"), "refused", refused).await;
    tokio::time::timeout(Duration::from_secs(30), atoll.stop()).await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_takes_off_its_record_leaves_nothing_below() {
    // A tenant owns its namespaces, and with them the record of where they run. Taking it off must neither leave copies
    // behind nor reach those of another tenant.
    let (atoll, physical) = (Atoll::start().await, Atoll::start().await);
    atoll.register("edge", &physical).await;
    let (a, b) = (atoll.cluster("team-a").await, atoll.cluster("team-b").await);
    for cluster in [&a, &b] {
        synced_namespace(&atoll, cluster, "shop", SYNCED).await;
        atoll.post(&format!("{cluster}/api/v1/namespaces/shop/configmaps"), config_map("conf", "1")).await;
    }
    let mine = downstream(&physical, "team-a", "shop").await;
    let theirs = downstream(&physical, "team-b", "shop").await;
    for namespace in [&mine, &theirs] {
        physical.until_there(&format!("/api/v1/namespaces/{namespace}/configmaps/conf")).await;
    }
    let nothing = json!({"metadata": {"labels": {SYNCED.0: null}, "finalizers": null, "annotations": {
        "workload.atoll.dev/placement": null, "workload.atoll.dev/vacating": null}}});
    atoll.patch(&format!("{a}/api/v1/namespaces/shop"), nothing).await;
    physical.until_gone(&format!("/api/v1/namespaces/{mine}")).await;
    physical.until_there(&format!("/api/v1/namespaces/{theirs}/configmaps/conf")).await;
    assert_eq!(downstream_namespaces(&physical).await, [theirs]);
    atoll.stop().await;
    physical.stop().await;
}
