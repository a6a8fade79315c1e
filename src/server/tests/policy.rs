//! Roles and bindings: who may write them, which all clusters share, and what holds at once.

use super::*;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_grants_more_than_they_hold() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let prefix = "/clusters/team-a";
    let writes = rule("rbac.authorization.k8s.io", &["roles", "rolebindings", "clusterroles"], &["create", "update"]);
    let held = rule("", &["configmaps"], &["get"]);
    server.grant(prefix, "writers", "alice", json!([writes, held])).await;

    let roles = format!("{prefix}{RBAC}/namespaces/default/roles");
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    server.check(ALICE, "POST", &roles, role("mine", json!([held])), 201).await;
    let more = role("more", json!([rule("", &["secrets"], &["get"])]));
    let refusal = server.check(ALICE, "POST", &roles, more.clone(), 403).await;
    let message = refusal["message"].as_str().expect("a message");
    assert!(message.contains("attempting to grant RBAC permissions not currently held"), "{message}");
    server.check(ALICE, "PUT", &format!("{roles}/more"), more, 403).await;
    server.check(ALICE, "PUT", &format!("{roles}/mine"), role("mine", json!([rule("", &["*"], &["*"])])), 403).await;

    let bindings = format!("{prefix}{RBAC}/namespaces/default/rolebindings");
    let binding = |role: &str| {
        json!({
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
        })
    };
    server.check(ALICE, "POST", &bindings, binding("cluster-admin"), 403).await;
    server.check(ALICE, "POST", &bindings, binding("nowhere"), 404).await;
    server.check(ADMIN, "POST", &bindings, binding("cluster-admin"), 201).await;
    let gathering = json!({"metadata": {"name": "sum"}, "aggregationRule": {"clusterRoleSelectors": [{}]}});
    server.check(ALICE, "POST", &format!("{prefix}{RBAC}/clusterroles"), gathering, 403).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_by_change_needs_the_right_to_create() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let prefix = "/clusters/team-a";
    let leases = rule("coordination.k8s.io", &["leases"], &["update"]);
    server.grant(prefix, "updaters", "alice", json!([leases])).await;
    let path = format!("{prefix}/apis/coordination.k8s.io/v1/namespaces/default/leases/a");
    let lease = json!({"metadata": {"name": "a"}});
    let refusal = server.check(ALICE, "PUT", &path, lease.clone(), 403).await;
    assert!(refusal["message"].as_str().expect("a message").contains("cannot create resource"), "{refusal}");
    let created = server.check(ADMIN, "PUT", &path, lease, 201).await;
    server.check(ALICE, "PUT", &path, created, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_policy_is_seen_everywhere_and_written_in_the_system_cluster_only() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let roles = format!("/clusters/team-a{RBAC}/clusterroles");
    let view = format!("{roles}/view");
    let found = server.check(ADMIN, "GET", &view, Value::Null, 200).await;
    assert!(!found["rules"].as_array().expect("rules").is_empty(), "a gathering role shows what it has gathered");
    let all = server.check(ADMIN, "GET", &roles, Value::Null, 200).await;
    assert!(all["items"].as_array().expect("items").iter().any(|role| role["metadata"]["name"] == "view"));

    for (method, body) in [("PUT", found.clone()), ("PATCH", json!({"rules": []})), ("DELETE", Value::Null)] {
        let refusal = server.check(ADMIN, method, &view, body, 403).await;
        assert!(refusal["message"].as_str().expect("a message").contains("shared by all logical clusters"));
    }
    server.check(ADMIN, "POST", &roles, json!({"metadata": {"name": "view"}, "rules": []}), 409).await;
    assert_eq!(server.check(ADMIN, "GET", &view, Value::Null, 200).await, found);

    // The shared roles of kube-system are seen there, which is a namespace this cluster does not have.
    let in_namespace = |namespace: &str| format!("/clusters/team-a{RBAC}/namespaces/{namespace}/roles");
    let of_default = server.check(ADMIN, "GET", &in_namespace("default"), Value::Null, 200).await;
    assert_eq!(of_default["items"], json!([]));
    let of_system = server.check(ADMIN, "GET", &in_namespace("kube-system"), Value::Null, 200).await;
    assert!(!of_system["items"].as_array().expect("items").is_empty());
    server.check(ADMIN, "DELETE", &in_namespace("kube-system"), Value::Null, 200).await;
    let again = server.check(ADMIN, "GET", &in_namespace("kube-system"), Value::Null, 200).await;
    assert_eq!(again["items"], of_system["items"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_priority_classes_of_the_system_are_in_every_cluster_and_stay() {
    let server = TestServer::start().await;
    let classes = |cluster: &str| format!("/clusters/{cluster}/apis/scheduling.k8s.io/v1/priorityclasses");
    for cluster in ["team-a", "team-b"] {
        // Whoever serves the kind sees them.
        let workspace = json!({"metadata": {"name": cluster}, "spec": {"resources": ["all"]}});
        server.check(ADMIN, "POST", "/apis/tenancy.kcp.io/v1alpha1/workspaces", workspace, 201).await;
    }
    let mine = json!({"metadata": {"name": "mine"}, "value": 7});
    server.check(ADMIN, "POST", &classes("team-a"), mine, 201).await;
    for (cluster, names) in [
        ("team-a", &["mine", "system-cluster-critical", "system-node-critical"][..]),
        ("team-b", &["system-cluster-critical", "system-node-critical"]),
    ] {
        let all = classes(cluster);
        let listed = server.check(ADMIN, "GET", &all, Value::Null, 200).await;
        let listed = listed["items"].as_array().expect("items").iter();
        assert_eq!(listed.map(|class| &class["metadata"]["name"]).collect::<Vec<_>>(), names);
        let critical = format!("{all}/system-node-critical");
        let found = server.check(ADMIN, "GET", &critical, Value::Null, 200).await;
        let worth = (&found["value"], &found["preemptionPolicy"]);
        assert_eq!(worth, (&json!(2_000_001_000), &json!("PreemptLowerPriority")));
        let again = json!({"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000});
        server.check(ADMIN, "POST", &all, again, 409).await;
        for query in ["", "?dryRun=All"] {
            let refused = server.check(ADMIN, "DELETE", &format!("{critical}{query}"), Value::Null, 403).await;
            let told = "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system priority class and cannot be deleted";
            assert_eq!(refused["message"], told);
        }
        let refused = server.check(ADMIN, "PATCH", &critical, json!({"description": "x"}), 403).await;
        assert!(refused["message"].as_str().expect("a message").contains("shared by all logical clusters"));
        server.check(ADMIN, "DELETE", &all, Value::Null, 200).await;
        let left = server.check(ADMIN, "GET", &all, Value::Null, 200).await;
        assert_eq!(left["items"].as_array().expect("items").len(), 2, "the others are gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_shared_policy_hold_in_every_cluster_at_once() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let path = format!("{RBAC}/clusterrolebindings/system:public-info-viewer");
    let mut binding = server.check(ADMIN, "GET", &path, Value::Null, 200).await;
    for prefix in ["", "/clusters/team-a"] {
        server.check(NOBODY, "GET", &format!("{prefix}/version"), Value::Null, 200).await;
    }
    server.check(ADMIN, "DELETE", &path, Value::Null, 200).await;
    for prefix in ["", "/clusters/team-a"] {
        server.check(NOBODY, "GET", &format!("{prefix}/version"), Value::Null, 403).await;
    }
    binding["metadata"] = json!({"name": "x", "labels": {"kubernetes.io/bootstrapping": "own"}});
    server.check(ADMIN, "POST", &format!("{RBAC}/clusterrolebindings"), binding, 201).await;
    for prefix in ["", "/clusters/team-a"] {
        server.check(NOBODY, "GET", &format!("{prefix}/version"), Value::Null, 200).await;
    }
}

/// `kubectl set subject clusterrolebinding --all` does this with each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_bindings_that_a_cluster_changes_become_its_own() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    let path = |cluster: &str| format!("{cluster}{RBAC}/clusterrolebindings/system:public-info-viewer");
    let (ours, theirs) = (path("/clusters/team-a"), path("/clusters/team-b"));
    let mut seen = server.check(ADMIN, "GET", &ours, Value::Null, 200).await;
    let version = async |cluster: &str, status: u16| {
        server.check(NOBODY, "GET", &format!("{cluster}/version"), Value::Null, status).await;
    };
    // By the version in which it was seen, as an update names it.
    seen["subjects"] =
        json!([{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}]);
    // A rehearsal and what is refused leave it shared.
    server.check(ADMIN, "PUT", &format!("{ours}?dryRun=All"), seen.clone(), 200).await;
    server.check(ADMIN, "PATCH", &ours, json!({"subjects": [{"kind": "Nobody", "name": "x"}]}), 422).await;
    let still = server.check(ADMIN, "GET", &ours, Value::Null, 200).await;
    assert_eq!(still["metadata"]["resourceVersion"], seen["metadata"]["resourceVersion"]);
    assert_eq!(still["subjects"].as_array().map(Vec::len), Some(2));
    let changed = server.check(ADMIN, "PUT", &ours, seen.clone(), 200).await;
    assert_eq!(changed["subjects"].as_array().map(Vec::len), Some(1));
    assert_ne!(changed["metadata"]["resourceVersion"], seen["metadata"]["resourceVersion"]);
    server.check(ADMIN, "PUT", &ours, seen, 409).await;
    version("/clusters/team-a", 403).await;
    version("/clusters/team-b", 200).await;
    version("", 200).await;
    assert_eq!(
        server.check(ADMIN, "GET", &theirs, Value::Null, 200).await["subjects"].as_array().map(Vec::len),
        Some(2)
    );
    let list = format!("/clusters/team-a{RBAC}/clusterrolebindings");
    let list = server.check(ADMIN, "GET", &list, Value::Null, 200).await;
    let named = |item: &&Value| item["metadata"]["name"] == "system:public-info-viewer";
    let listed: Vec<&Value> = list["items"].as_array().expect("items").iter().filter(named).collect();
    assert_eq!((listed.len(), &listed[0]["subjects"]), (1, &changed["subjects"]), "it is there once, as it is now");
    // Without the cluster's own, the shared one is back.
    server.check(ADMIN, "DELETE", &ours, Value::Null, 200).await;
    version("/clusters/team-a", 200).await;
    server.check(ADMIN, "DELETE", &ours, Value::Null, 403).await;
    // What roles mean is the same everywhere.
    let role = format!("/clusters/team-a{RBAC}/clusterroles/system:public-info-viewer");
    server.check(ADMIN, "PATCH", &role, json!({"rules": []}), 403).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn system_namespaces_are_seen_from_the_start_and_can_be_changed() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    let all = "/clusters/team-a/api/v1/namespaces";
    let names = async || {
        let list = server.check(ADMIN, "GET", all, Value::Null, 200).await;
        let items = list["items"].as_array().expect("items").iter();
        items.map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    let path = format!("{all}/kube-system");
    let seen = server.check(ADMIN, "GET", &path, Value::Null, 200).await;
    assert_eq!((&seen["status"]["phase"], &seen["spec"]["finalizers"]), (&json!("Active"), &json!(["kubernetes"])));
    server.check(ADMIN, "POST", all, json!({"metadata": {"name": "kube-system"}}), 409).await;
    let refused = server.check(ADMIN, "DELETE", &path, Value::Null, 403).await;
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("this namespace may not be deleted")));
    let labelled = json!({"metadata": {"labels": {"team": "a"}}});
    let lease = format!("{all}/kube-node-lease");
    for (verb, path, body) in [("PATCH", &path, labelled.clone()), ("DELETE", &lease, Value::Null)] {
        server.check(ADMIN, verb, &format!("{path}?dryRun=All"), body, 200).await;
        let still = server.check(ADMIN, "GET", path, Value::Null, 200).await;
        assert_eq!(still["metadata"]["resourceVersion"], "1", "{path} was stored by a rehearsal");
    }
    let changed = server.check(ADMIN, "PATCH", &path, labelled, 200).await;
    assert_eq!(changed["metadata"]["uid"], seen["metadata"]["uid"]);
    assert_eq!(changed["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "kube-system", "team": "a"}));
    let other = server.check(ADMIN, "GET", "/clusters/team-b/api/v1/namespaces/kube-system", Value::Null, 200).await;
    assert_eq!(other["metadata"]["labels"], seen["metadata"]["labels"]);
    assert_eq!(names().await, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    server.check(ADMIN, "DELETE", &lease, Value::Null, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_holds_in_the_system_cluster_cannot_be_shared_with_all() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let bindings = rule("rbac.authorization.k8s.io", &["clusterroles", "clusterrolebindings"], &["*"]);
    server.grant("", "keepers", "alice", json!([bindings, rule("", &["secrets"], &["get"])])).await;
    let role = |labels: Value| json!({"metadata": {"name": "r", "labels": labels}, "rules": [rule("", &["secrets"], &["get"])]});
    let shared = json!({"kubernetes.io/bootstrapping": "mine"});
    let roles = format!("{RBAC}/clusterroles");
    server.check(ALICE, "POST", &roles, role(shared.clone()), 403).await;
    server.check(ALICE, "POST", &roles, role(json!({})), 201).await;
    server.check(ALICE, "PATCH", &format!("{roles}/r"), json!({"metadata": {"labels": shared}}), 403).await;
    // Within a tenant the label means nothing.
    let in_tenant = format!("/clusters/team-a{RBAC}/clusterroles");
    server.check(ADMIN, "POST", &in_tenant, role(shared), 201).await;
    server.check(ADMIN, "DELETE", &format!("{in_tenant}/r"), Value::Null, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gathering_roles_follow_what_they_gather_before_the_write_is_answered() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    let roles = format!("/clusters/team-a{RBAC}/clusterroles");
    let selector = |label: &str| json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    let sum = json!({"metadata": {"name": "sum", "labels": {"outer": "true"}}, "aggregationRule": selector("inner")});
    let outer = json!({"metadata": {"name": "outer"}, "aggregationRule": selector("outer")});
    server.check(ADMIN, "POST", &roles, outer, 201).await;
    server.check(ADMIN, "POST", &roles, sum, 201).await;
    let part = |verb: &str| {
        let labels = json!({"inner": "true", "rbac.authorization.k8s.io/aggregate-to-view": "true"});
        json!({"metadata": {"name": "part", "labels": labels}, "rules": [rule("x.example.com", &["things"], &[verb])]})
    };
    let rules = async |name: &str| {
        server.check(ADMIN, "GET", &format!("{roles}/{name}"), Value::Null, 200).await["rules"].clone()
    };
    server.check(ADMIN, "POST", &roles, part("get"), 201).await;
    for name in ["sum", "outer"] {
        assert_eq!(rules(name).await, json!([rule("x.example.com", &["things"], &["get"])]), "{name}");
    }
    server.check(ADMIN, "PUT", &format!("{roles}/part"), part("list"), 200).await;
    for name in ["sum", "outer"] {
        assert_eq!(rules(name).await, json!([rule("x.example.com", &["things"], &["list"])]), "{name}");
    }

    // Shared roles gather each cluster's own roles for that cluster alone.
    for cluster in ["team-a", "team-b"] {
        let prefix = format!("/clusters/{cluster}");
        let binding = json!({
            "metadata": {"name": "viewers"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
        });
        server.check(ADMIN, "POST", &format!("{prefix}{RBAC}/clusterrolebindings"), binding, 201).await;
        assert_eq!(server.may(&prefix, "bob", "list", "x.example.com", "things").await, cluster == "team-a");
        assert!(server.may(&prefix, "bob", "get", "", "configmaps").await);
    }
    server.check(BOB, "GET", "/clusters/team-a/api/v1/namespaces/default/configmaps", Value::Null, 200).await;
    server.check(BOB, "GET", "/clusters/team-a/api/v1/namespaces/default/secrets", Value::Null, 403).await;

    server.check(ADMIN, "DELETE", &format!("{roles}/part"), Value::Null, 200).await;
    for name in ["sum", "outer"] {
        assert_eq!(rules(name).await, Value::Null, "{name}");
    }
    assert!(!server.may("/clusters/team-a", "bob", "list", "x.example.com", "things").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_reviews_speak_of_their_own_cluster() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    server.grant("/clusters/team-a", "readers", "alice", json!([rule("", &["secrets"], &["get"])])).await;
    for (prefix, expected) in [("/clusters/team-a", true), ("/clusters/team-b", false), ("", false)] {
        assert_eq!(server.may(prefix, "alice", "get", "", "secrets").await, expected, "{prefix}");
    }
    // Whether somebody might is answered for namespaces that are not there, too.
    let path = "/clusters/team-a/apis/authorization.k8s.io/v1/namespaces/later/localsubjectaccessreviews";
    let attributes = json!({"verb": "get", "resource": "secrets", "namespace": "later"});
    let review = json!({"spec": {"user": "alice", "resourceAttributes": attributes}});
    let answer = server.check(ADMIN, "POST", path, review, 201).await;
    assert_eq!(answer["status"]["allowed"], true);
    // The rules of the one who asks are each told once, shared or not.
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = server.check(BOB, "POST", path, json!({"spec": {"namespace": "default"}}), 201).await;
    let rules = answer["status"]["resourceRules"].as_array().expect("rules").clone();
    assert!(rules.iter().enumerate().all(|(at, rule)| !rules[..at].contains(rule)), "{rules:?}");
}
