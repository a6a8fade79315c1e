//! Whose requests are served: between logical clusters, within one by its flow schemas, and how refusals look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use atoll::flow::{FlowControl, Settings};
use http::Method;
use serde_json::{Value, json};

use crate::requests::{CLUSTER_ROLE_BINDINGS, CONFIG_MAPS, config_map};
use crate::server::{Answer, Atoll, Client, MERGE_PATCH, eventually};

const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";

/// A user who may do everything in one cluster, and is nobody special.
async fn owner(cluster: &Client) -> Client {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "owner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "owner"}],
    });
    cluster.post(CLUSTER_ROLE_BINDINGS, binding).await.expect(201);
    cluster.user("owner", &[])
}

fn schema(name: &str, level: &str) -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": 500,
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": "owner"}}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/version"]}],
            }],
        },
    })
}

fn level(name: &str) -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}},
    })
}

/// The uids of the flow schema and the priority level that an answer names.
fn belongs(answer: &Answer) -> (String, String) {
    let told = |name| answer.headers.get(name).and_then(|uid| uid.to_str().ok()).unwrap_or_default().to_owned();
    (told("x-kubernetes-pf-flowschema-uid"), told("x-kubernetes-pf-prioritylevel-uid"))
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

/// Status, reason and message of the condition that tells whether a schema's level is there.
async fn dangling(cluster: &Client, name: &str) -> (String, String) {
    let schema = cluster.get(&format!("{SCHEMAS}/{name}")).await.expect(200);
    let condition = &schema["status"]["conditions"][0];
    assert_eq!(condition["type"], "Dangling", "{schema}");
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

#[tokio::test]
async fn every_cluster_has_the_objects_of_kube_apiserver_and_cannot_change_them() {
    let atoll = Atoll::start().await;
    let cluster = atoll.cluster("a").await;
    for (path, count) in [(SCHEMAS, 11), (LEVELS, 8)] {
        let own = cluster.get(path).await.expect(200);
        let roots = atoll.root().get(path).await.expect(200);
        assert_eq!(own["items"].as_array().map(Vec::len), Some(count));
        assert_eq!(own["items"], roots["items"]);
        for item in own["items"].as_array().into_iter().flatten() {
            assert_eq!(item["metadata"]["annotations"]["apf.kubernetes.io/autoupdate-spec"], "true");
        }
    }
    let probes = cluster.get(&format!("{SCHEMAS}/probes")).await.expect(200);
    assert_eq!(probes["spec"]["matchingPrecedence"], 2);
    assert_eq!(dangling(&cluster, "probes").await, ("False".into(), "Found".into()));
    let change = json!({"spec": {"matchingPrecedence": 77}});
    cluster.patch(&format!("{SCHEMAS}/probes"), MERGE_PATCH, change.clone()).await.refused(403, "Forbidden");
    cluster.delete(&format!("{LEVELS}/system")).await.refused(403, "Forbidden");
    cluster.post(SCHEMAS, schema("probes", "system")).await.refused(409, "AlreadyExists");
    let changed = atoll.root().patch(&format!("{SCHEMAS}/probes"), MERGE_PATCH, change).await.expect(200);
    assert_eq!(changed["spec"]["matchingPrecedence"], 77);
    assert_eq!(cluster.get(&format!("{SCHEMAS}/probes")).await.expect(200)["spec"]["matchingPrecedence"], 77);
}

#[tokio::test]
async fn schemas_tell_whether_their_level_is_there() {
    let atoll = Atoll::start().await;
    let cluster = atoll.cluster("a").await;
    cluster.post(SCHEMAS, schema("mine", "mine")).await.expect(201);
    assert_eq!(dangling(&cluster, "mine").await, ("True".into(), "NotFound".into()));
    cluster.post(LEVELS, level("mine")).await.expect(201);
    assert_eq!(dangling(&cluster, "mine").await, ("False".into(), "Found".into()));
    cluster.delete(&format!("{LEVELS}/mine")).await.expect(200);
    assert_eq!(dangling(&cluster, "mine").await, ("True".into(), "NotFound".into()));
    cluster.post(SCHEMAS, schema("systems", "system")).await.expect(201);
    assert_eq!(dangling(&cluster, "systems").await, ("False".into(), "Found".into()));
}

#[tokio::test]
async fn answers_tell_where_requests_belong_and_own_schemas_hold_at_once_in_their_cluster_only() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    let shared = a.get(&format!("{SCHEMAS}/global-default")).await.expect(200);
    let shared_level = a.get(&format!("{LEVELS}/global-default")).await.expect(200);
    let (owner_a, owner_b) = (owner(&a).await, owner(&b).await);
    assert_eq!(belongs(&owner_a.get("/version").await), (uid(&shared), uid(&shared_level)));
    let own_level = a.post(LEVELS, level("mine")).await.expect(201);
    let own = a.post(SCHEMAS, schema("mine", "mine")).await.expect(201);
    assert_eq!(belongs(&owner_a.get("/version").await), (uid(&own), uid(&own_level)));
    assert_eq!(belongs(&owner_a.get(CONFIG_MAPS).await).0, uid(&shared));
    assert_eq!(belongs(&owner_b.get("/version").await).0, uid(&shared));
    // A level that goes takes its schemas with it.
    a.delete(&format!("{LEVELS}/mine")).await.expect(200);
    assert_eq!(belongs(&owner_a.get("/version").await).0, uid(&shared));
    // The administrator's requests are exempt, and so are probes.
    let exempt = a.get(&format!("{SCHEMAS}/exempt")).await.expect(200);
    assert_eq!(belongs(&a.get("/version").await).0, uid(&exempt));
    let probes = a.get(&format!("{SCHEMAS}/probes")).await.expect(200);
    assert_eq!(belongs(&a.anonymous().get("/readyz").await).0, uid(&probes));
    // Nothing of a deleted cluster is left to the next of its name.
    a.post(LEVELS, level("mine")).await.expect(201);
    assert_eq!(belongs(&owner_a.get("/version").await).0, uid(&own));
    atoll.root().delete(&format!("{}/a", crate::server::WORKSPACES)).await.expect(200);
    let workspace = format!("{}/a", crate::server::WORKSPACES);
    eventually("the cluster to go", || async { (atoll.root().get(&workspace).await.status == 404).then_some(()) })
        .await;
    let again = atoll.cluster("a").await;
    let later = again.user("owner", &[]);
    eventually("the schema to be forgotten", || async {
        (belongs(&later.get("/version").await).0 == uid(&shared)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn refusals_look_as_in_kubernetes() {
    let none = FlowControl::InFlight { reading: 0, writing: 10 };
    let atoll = Atoll::start_with(|builder| builder.flow_control(none)).await;
    let cluster = atoll.cluster("a").await;
    let owner = owner(&cluster).await;
    let refused = owner.get(CONFIG_MAPS).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.text(), "Too many requests, please try again later.\n");
    let header = |name| refused.headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    assert_eq!(header("retry-after").as_deref(), Some("1"));
    assert_eq!(header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    owner.post(CONFIG_MAPS, config_map("a", "")).await.expect(201);
    cluster.get(CONFIG_MAPS).await.expect(200);
    let metrics = atoll.root().get("/metrics").await.text();
    assert!(metrics.contains("apiserver_flowcontrol_rejected_requests_total{reason=\"in-flight\"} 1"), "{metrics}");
}

#[tokio::test]
async fn watches_take_no_seats_once_they_have_begun_but_there_may_be_only_so_many() {
    let few = Settings { long_running: 24, ..Settings::of_seats(4) };
    let atoll = Atoll::start_with(|builder| builder.flow_control(FlowControl::Fair(few))).await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    let (owner_a, owner_b) = (owner(&a).await, owner(&b).await);
    let mut watches = Vec::new();
    for _ in 0..12 {
        watches.push(owner_a.watch(CONFIG_MAPS).await);
    }
    owner_a.get(CONFIG_MAPS).await.expect(200);
    let path = format!("{CONFIG_MAPS}?watch=true&timeoutSeconds=1");
    let mut refused = 0;
    for _ in 0..24 {
        refused += usize::from(owner_a.send(Method::GET, &path, "", Vec::new()).await.status == 429);
        if refused > 0 {
            break;
        }
        watches.push(owner_a.watch(CONFIG_MAPS).await);
    }
    assert!(refused > 0, "{} watches of one cluster", watches.len());
    // Another cluster may watch all the same.
    watches.push(owner_b.watch(CONFIG_MAPS).await);
    drop(watches);
    drop(owner_a.watch(CONFIG_MAPS).await);
}

/// What a flood of requests saw of itself.
#[derive(Default)]
struct Flood {
    over: AtomicBool,
    served: AtomicUsize,
}

/// One of many clients that list and patch without a pause.
async fn flood(client: Client, flood: Arc<Flood>, number: usize) {
    let path = format!("{CONFIG_MAPS}/c{}", number % 50);
    let mut turn = 0_usize;
    while !flood.over.load(Ordering::Relaxed) {
        turn += 1;
        let answer = match number % 2 {
            0 => client.get(CONFIG_MAPS).await,
            _ => client.patch(&path, MERGE_PATCH, json!({"data": {"x": turn.to_string()}})).await,
        };
        match answer.status.as_u16() {
            200 => {
                flood.served.fetch_add(1, Ordering::Relaxed);
            }
            409 | 429 => {}
            other => panic!("{other}: {}", answer.text()),
        }
        tokio::task::yield_now().await;
    }
}

/// A tenant that floods makes itself wait, and not its neighbour, none of whose requests fails. Counted is how many
/// requests of the flood are served while the neighbour waits for one of its own: not nearly one of each client's.
/// All is on one thread, so that it does not matter how fast the machine is, nor what else it does.
#[tokio::test]
async fn a_tenant_that_floods_keeps_no_neighbour_waiting() {
    const CLIENTS: usize = 120;
    let seats = FlowControl::Fair(Settings::of_seats(16));
    let atoll = Atoll::start_with(|builder| builder.flow_control(seats)).await;
    let (noisy, quiet) = (atoll.cluster("noisy").await, atoll.cluster("quiet").await);
    let (flooding, calm) = (owner(&noisy).await, owner(&quiet).await);
    for number in 0..50 {
        let mut object = config_map(&format!("c{number}"), "");
        object["data"]["large"] = "x".repeat(1000).into();
        noisy.post(CONFIG_MAPS, object).await.expect(201);
    }
    let seen = Arc::new(Flood::default());
    let clients: Vec<_> =
        (0..CLIENTS).map(|number| tokio::spawn(flood(flooding.clone(), seen.clone(), number))).collect();
    eventually("the flood", || async { (seen.served.load(Ordering::Relaxed) > CLIENTS).then_some(()) }).await;
    let mut meanwhile = Vec::new();
    for number in 0..20 {
        let before = seen.served.load(Ordering::Relaxed);
        let name = format!("c{number}");
        calm.post(CONFIG_MAPS, config_map(&name, "")).await.expect(201);
        calm.get(&format!("{CONFIG_MAPS}/{name}")).await.expect(200);
        calm.get(&format!("{CONFIG_MAPS}?limit=5")).await.expect(200);
        meanwhile.push((seen.served.load(Ordering::Relaxed) - before) / 3);
    }
    seen.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no client fails");
    }
    meanwhile.sort_unstable();
    eprintln!("requests of the flood to one of the neighbour: {meanwhile:?}");
    assert!(meanwhile[meanwhile.len() / 2] * 3 < CLIENTS, "{meanwhile:?}");
}
