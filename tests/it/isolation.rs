//! What happens in one logical cluster stays there: objects, watches, discovery, rights, tokens, errors.

use http::Method;
use serde_json::{Value, json};

use crate::requests::{
    CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CONFIG_MAPS, DEFINITIONS, WIDGETS, config_map, definition, every_verb,
    everything, furnish, widget,
};
use crate::server::{APPLY_PATCH, Answer, Atoll, Client, MERGE_PATCH, WORKSPACES, eventually, workspace};

/// Two furnished clusters of one server.
async fn two() -> (Atoll, Client, Client) {
    let atoll = Atoll::start().await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    furnish(&ours, "ours").await;
    furnish(&theirs, "theirs").await;
    (atoll, ours, theirs)
}

/// Makes a user administrator of one cluster.
async fn bind_admin(cluster: &Client, user: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": format!("admin-{user}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    cluster.post(CLUSTER_ROLE_BINDINGS, binding).await.expect(201);
}

#[tokio::test]
async fn no_verb_in_one_cluster_changes_another() {
    let (_atoll, ours, theirs) = two().await;
    let before = everything(&theirs).await;
    let text = serde_json::to_string(&before).expect("JSON");
    assert!(text.contains("\"mark\":\"theirs\"") && !text.contains("\"mark\":\"ours\""), "{text}");
    for call in every_verb() {
        let answer = call.send(&ours).await;
        assert!(answer.status.is_success(), "{}: {}", answer.asked, answer.text());
        assert!(!answer.text().contains("theirs"), "{}: {}", answer.asked, answer.text());
        for (was, is) in before.iter().zip(everything(&theirs).await) {
            assert_eq!(*was, is, "{} changed {} of another cluster", answer.asked, was.0);
        }
    }
}

#[tokio::test]
async fn rights_in_one_cluster_are_none_in_another() {
    let (atoll, ours, theirs) = two().await;
    bind_admin(&ours, "alice").await;
    let alice = ours.user("alice", &[]);
    let empty = atoll.cluster("empty").await;
    let before = everything(&theirs).await;
    for call in every_verb() {
        let refused = call.send(&alice.at(&theirs)).await;
        refused.clone().refused(403, "Forbidden");
        // Nor does the refusal tell whether the named object, or the kind, or even the cluster exists.
        let elsewhere = call.send(&alice.at(&empty)).await;
        assert_eq!(refused.body, elsewhere.body, "{}", refused.asked);
        assert_eq!(refused.body, call.send(&alice.at(&atoll.admin_of("absent"))).await.body, "{}", refused.asked);
        call.send(&alice.at(&atoll.root())).await.refused(403, "Forbidden");
        call.send(&theirs.anonymous()).await.refused(403, "Forbidden");
    }
    assert_eq!(before, everything(&theirs).await);
    for verb in ["create", "delete", "deletecollection", "get", "list", "patch", "update"] {
        assert!(every_verb().iter().any(|call| call.verb == verb), "no call is a {verb}");
    }
    for call in every_verb() {
        let answer = call.send(&alice).await;
        assert!(answer.status.is_success(), "{}: {}", answer.asked, answer.text());
    }
}

#[tokio::test]
async fn rights_over_all_clusters_come_from_the_system_cluster_alone() {
    let (atoll, ours, _theirs) = two().await;
    bind_admin(&ours, "alice").await;
    let all = atoll.root().below("/clusters/*");
    let listed = all.get("/api/v1/configmaps").await.expect(200);
    let of = |item: &Value| item["metadata"]["annotations"]["kcp.io/cluster"].as_str().unwrap_or_default().to_owned();
    let mut clusters: Vec<String> = listed["items"].as_array().into_iter().flatten().map(of).collect();
    clusters.sort();
    clusters.dedup();
    assert_eq!(clusters, ["ours", "root", "theirs"]);
    for path in ["/api/v1/configmaps", "/api/v1/configmaps?watch=1", CLUSTER_ROLES] {
        all.user("alice", &[]).get(path).await.refused(403, "Forbidden");
        all.anonymous().get(path).await.refused(403, "Forbidden");
    }
    let body = config_map("everywhere", "all");
    all.post(CONFIG_MAPS, body.clone()).await.refused(400, "BadRequest");
    all.put("/api/v1/namespaces/default/configmaps/shared", body).await.refused(400, "BadRequest");
    all.delete(CONFIG_MAPS).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn only_the_system_cluster_knows_of_logical_clusters() {
    let (atoll, ours, _theirs) = two().await;
    bind_admin(&ours, "alice").await;
    let alice = ours.user("alice", &[]);
    for client in [&ours, &alice] {
        client.get(WORKSPACES).await.expect(404);
        client.post(WORKSPACES, workspace("grabbed")).await.expect(404);
    }
    alice.at(&atoll.root()).post(WORKSPACES, workspace("grabbed")).await.refused(403, "Forbidden");
    atoll.admin_of("grabbed").get("/api").await.refused(404, "NotFound");
}

#[tokio::test]
async fn watches_tell_of_their_own_cluster_only() {
    let (_atoll, ours, theirs) = two().await;
    let now = theirs.get(CONFIG_MAPS).await.expect(200)["metadata"]["resourceVersion"].clone();
    let now = now.as_str().expect("a list has a version");
    let mut watches = Vec::new();
    for path in
        [CONFIG_MAPS, "/api/v1/configmaps", "/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name=new"]
    {
        let mark = if path.contains('?') { '&' } else { '?' };
        watches.push(theirs.watch(&format!("{path}{mark}resourceVersion={now}")).await);
    }
    let mut widgets = theirs.watch(&format!("{WIDGETS}?resourceVersion={now}")).await;
    for call in every_verb() {
        call.send(&ours).await;
    }
    theirs.post(CONFIG_MAPS, config_map("new", "theirs")).await.expect(201);
    theirs.post(WIDGETS, widget("new", "theirs")).await.expect(201);
    for mut watch in watches {
        let event = watch.next().await.expect("an event");
        assert_eq!((&event["type"], &event["object"]["data"]["mark"]), (&"ADDED".into(), &"theirs".into()), "{event}");
    }
    let event = widgets.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["spec"]["mark"]), (&"ADDED".into(), &"theirs".into()), "{event}");
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_open_watches() {
    let (_atoll, ours, theirs) = two().await;
    bind_admin(&ours, "alice").await;
    bind_admin(&theirs, "alice").await;
    let mut ended = ours.user("alice", &[]).watch(CONFIG_MAPS).await;
    let mut kept = theirs.user("alice", &[]).watch(CONFIG_MAPS).await;
    ours.delete(&format!("{CLUSTER_ROLE_BINDINGS}/admin-alice")).await.expect(200);
    let mut last = Value::Null;
    while let Some(event) = ended.next().await {
        last = event;
    }
    assert_eq!((&last["type"], &last["object"]["reason"]), (&"ERROR".into(), &"Forbidden".into()), "{last}");
    theirs.post(CONFIG_MAPS, config_map("later", "theirs")).await.expect(201);
    while kept.next_name().await != Some(("ADDED".to_owned(), "later".to_owned())) {}
}

#[tokio::test]
async fn incompatible_definitions_of_one_kind_live_side_by_side() {
    let atoll = Atoll::start().await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    ours.post(DEFINITIONS, definition("string")).await.expect(201);
    theirs.get(WIDGETS).await.expect(404);
    assert!(!theirs.get("/apis").await.text().contains("it.example.com"));
    theirs.get("/apis/it.example.com/v1").await.expect(404);
    theirs.post(DEFINITIONS, definition("integer")).await.expect(201);

    let number =
        json!({"apiVersion": "it.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"mark": 5}});
    ours.post(WIDGETS, widget("w", "text")).await.expect(201);
    ours.post(WIDGETS, number.clone()).await.refused(422, "Invalid");
    theirs.post(WIDGETS, number).await.expect(201);
    theirs.post(WIDGETS, widget("w", "text")).await.refused(422, "Invalid");

    ours.delete(&format!("{DEFINITIONS}/widgets.it.example.com")).await.expect(200);
    let path = format!("{WIDGETS}/w");
    eventually("the deleted definition's kind to be gone", || async {
        (ours.get(&path).await.status == 404).then_some(())
    })
    .await;
    assert_eq!(theirs.get(&path).await.expect(200)["spec"]["mark"], 5);
}

#[tokio::test]
async fn discovery_tells_of_the_own_cluster_only() {
    const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let atoll = Atoll::start().await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    let documents = |client: Client| async move {
        let mut documents = Vec::new();
        for path in [
            "/api",
            "/apis",
            "/api/v1",
            "/apis/apps",
            "/apis/it.example.com",
            "/apis/it.example.com/v1",
            "/openapi/v3",
            "/openapi/v3/apis/apps/v1",
            "/openapi/v3/apis/it.example.com/v1",
        ] {
            documents.push(client.get(path).await.text());
            documents.push(client.get_as(path, AGGREGATED).await.text());
        }
        documents
    };
    let before = documents(theirs.clone()).await;
    ours.post(DEFINITIONS, definition("string")).await.expect(201);
    assert_eq!(before, documents(theirs).await);
    let told = documents(ours).await;
    assert!(told.iter().any(|document| document.contains("com.example.it.v1.Widget")), "OpenAPI tells of the new kind");
}

#[tokio::test]
async fn rules_of_one_cluster_do_not_count_in_another() {
    let (_atoll, ours, theirs) = two().await;
    ours.post(
        CLUSTER_ROLE_BINDINGS,
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "devs"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"}],
        }),
    )
    .await
    .expect(201);
    let may = |client: Client| async move {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": "get", "resource": "configmaps", "namespace": "default"}},
        });
        let answer = client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).await.expect(201);
        answer["status"]["allowed"].as_bool()
    };
    assert_eq!(may(ours.user("bob", &["devs"])).await, Some(true));
    assert_eq!(may(theirs.user("bob", &["devs"])).await, Some(false));
    assert_eq!(may(ours.user("bob", &[])).await, Some(false));
}

#[tokio::test]
async fn shared_policy_is_seen_everywhere_and_written_nowhere_but_in_the_system_cluster() {
    let (atoll, ours, theirs) = two().await;
    bind_admin(&ours, "alice").await;
    let role = format!("{CLUSTER_ROLES}/cluster-admin");
    let before = theirs.get(&role).await.expect(200);
    for client in [ours.clone(), ours.user("alice", &[])] {
        client.get(&role).await.expect(200);
        client.patch(&role, MERGE_PATCH, json!({"rules": []})).await.refused(403, "Forbidden");
        client.put(&role, before.clone()).await.refused(403, "Forbidden");
        client.delete(&role).await.refused(403, "Forbidden");
        let applied = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cluster-admin"}, "rules": []});
        client
            .patch(&format!("{role}?fieldManager=it&force=true"), APPLY_PATCH, applied.clone())
            .await
            .refused(403, "Forbidden");
        client.post(CLUSTER_ROLES, applied).await.refused(409, "AlreadyExists");
        assert!(client.delete(CLUSTER_ROLES).await.status.is_success());
    }
    assert_eq!(before, theirs.get(&role).await.expect(200));
    let label = json!({"metadata": {"labels": {"seen": "everywhere"}}});
    atoll.root().patch(&role, MERGE_PATCH, label).await.expect(200);
    assert_eq!(theirs.get(&role).await.expect(200)["metadata"]["labels"]["seen"], "everywhere");
}

#[tokio::test]
async fn errors_tell_nothing_of_other_clusters() {
    let atoll = Atoll::start().await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    theirs.post(CONFIG_MAPS, config_map("theirs-only", "theirs")).await.expect(201);
    let same = |answer: Answer, name: &str| (answer.status, answer.text().replace(name, "NAME"));
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
        let mut told = Vec::new();
        for name in ["theirs-only", "nobodys"] {
            let (media_type, body) = match method {
                Method::PUT => ("application/json", config_map(name, "x").to_string()),
                Method::PATCH => (MERGE_PATCH, "{}".to_owned()),
                _ => ("", String::new()),
            };
            let answer = ours.send(method.clone(), &format!("{CONFIG_MAPS}/{name}"), media_type, body).await;
            told.push(same(answer, name));
        }
        assert_eq!(told[0].0, 404, "{method}");
        assert_eq!(told[0], told[1], "{method}");
    }
    // A name that is taken elsewhere is free here.
    ours.post(CONFIG_MAPS, config_map("theirs-only", "ours")).await.expect(201);
}

#[tokio::test]
async fn a_continue_token_of_another_cluster_is_refused() {
    let atoll = Atoll::start().await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    for client in [&ours, &theirs] {
        for name in ["a", "b", "c"] {
            client.post(CONFIG_MAPS, config_map(name, "x")).await.expect(201);
        }
    }
    let page = ours.get(&format!("{CONFIG_MAPS}?limit=1")).await.expect(200);
    let token = page["metadata"]["continue"].as_str().expect("there is more").to_owned();
    let next = format!("{CONFIG_MAPS}?limit=1&continue={token}");
    assert_eq!(ours.get(&next).await.expect(200)["items"][0]["metadata"]["name"], "b");
    let answer = theirs.get(&next).await;
    assert!(matches!(answer.status.as_u16(), 400 | 410), "{}: {}", answer.asked, answer.text());
}
