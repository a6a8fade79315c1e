//! How logical clusters come and go, and that a name's next owner inherits nothing of the last.

use serde_json::{Value, json};

use crate::requests::{CONFIG_MAPS, DEFINITIONS, WIDGETS, config_map, every_verb, everything, furnish};
use crate::server::{Atoll, Client, WORKSPACES, eventually, workspace};

/// Deletes a cluster and waits until its workspace is gone.
async fn delete(atoll: &Atoll, name: &str) {
    let path = format!("{WORKSPACES}/{name}");
    atoll.root().delete(&path).await.expect(200);
    eventually("the deleted workspace to be gone", || async {
        (atoll.root().get(&path).await.status == 404).then_some(())
    })
    .await;
}

fn version(list: &Value) -> String {
    list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_new_cluster_answers_at_once_and_holds_the_namespaces_that_kubernetes_begins_with() {
    let atoll = Atoll::start().await;
    let team = atoll.cluster("team").await;
    let namespaces = team.get("/api/v1/namespaces").await.expect(200);
    let items = namespaces["items"].as_array().into_iter().flatten();
    let names: Vec<&Value> = items.map(|namespace| &namespace["metadata"]["name"]).collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    team.post(CONFIG_MAPS, config_map("first", "x")).await.expect(201);
    atoll.root().post(WORKSPACES, workspace("team")).await.refused(409, "AlreadyExists");
    team.get(&format!("{CONFIG_MAPS}/first")).await.expect(200);
}

#[tokio::test]
async fn a_cluster_serves_the_resources_it_was_given_and_no_others() {
    let atoll = Atoll::start().await;
    let mut small = workspace("small");
    small["spec"]["resources"] = json!(["minimal", "deployments.apps"]);
    atoll.root().post(WORKSPACES, small).await.expect(201);
    let small = atoll.admin_of("small");
    small.get("/apis/apps/v1/namespaces/default/deployments").await.expect(200);
    for path in ["/apis/apps/v1/statefulsets", "/api/v1/pods", "/apis/batch/v1/jobs", WORKSPACES] {
        small.get(path).await.expect(404);
    }
    let apps = small.get("/apis/apps/v1").await.expect(200);
    let names: Vec<&Value> = apps["resources"].as_array().into_iter().flatten().map(|r| &r["name"]).collect();
    assert_eq!(names, ["deployments", "deployments/scale", "deployments/status"]);
    let mut unknown = workspace("unknown");
    unknown["spec"]["resources"] = json!(["gadgets.example.com"]);
    atoll.root().post(WORKSPACES, unknown).await.refused(422, "Invalid");
}

#[tokio::test]
async fn names_that_are_no_cluster_names_are_refused() {
    let atoll = Atoll::start().await;
    for name in ["root", "A", "a.b", "a_b", "-a", "a:b", "*", "..", &"a".repeat(64)] {
        atoll.root().post(WORKSPACES, workspace(name)).await.refused(422, "Invalid");
    }
}

#[tokio::test]
async fn a_deleted_cluster_is_gone_with_all_it_held() {
    let atoll = Atoll::start().await;
    let (team, other) = (atoll.cluster("team").await, atoll.cluster("other").await);
    furnish(&team, "team").await;
    furnish(&other, "other").await;
    let others = everything(&other).await;
    delete(&atoll, "team").await;
    for call in every_verb() {
        call.send(&team).await.refused(404, "NotFound");
        call.send(&team.user("alice", &[])).await.refused(403, "Forbidden");
    }
    let all = atoll.root().below("/clusters/*");
    for path in
        ["/api/v1/configmaps", "/api/v1/namespaces", "/apis/rbac.authorization.k8s.io/v1/clusterroles", DEFINITIONS]
    {
        let list = all.get(path).await.expect(200).to_string();
        assert!(!list.contains("\"kcp.io/cluster\":\"team\""), "{path}: {list}");
    }
    assert_eq!(others, everything(&other).await);
}

#[tokio::test]
async fn watches_of_a_deleted_cluster_end_and_others_go_on() {
    let atoll = Atoll::start().await;
    let (team, other) = (atoll.cluster("team").await, atoll.cluster("other").await);
    furnish(&team, "team").await;
    let mut watches = Vec::new();
    for path in [CONFIG_MAPS, WIDGETS, "/api/v1/namespaces", "/api/v1/secrets"] {
        watches.push(team.watch(path).await);
    }
    let mut kept = other.watch(CONFIG_MAPS).await;
    delete(&atoll, "team").await;
    for mut watch in watches {
        while watch.next().await.is_some() {}
    }
    other.post(CONFIG_MAPS, config_map("later", "x")).await.expect(201);
    while kept.next_name().await != Some(("ADDED".to_owned(), "later".to_owned())) {}
}

#[tokio::test]
async fn a_cluster_of_the_same_name_inherits_nothing() {
    let atoll = Atoll::start().await;
    let fresh = everything(&atoll.cluster("pattern").await).await;
    let team = atoll.cluster("team").await;
    furnish(&team, "old").await;
    let page = team.get(&format!("{CONFIG_MAPS}?limit=1")).await.expect(200);
    let (token, old) = (page["metadata"]["continue"].as_str().unwrap_or_default().to_owned(), version(&page));
    assert!(!token.is_empty());
    delete(&atoll, "team").await;
    let team = atoll.cluster("team").await;

    let paths = |held: &[(String, Value)]| -> Vec<(String, Vec<String>)> {
        let name = |item: &Value| item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let names = |items: &Value| items.as_array().into_iter().flatten().map(name).collect();
        held.iter().map(|(path, items)| (path.clone(), names(items))).collect()
    };
    assert_eq!(paths(&fresh), paths(&everything(&team).await));
    team.get(WIDGETS).await.expect(404);

    let refused = team.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}")).await;
    assert!(matches!(refused.status.as_u16(), 400 | 410), "{}: {}", refused.asked, refused.text());
    let past = team.get(&format!("{CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")).await;
    past.refused(410, "Expired");
    let mut watch = team.watch(&format!("{CONFIG_MAPS}?resourceVersion={old}")).await;
    let event = watch.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["code"]), (&"ERROR".into(), &410.into()), "{event}");
}

#[tokio::test]
async fn a_cluster_being_deleted_takes_no_writes() {
    let atoll = Atoll::start().await;
    let team = atoll.cluster("team").await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let team = team.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let body = config_map(&format!("w{writer}-{n}"), "x");
                    let answer = team.post(CONFIG_MAPS, body).await;
                    if answer.status != 201 {
                        assert!(answer.status.is_client_error(), "{}: {}", answer.asked, answer.text());
                        return;
                    }
                    // The memory engine never makes a writer wait, and the others are to have their turn.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    eventually("the writers to write", || async {
        (team.get(&format!("{CONFIG_MAPS}/w3-5")).await.status == 200).then_some(())
    })
    .await;
    delete(&atoll, "team").await;
    for writer in writers {
        writer.await.expect("the writer was refused in time");
    }
    let left = atoll.root().below("/clusters/*").get("/api/v1/configmaps").await.expect(200);
    let of_team = |item: &&Value| item["metadata"]["annotations"]["kcp.io/cluster"] == "team";
    assert_eq!(left["items"].as_array().into_iter().flatten().filter(of_team).count(), 0);
}

#[tokio::test]
async fn clusters_that_come_and_go_at_once_do_not_meet() {
    let atoll = Atoll::start().await;
    let round = |client: Client, name: String| async move {
        for n in 0..5 {
            client.post(WORKSPACES, workspace(&name)).await.expect(201);
            let team = client.below(&format!("/clusters/{name}"));
            team.post(CONFIG_MAPS, config_map("only", &format!("{name}-{n}"))).await.expect(201);
            let list = team.get("/api/v1/configmaps?labelSelector=mark").await.expect(200);
            assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
            assert_eq!(list["items"][0]["data"]["mark"], format!("{name}-{n}"));
            let path = format!("{WORKSPACES}/{name}");
            client.delete(&path).await.expect(200);
            eventually("the workspace to be gone", || async { (client.get(&path).await.status == 404).then_some(()) })
                .await;
        }
    };
    let rounds: Vec<_> = (0..8).map(|n| tokio::spawn(round(atoll.root(), format!("team-{n}")))).collect();
    for done in rounds {
        done.await.expect("a round of its own");
    }
}
