//! Tokens and impersonation: worth something in one logical cluster, and nothing in any other.

use super::*;

const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// The user a token is recognised as in a cluster, if it is.
async fn user_in(server: &TestServer, prefix: &str, token: &str) -> Option<String> {
    let (status, answer) = server.call(As(token, &[]), "POST", &format!("{prefix}{WHO_AM_I}"), json!({})).await;
    match status {
        201 => Some(answer["status"]["userInfo"]["username"].as_str().expect("a name").to_owned()),
        401 => None,
        other => panic!("{other}: {answer}"),
    }
}

/// A token of the service account `robot`, which is made for it.
async fn robot_token(server: &TestServer, prefix: &str) -> String {
    let accounts = format!("{prefix}/api/v1/namespaces/default/serviceaccounts");
    server.check(ADMIN, "POST", &accounts, json!({"metadata": {"name": "robot"}}), 201).await;
    let answer = server.check(ADMIN, "POST", &format!("{accounts}/robot/token"), json!({}), 201).await;
    answer["status"]["token"].as_str().expect("a token").to_owned()
}

async fn user_token(server: &TestServer, by: As<'_>, cluster: &str, status: u16) -> Value {
    let path = format!("/apis/tenancy.kcp.io/v1alpha1/workspaces/{cluster}/token");
    server.check(by, "POST", &path, json!({"spec": {"user": "carol", "groups": ["ops"]}}), status).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_worth_nothing_in_another_cluster_or_a_later_one_of_the_same_name() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    let robot = robot_token(&server, "/clusters/team-a").await;
    // The same names are there as well, but they are others.
    robot_token(&server, "/clusters/team-b").await;
    let carol = user_token(&server, ADMIN, "team-a", 201).await;
    let carol = carol["status"]["token"].as_str().expect("a token").to_owned();

    for (token, name) in [(&robot, "system:serviceaccount:default:robot"), (&carol, "carol")] {
        assert_eq!(user_in(&server, "/clusters/team-a", token).await.as_deref(), Some(name));
        for elsewhere in ["/clusters/team-b", "", "/clusters/*", "/clusters/nowhere"] {
            assert_eq!(user_in(&server, elsewhere, token).await, None, "{name} at {elsewhere}");
        }
    }

    server.delete_cluster("team-a").await;
    for token in [&robot, &carol] {
        assert_eq!(user_in(&server, "/clusters/team-a", token).await, None);
    }
    server.create_cluster(ADMIN, "team-a").await;
    robot_token(&server, "/clusters/team-a").await;
    for token in [&robot, &carol] {
        assert_eq!(user_in(&server, "/clusters/team-a", token).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_accounts_token_ends_with_it() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let robot = robot_token(&server, "/clusters/team-a").await;
    assert!(user_in(&server, "/clusters/team-a", &robot).await.is_some());
    let path = "/clusters/team-a/api/v1/namespaces/default/serviceaccounts/robot";
    server.check(ADMIN, "DELETE", path, Value::Null, 200).await;
    assert_eq!(user_in(&server, "/clusters/team-a", &robot).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_reviews_know_the_tokens_of_their_own_cluster_only() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    let robot = robot_token(&server, "/clusters/team-a").await;
    for (cluster, expected) in [("team-a", json!(true)), ("team-b", Value::Null)] {
        let path = format!("/clusters/{cluster}/apis/authentication.k8s.io/v1/tokenreviews");
        let answer = server.check(ADMIN, "POST", &path, json!({"spec": {"token": robot}}), 201).await;
        assert_eq!(answer["status"]["authenticated"], expected, "{cluster}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_users_are_for_those_with_the_right_and_for_workspaces_that_are_there() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    user_token(&server, ALICE, "team-a", 403).await;
    let mut only_a = rule("tenancy.kcp.io", &["workspaces/token"], &["create"]);
    only_a["resourceNames"] = json!(["team-a", "root"]);
    server.grant("", "tokens", "alice", json!([only_a])).await;
    let answer = user_token(&server, ALICE, "team-a", 201).await;
    assert_eq!(answer["kind"], "UserTokenRequest");
    assert_eq!(answer["spec"]["expirationSeconds"], 86_400);
    user_token(&server, ALICE, "team-b", 403).await;
    // The system cluster has no workspace, and no tokens are made for it.
    user_token(&server, ALICE, "root", 404).await;

    let path = "/apis/tenancy.kcp.io/v1alpha1/workspaces/team-a/token";
    for spec in [
        json!({}),
        json!({"user": "system:serviceaccount:default:robot"}),
        json!({"user": "carol", "expirationSeconds": 1}),
        json!({"user": "carol", "expirationSeconds": 40_000_000}),
        json!({"user": "carol", "groups": [""]}),
    ] {
        server.check(ADMIN, "POST", path, json!({"spec": spec}), 422).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_creates_a_workspace_owns_its_cluster_and_no_other() {
    let server = TestServer::with_clusters(&["team-b"]).await;
    server.grant("", "workspaces", "alice", json!([rule("tenancy.kcp.io", &["workspaces"], &["create"])])).await;
    server.create_cluster(ALICE, "team-a").await;
    server.check(ALICE, "GET", "/clusters/team-a/api/v1/secrets", Value::Null, 200).await;
    for elsewhere in ["/clusters/team-b", "", "/clusters/*"] {
        server.check(ALICE, "GET", &format!("{elsewhere}/api/v1/secrets"), Value::Null, 403).await;
    }
    // Who is not known outside of the system cluster gets nothing in another: a tenant could make the same name.
    let robot = As("admin", &[("impersonate-user", "system:serviceaccount:default:robot")]);
    server.grant("", "robots", robot.1[0].1, json!([rule("tenancy.kcp.io", &["workspaces"], &["create"])])).await;
    server.create_cluster(robot, "team-c").await;
    server.check(robot, "GET", "/clusters/team-c/api/v1/secrets", Value::Null, 403).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_to_act_as_others_end_at_the_border_of_the_cluster() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    let rules = json!([rule("", &["users", "groups"], &["impersonate"])]);
    server.grant("/clusters/team-a", "actors", "alice", rules).await;
    let master = As("alice", &[("impersonate-user", "carol"), ("impersonate-group", "system:masters")]);

    server.check(master, "GET", "/clusters/team-a/api/v1/secrets", Value::Null, 200).await;
    for elsewhere in ["/clusters/team-b", "", "/clusters/*", "/clusters/nowhere"] {
        server.check(master, "GET", &format!("{elsewhere}/api/v1/secrets"), Value::Null, 403).await;
    }
    // Neither is a group enough, nor does a token that is no good let anybody act as somebody.
    server.check(As("alice", &[("impersonate-group", "x")]), "GET", "/clusters/team-a/version", Value::Null, 400).await;
    let forged = As("forged", master.1);
    server.check(forged, "GET", "/clusters/team-a/api/v1/secrets", Value::Null, 401).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuers_publish_their_keys_to_service_accounts() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let robot = robot_token(&server, "/clusters/team-a").await;
    let robot = As(&robot, &[("host", "atoll.example.com")]);
    let configuration = "/clusters/team-a/.well-known/openid-configuration";
    let answer = server.check(robot, "GET", configuration, Value::Null, 200).await;
    assert_eq!(answer["issuer"], "https://kubernetes.default.svc");
    assert_eq!(answer["jwks_uri"], "https://atoll.example.com/clusters/team-a/openid/v1/jwks");
    let keys = server.check(robot, "GET", "/clusters/team-a/openid/v1/jwks", Value::Null, 200).await;
    assert_eq!(keys["keys"][0]["use"], "sig");
    server.check(ALICE, "GET", configuration, Value::Null, 403).await;
}
