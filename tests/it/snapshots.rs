//! What clusters held, kept as snapshots: put back, brought back after a deletion, and carried to another server; and that a
//! bystander notices nothing of it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::copies::{content, ready};
use crate::requests::{CONFIG_MAPS, WIDGETS, config_map, furnish, held};
use crate::server::{Atoll, Client, WORKSPACES, eventually, workspace};

pub(crate) const SNAPSHOTS: &str = "/apis/tenancy.atoll.dev/v1alpha1/clustersnapshots";

pub(crate) fn snapshot_of(cluster: &str, name: &str) -> Value {
    json!({
        "apiVersion": "tenancy.atoll.dev/v1alpha1", "kind": "ClusterSnapshot", "metadata": {"name": name},
        "spec": {"cluster": cluster},
    })
}

fn made_of(snapshot: &str, name: &str) -> Value {
    json!({
        "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
        "spec": {"source": {"snapshot": snapshot}},
    })
}

pub(crate) fn back_to(snapshot: &str) -> Value {
    json!({"apiVersion": "tenancy.atoll.dev/v1alpha1", "kind": "RestoreRequest", "spec": {"snapshot": snapshot}})
}

/// Takes a snapshot and waits until it is complete.
async fn take(atoll: &Atoll, cluster: &str, name: &str) -> Value {
    atoll.root().post(SNAPSHOTS, snapshot_of(cluster, name)).await.expect(201);
    complete(atoll, name).await
}

async fn complete(atoll: &Atoll, name: &str) -> Value {
    eventually("the snapshot to be complete", || async {
        let snapshot = atoll.root().get(&format!("{SNAPSHOTS}/{name}")).await.json();
        (snapshot["status"]["phase"] == "Ready").then_some(snapshot)
    })
    .await
}

async fn token_of(cluster: &Client, account: &str) -> String {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let path = format!("/api/v1/namespaces/default/serviceaccounts/{account}/token");
    let answer = cluster.post(&path, request).await.expect(201);
    answer["status"]["token"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_cluster_is_put_back_to_what_it_was_and_stays_the_same_one() {
    let atoll = Atoll::start().await;
    let (prod, other) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    furnish(&prod, "prod").await;
    furnish(&other, "other").await;
    let token = token_of(&prod, "default").await;
    let (before, others) = (held(&prod).await, held(&other).await);
    let snapshot = take(&atoll, "prod", "before").await;
    assert_eq!(snapshot["status"]["cluster"]["name"], "prod");

    let list = prod.get(CONFIG_MAPS).await.expect(200);
    let first = list["items"][0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    prod.delete(&format!("{CONFIG_MAPS}/{first}")).await.expect(200);
    prod.post(CONFIG_MAPS, config_map("later", "x")).await.expect(201);
    prod.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.it.example.com").await.expect(200);
    eventually("the custom kind to be gone", || async { (prod.get(WIDGETS).await.status == 404).then_some(()) }).await;

    let mut watch = prod.watch(CONFIG_MAPS).await;
    let path = format!("{WORKSPACES}/prod/restore");
    atoll.root().post(&path, back_to("before")).await.expect(201);
    let prod = ready(&atoll, "prod").await;
    while watch.next().await.is_some() {}
    let uids = |held: &[(String, Value)]| {
        held.iter().map(|(_, items)| items.to_string().matches("\"uid\"").count()).sum::<usize>()
    };
    let after = held(&prod).await;
    assert_eq!(uids(&before), uids(&after));
    assert_eq!(content(before), content(after));
    prod.get(&format!("{CONFIG_MAPS}/{first}")).await.expect(200);
    prod.get(&format!("{CONFIG_MAPS}/later")).await.expect(404);
    prod.get(WIDGETS).await.expect(200);
    let who = prod.bearer(&token).get("/api/v1/namespaces/default/configmaps").await;
    assert_eq!(who.status, 403, "the token is good, and its account may as little as before: {}", who.text());
    assert_eq!(others, held(&other).await);
}

#[tokio::test]
async fn a_snapshot_of_one_cluster_is_not_put_into_another_but_can_become_one() {
    let atoll = Atoll::start().await;
    let (prod, other) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    furnish(&prod, "prod").await;
    take(&atoll, "prod", "kept").await;
    let root = atoll.root();
    root.post(&format!("{WORKSPACES}/other/restore"), back_to("kept")).await.refused(422, "Invalid");
    root.post(&format!("{WORKSPACES}/missing/restore"), back_to("kept")).await.refused(404, "NotFound");
    root.post(&format!("{WORKSPACES}/prod/restore"), back_to("missing")).await.refused(422, "Invalid");
    other.get(WIDGETS).await.expect(404);
    // Whoever may not read the cluster may not read what is kept of it, nor learn of it.
    for (name, group) in [("maker", "makers")] {
        let rule = json!({"apiGroups": ["tenancy.kcp.io", "tenancy.atoll.dev"], "resources": ["workspaces", "clustersnapshots"], "verbs": ["create", "get"]});
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": group}, "rules": [rule]});
        root.post(crate::requests::CLUSTER_ROLES, role).await.expect(201);
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": group},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": group},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        });
        root.post(crate::requests::CLUSTER_ROLE_BINDINGS, binding).await.expect(201);
    }
    let maker = root.user("maker", &[]);
    for snapshot in ["kept", "missing"] {
        maker.post(WORKSPACES, made_of(snapshot, "stolen")).await.refused(403, "Forbidden");
    }
    maker.post(SNAPSHOTS, snapshot_of("prod", "stolen")).await.refused(403, "Forbidden");
    maker.get(&format!("{SNAPSHOTS}/kept/content")).await.refused(403, "Forbidden");

    root.post(WORKSPACES, made_of("kept", "second")).await.expect(201);
    let second = ready(&atoll, "second").await;
    second.get(WIDGETS).await.expect(200);
    assert_eq!(content(held(&second).await), content(held(&prod).await));
    root.delete(&format!("{SNAPSHOTS}/kept")).await.expect(200);
    eventually("the snapshot to be gone", || async {
        (root.get(&format!("{SNAPSHOTS}/kept")).await.status == 404).then_some(())
    })
    .await;
    second.get(WIDGETS).await.expect(200);
}

#[tokio::test]
async fn a_deleted_cluster_comes_back_with_its_identity_while_it_is_kept() {
    let atoll = Atoll::start_with(|builder| builder.retain_deleted(Duration::from_secs(3600))).await;
    let (prod, other) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    furnish(&prod, "prod").await;
    let token = token_of(&prod, "default").await;
    let (before, others) = (held(&prod).await, held(&other).await);
    let path = format!("{WORKSPACES}/prod");
    let workspace_before = atoll.root().get(&path).await.expect(200);
    atoll.root().delete(&path).await.expect(200);
    prod.get(CONFIG_MAPS).await.expect(404);
    eventually("the name to be free", || async { (atoll.root().get(&path).await.status == 404).then_some(()) }).await;
    let list = atoll.root().get(SNAPSHOTS).await.expect(200);
    let kept = list["items"][0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    assert!(kept.starts_with("deleted-prod-"), "{list}");

    // Another one may have the name meanwhile, and is not touched.
    let another = atoll.cluster("prod").await;
    atoll.root().post(&format!("{path}/restore"), back_to(&kept)).await.refused(422, "Invalid");
    another.get(WIDGETS).await.expect(404);
    let retain = json!({"metadata": {"annotations": {"tenancy.atoll.dev/retain": "0"}}});
    atoll.root().patch(&path, crate::server::MERGE_PATCH, retain).await.expect(200);
    atoll.root().delete(&path).await.expect(200);
    eventually("the name to be free", || async { (atoll.root().get(&path).await.status == 404).then_some(()) }).await;
    let list = atoll.root().get(SNAPSHOTS).await.expect(200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "what opted out is not kept");

    atoll.root().post(&format!("{path}/restore"), back_to(&kept)).await.expect(201);
    let prod = ready(&atoll, "prod").await;
    let workspace_after = atoll.root().get(&path).await.expect(200);
    assert_eq!(workspace_before["metadata"]["uid"], workspace_after["metadata"]["uid"]);
    assert_eq!(workspace_after["metadata"]["deletionTimestamp"], Value::Null);
    assert_eq!(content(before), content(held(&prod).await));
    assert_eq!(prod.bearer(&token).get(CONFIG_MAPS).await.status, 403, "the token is good again");
    assert_eq!(others, held(&other).await);
}

#[tokio::test]
async fn what_is_kept_goes_when_its_time_is_over() {
    let atoll = Atoll::start().await;
    atoll.cluster("prod").await;
    let mut snapshot = snapshot_of("prod", "short");
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    snapshot["spec"]["expires"] = atoll_api::time::format_time(soon).into();
    atoll.root().post(SNAPSHOTS, snapshot).await.expect(201);
    let path = format!("{SNAPSHOTS}/short");
    eventually("the snapshot to be gone", || async { (atoll.root().get(&path).await.status == 404).then_some(()) })
        .await;
    for path in [SNAPSHOTS.to_owned(), format!("{path}/content")] {
        assert!(!atoll.root().get(&path).await.text().contains("short\",\"uid"), "{path}");
    }
}

#[tokio::test]
async fn a_cluster_is_carried_to_another_server() {
    let (here, there) = (Atoll::start().await, Atoll::start().await);
    let prod = here.cluster("prod").await;
    let bystander = there.cluster("prod").await;
    furnish(&prod, "prod").await;
    take(&here, "prod", "export").await;
    let archive = here.root().get(&format!("{SNAPSHOTS}/export/content")).await;
    assert_eq!(archive.status, 200);
    let others = held(&bystander).await;

    let root = there.root();
    let upload = json!({
        "apiVersion": "tenancy.atoll.dev/v1alpha1", "kind": "ClusterSnapshot", "metadata": {"name": "import"},
        "spec": {"upload": true},
    });
    root.post(SNAPSHOTS, upload).await.expect(201);
    let path = format!("{SNAPSHOTS}/import/content");
    let octets = "application/octet-stream";
    let mut damaged = archive.body.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for wrong in [damaged, b"something else".to_vec(), archive.body[..middle].to_vec()] {
        root.send(Method::PUT, &path, octets, wrong).await.refused(400, "BadRequest");
    }
    root.get(&path).await.refused(409, "Conflict");
    root.post(WORKSPACES, made_of("import", "too-early")).await.refused(422, "Invalid");
    root.send(Method::PUT, &path, octets, archive.body.clone()).await.expect(200);
    root.send(Method::PUT, &path, octets, archive.body.clone()).await.refused(409, "Conflict");
    root.post(WORKSPACES, made_of("import", "imported")).await.expect(201);
    let imported = ready(&there, "imported").await;
    imported.settled().await;
    // The CA, and the policy that all clusters of a server share, are each server's own.
    let own = |held: Vec<(String, Value)>| -> Vec<(String, Value)> {
        let mut held = content(held);
        for (_, items) in &mut held {
            if let Some(items) = items.as_array_mut() {
                items.retain(|item| {
                    let metadata = &item["metadata"];
                    metadata["labels"]["kubernetes.io/bootstrapping"].is_null()
                        && metadata["annotations"]["apf.kubernetes.io/autoupdate-spec"].is_null()
                });
            }
            for item in items.as_array_mut().into_iter().flatten() {
                if item["metadata"]["name"] == "kube-root-ca.crt" {
                    item["data"] = Value::Null;
                }
            }
        }
        held
    };
    assert_eq!(own(held(&imported).await), own(held(&prod).await));
    assert_eq!(others, held(&bystander).await);
    // A workspace of the same name is another cluster, and not replaced.
    root.post(WORKSPACES, workspace("imported")).await.refused(409, "AlreadyExists");
}
