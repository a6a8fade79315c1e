//! Clusters made of others: what a copy holds, who may make one, and that nothing crosses between the source, the copy and
//! a bystander.

use std::time::Duration;

use serde_json::{Value, json};

use crate::requests::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, WIDGETS, config_map, furnish, held};
use crate::server::{Answer, Atoll, Client, MERGE_PATCH, WORKSPACES, eventually, workspace};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

pub(crate) fn copy_of(source: &str, name: &str) -> Value {
    json!({
        "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
        "spec": {"source": {"cluster": source}},
    })
}

pub(crate) fn renamed(source: &str, name: &str) -> Value {
    let mut workspace = copy_of(source, name);
    workspace["spec"]["source"]["move"] = true.into();
    workspace
}

/// Waits until a cluster's workspace is ready; gives its administrator.
pub(crate) async fn ready(atoll: &Atoll, name: &str) -> Client {
    eventually("the copy to be ready", || async {
        let workspace = atoll.root().get(&format!("{WORKSPACES}/{name}")).await.expect(200);
        (workspace["status"]["phase"] == "Ready").then_some(())
    })
    .await;
    atoll.admin_of(name)
}

/// What is held, without what identifies the holder: uids, versions, tokens.
pub(crate) fn content(held: Vec<(String, Value)>) -> Vec<(String, Value)> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|field, _| !field.ends_with("uid") && field != "resourceVersion" && field != "token");
                // Whoever fills tokens in owns their fields.
                map.remove("managedFields");
                map.values_mut().for_each(strip);
            }
            Value::Array(list) => list.iter_mut().for_each(strip),
            _ => {}
        }
    }
    held.into_iter()
        .map(|(path, mut items)| {
            strip(&mut items);
            (path, items)
        })
        .collect()
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// A token of a service account, put into a secret by the server.
async fn token_in_secret(cluster: &Client) -> String {
    let path = format!("{SECRETS}/robot-token");
    let token = eventually("the token", || async {
        let secret = cluster.get(&path).await.expect(200);
        secret["data"]["token"].as_str().map(str::to_owned)
    });
    token.await
}

async fn robot(cluster: &Client) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}});
    cluster.post(ACCOUNTS, account).await.expect(201);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "robot-token", "annotations": {"kubernetes.io/service-account.name": "robot"}},
    });
    cluster.post(SECRETS, secret).await.expect(201);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "robot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    cluster.post(CLUSTER_ROLE_BINDINGS, binding).await.expect(201);
    token_in_secret(cluster).await;
}

async fn as_bearer(cluster: &Client, token: &str, path: &str) -> Answer {
    cluster.bearer(token).get(path).await
}

#[tokio::test]
async fn a_copy_holds_what_its_source_held_and_lives_on_by_itself() {
    let atoll = Atoll::start().await;
    let (prod, other) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    furnish(&prod, "prod").await;
    furnish(&other, "other").await;
    let others = held(&other).await;

    let made = atoll.root().post(WORKSPACES, copy_of("prod", "test")).await.expect(201);
    assert_eq!(made["spec"]["resources"], json!(["all"]), "it serves what the source serves");
    let test = ready(&atoll, "test").await;
    assert_eq!(content(held(&test).await), content(held(&prod).await));
    test.get(WIDGETS).await.expect(200);

    test.post(CONFIG_MAPS, config_map("only-here", "x")).await.expect(201);
    prod.get(&format!("{CONFIG_MAPS}/only-here")).await.expect(404);
    prod.post(CONFIG_MAPS, config_map("only-there", "x")).await.expect(201);
    test.get(&format!("{CONFIG_MAPS}/only-there")).await.expect(404);
    atoll.root().delete(&format!("{WORKSPACES}/prod")).await.expect(200);
    test.get(&format!("{CONFIG_MAPS}/only-here")).await.expect(200);
    assert_eq!(others, held(&other).await, "nothing happened to the bystander");
}

#[tokio::test]
async fn objects_of_a_copy_are_others_and_refer_to_each_other_as_those_of_the_source() {
    let atoll = Atoll::start().await;
    let prod = atoll.cluster("prod").await;
    let owner = prod.post(CONFIG_MAPS, config_map("owner", "x")).await.expect(201);
    let mut owned = config_map("owned", "x");
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(&owner)}]);
    let owned = prod.post(CONFIG_MAPS, owned).await.expect(201);
    atoll.root().post(WORKSPACES, copy_of("prod", "test")).await.expect(201);
    let test = ready(&atoll, "test").await;
    let copied_owner = test.get(&format!("{CONFIG_MAPS}/owner")).await.expect(200);
    let copied = test.get(&format!("{CONFIG_MAPS}/owned")).await.expect(200);
    assert_ne!(uid(&copied_owner), uid(&owner));
    assert_ne!(uid(&copied), uid(&owned));
    assert_eq!(copied["metadata"]["ownerReferences"][0]["uid"], copied_owner["metadata"]["uid"]);
    assert_eq!(copied["metadata"]["creationTimestamp"], owned["metadata"]["creationTimestamp"]);
    // Deleting the owner there collects what it owns there, and nothing here.
    test.delete(&format!("{CONFIG_MAPS}/owner")).await.expect(200);
    eventually("the copy of what was owned to be collected", || async {
        (test.get(&format!("{CONFIG_MAPS}/owned")).await.status == 404).then_some(())
    })
    .await;
    prod.get(&format!("{CONFIG_MAPS}/owned")).await.expect(200);
}

#[tokio::test]
async fn an_identity_of_the_source_is_nobody_in_the_copy_and_the_other_way_round() {
    let atoll = Atoll::start().await;
    let prod = atoll.cluster("prod").await;
    robot(&prod).await;
    let of_source = token_in_secret(&prod).await;
    let user = json!({
        "apiVersion": "authentication.atoll.dev/v1alpha1", "kind": "UserTokenRequest",
        "spec": {"user": "alice", "groups": ["system:masters"], "expirationSeconds": 3600},
    });
    let user = atoll.root().post(&format!("{WORKSPACES}/prod/token"), user).await.expect(201);
    let user = user["status"]["token"].as_str().unwrap_or_default().to_owned();
    atoll.root().post(WORKSPACES, copy_of("prod", "test")).await.expect(201);
    let test = ready(&atoll, "test").await;
    let of_copy = token_in_secret(&test).await;
    assert_ne!(of_source, of_copy, "the source's token is not in the copy");

    let raw = base64_decoded(&of_source);
    as_bearer(&prod, &raw, SECRETS).await.expect(200);
    as_bearer(&test, &raw, SECRETS).await.refused(401, "Unauthorized");
    let raw = base64_decoded(&of_copy);
    as_bearer(&test, &raw, SECRETS).await.expect(200);
    as_bearer(&prod, &raw, SECRETS).await.refused(401, "Unauthorized");
    as_bearer(&prod, &user, SECRETS).await.expect(200);
    as_bearer(&test, &user, SECRETS).await.refused(401, "Unauthorized");
}

fn base64_decoded(text: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    String::from_utf8(bytes).expect("a token is text")
}

#[tokio::test]
async fn only_those_who_may_read_all_of_a_cluster_may_copy_it() {
    let atoll = Atoll::start().await;
    let (prod, _) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    let root = atoll.root();
    for (name, rules) in [
        ("makers", json!([{"apiGroups": ["tenancy.kcp.io"], "resources": ["workspaces"], "verbs": ["create", "get"]}])),
        (
            "readers",
            json!([{"apiGroups": ["tenancy.kcp.io"], "resources": ["workspaces/content"], "resourceNames": ["prod"], "verbs": ["get"]}]),
        ),
    ] {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
        root.post(CLUSTER_ROLES, role).await.expect(201);
        let group = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name}],
        });
        root.post(CLUSTER_ROLE_BINDINGS, group).await.expect(201);
    }
    let maker = root.user("mia", &["makers"]);
    // Nobody learns whether there is a cluster that they may not read.
    for source in ["prod", "other", "missing"] {
        let refused = maker.post(WORKSPACES, copy_of(source, "stolen")).await.refused(403, "Forbidden");
        let text = refused["message"].as_str().unwrap_or_default();
        assert!(text.contains("workspaces/content"), "{text}");
    }
    let service = root.user("system:serviceaccount:default:robot", &["makers"]);
    robot(&prod).await;
    service.post(WORKSPACES, copy_of("prod", "stolen")).await.refused(403, "Forbidden");
    root.user("rita", &["readers"]).post(WORKSPACES, copy_of("prod", "stolen")).await.refused(403, "Forbidden");
    root.user("rita", &["readers", "makers"]).post(WORKSPACES, copy_of("prod", "by-right")).await.expect(201);
    let reader = root.user("rita", &["readers", "makers"]);
    reader.post(WORKSPACES, copy_of("other", "stolen")).await.refused(403, "Forbidden");
    reader.post(WORKSPACES, renamed("prod", "stolen")).await.refused(403, "Forbidden");
    // Who owns a cluster may copy it, and owns the copy.
    maker.post(WORKSPACES, workspace("own")).await.expect(201);
    maker.post(WORKSPACES, copy_of("own", "own-copy")).await.expect(201);
    let copy = ready(&atoll, "own-copy").await;
    copy.user("mia", &["makers"]).get(SECRETS).await.expect(200);
    let by_right = ready(&atoll, "by-right").await;
    by_right.user("rita", &[]).get(SECRETS).await.expect(200);
    by_right.user("mia", &["makers"]).get(SECRETS).await.refused(403, "Forbidden");
    root.post(WORKSPACES, copy_of("missing", "nothing")).await.refused(422, "Invalid");
    for source in ["root", "nothing", "A"] {
        root.post(WORKSPACES, copy_of(source, "nothing")).await.refused(422, "Invalid");
    }
}

#[tokio::test]
async fn a_copy_is_of_one_moment() {
    let atoll = Atoll::start().await;
    let prod = atoll.cluster("prod").await;
    prod.post(CONFIG_MAPS, config_map("a", "0")).await.expect(201);
    prod.post(
        SECRETS,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}, "stringData": {"n": "0"}}),
    )
    .await
    .expect(201);
    // One writer counts up in one object, then in the other: at any moment the second is as far, or one behind.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (writer, stopped) = (prod.clone(), stop.clone());
    let writing = tokio::spawn(async move {
        for n in 1.. {
            if stopped.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            let patch = |text: &str| json!({"metadata": {"labels": {"n": text}}});
            let text = n.to_string();
            writer.patch(&format!("{CONFIG_MAPS}/a"), MERGE_PATCH, patch(&text)).await.expect(200);
            writer.patch(&format!("{SECRETS}/b"), MERGE_PATCH, patch(&text)).await.expect(200);
            tokio::task::yield_now().await;
        }
    });
    for round in 0..10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let name = format!("copy-{round}");
        atoll.root().post(WORKSPACES, copy_of("prod", &name)).await.expect(201);
        let copy = ready(&atoll, &name).await;
        let number = |object: Value| -> i64 {
            object["metadata"]["labels"]["n"].as_str().unwrap_or("0").parse().expect("a number")
        };
        let a = number(copy.get(&format!("{CONFIG_MAPS}/a")).await.expect(200));
        let b = number(copy.get(&format!("{SECRETS}/b")).await.expect(200));
        assert!(a == b || a == b + 1, "{a} and {b}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writing.await.expect("the writer ends");
}

#[tokio::test]
async fn nobody_makes_a_cluster_ready_but_the_server() {
    let atoll = Atoll::start().await;
    atoll.cluster("prod").await;
    let made = atoll.root().post(WORKSPACES, copy_of("prod", "test")).await.expect(201);
    assert_eq!(made["status"]["phase"], "Initializing");
    ready(&atoll, "test").await;
    let path = format!("{WORKSPACES}/test");
    let status = json!({"status": {"phase": "Initializing"}});
    let kept = atoll.root().patch(&format!("{path}/status"), MERGE_PATCH, status).await.expect(200);
    assert_eq!(kept["status"]["phase"], "Ready");
    let label = json!({"metadata": {"labels": {"tenancy.atoll.dev/closed": "true", "mine": "x"}}, "spec": {"source": {"cluster": "other"}}});
    let kept = atoll.root().patch(&path, MERGE_PATCH, label).await.expect(200);
    assert_eq!(kept["metadata"]["labels"], json!({"mine": "x"}));
    assert_eq!(kept["spec"]["source"]["cluster"], "prod");
}

#[tokio::test]
async fn a_renamed_cluster_is_the_same_under_its_new_name_and_gone_under_the_old_one() {
    let atoll = Atoll::start().await;
    let (prod, other) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    furnish(&prod, "prod").await;
    robot(&prod).await;
    let token = base64_decoded(&token_in_secret(&prod).await);
    let before = held(&prod).await;
    let others = held(&other).await;
    let mut watch = prod.watch(CONFIG_MAPS).await;
    atoll.root().post(WORKSPACES, renamed("prod", "live")).await.expect(201);
    let live = ready(&atoll, "live").await;
    let after = held(&live).await;
    let uids = |held: &[(String, Value)]| -> Vec<String> {
        let items = held.iter().flat_map(|(_, items)| items.as_array().cloned().unwrap_or_default());
        items.map(|item| uid(&item).to_owned()).collect()
    };
    assert_eq!(uids(&before), uids(&after), "its objects are the same");
    assert_eq!(content(before), content(after));
    prod.get(CONFIG_MAPS).await.expect(404);
    while watch.next().await.is_some() {}
    as_bearer(&live, &token, SECRETS).await.refused(401, "Unauthorized");
    let token = base64_decoded(&token_in_secret(&live).await);
    as_bearer(&live, &token, SECRETS).await.expect(200);
    assert_eq!(others, held(&other).await);
    // The old name is free, and whoever takes it inherits nothing.
    eventually("the old name to be free", || async {
        (atoll.root().get(&format!("{WORKSPACES}/prod")).await.status == 404).then_some(())
    })
    .await;
    let prod = atoll.cluster("prod").await;
    prod.get(WIDGETS).await.expect(404);
    as_bearer(&prod, &token, SECRETS).await.refused(401, "Unauthorized");
}

#[tokio::test]
async fn a_cluster_that_is_being_renamed_loses_no_write() {
    let atoll = Atoll::start().await;
    let prod = atoll.cluster("prod").await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let prod = prod.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let answer = prod.post(CONFIG_MAPS, config_map(&format!("w{writer}-{n}"), "x")).await;
                    if answer.status != 201 {
                        assert!(matches!(answer.status.as_u16(), 404 | 429), "{}: {}", answer.asked, answer.text());
                        return n;
                    }
                    tokio::task::yield_now().await;
                }
                unreachable!("it writes until it is refused")
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    atoll.root().post(WORKSPACES, renamed("prod", "live")).await.expect(201);
    let live = ready(&atoll, "live").await;
    for (writer, writing) in writers.into_iter().enumerate() {
        let written = writing.await.expect("a writer ends");
        for n in 0..written {
            live.get(&format!("{CONFIG_MAPS}/w{writer}-{n}")).await.expect(200);
        }
        live.get(&format!("{CONFIG_MAPS}/w{writer}-{written}")).await.expect(404);
    }
}
