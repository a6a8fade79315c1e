//! Whole servers in memory, spoken to as a client would, but without a socket.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::{Running, Server};

mod auth;
mod certificates;
mod deletion;
mod gather;
mod owners;
mod policy;

/// The users of every test server: an administrator, and two who may do nothing until it is granted.
const USERS: &str = "admin,admin,1,system:masters\nalice,alice,2,devs\nbob,bob,3\n";

/// A running server.
struct TestServer {
    running: Running,
    _dir: TempDir,
}

/// Who sends a request, and with which further headers.
#[derive(Clone, Copy)]
struct As<'a>(&'a str, &'a [(&'a str, &'a str)]);

const ADMIN: As<'_> = As("admin", &[]);
const ALICE: As<'_> = As("alice", &[]);
const BOB: As<'_> = As("bob", &[]);
const NOBODY: As<'_> = As("", &[]);

impl TestServer {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let users = dir.path().join("users.csv");
        std::fs::write(&users, USERS).expect("written");
        let server = Server::builder().token_auth_file(users).build().await.expect("a server");
        Self { running: server.start().await.expect("started"), _dir: dir }
    }

    /// A server with these logical clusters.
    async fn with_clusters(names: &[&str]) -> Self {
        let server = Self::start().await;
        for name in names {
            server.create_cluster(ADMIN, name).await;
        }
        server
    }

    async fn create_cluster(&self, by: As<'_>, name: &str) {
        let workspace = json!({"metadata": {"name": name}});
        self.check(by, "POST", "/apis/tenancy.kcp.io/v1alpha1/workspaces", workspace, 201).await;
    }

    /// Deletes a cluster, and waits until its name is free.
    async fn delete_cluster(&self, name: &str) {
        let path = format!("/apis/tenancy.kcp.io/v1alpha1/workspaces/{name}");
        self.check(ADMIN, "DELETE", &path, Value::Null, 200).await;
        while self.call(ADMIN, "GET", &path, Value::Null).await.0 != 404 {
            tokio::task::yield_now().await;
        }
    }

    /// Sends a request; the status, and the answer's body as JSON or text.
    async fn call(&self, by: As<'_>, method: &str, path: &str, body: Value) -> (u16, Value) {
        let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut request = Request::builder().method(method).uri(path).header("content-type", content_type);
        if !by.0.is_empty() {
            request = request.header("authorization", format!("Bearer {}", by.0));
        }
        for (name, value) in by.1 {
            request = request.header(*name, *value);
        }
        let sent = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answered = self.running.service().oneshot(request.body(sent).expect("a request")).await;
        let (parts, body) = answered.expect("infallible").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        (parts.status.as_u16(), value)
    }

    /// Sends a request that must be answered with this status, and gives the answer.
    async fn check(&self, by: As<'_>, method: &str, path: &str, body: Value, status: u16) -> Value {
        let (got, answer) = self.call(by, method, path, body).await;
        assert_eq!(got, status, "{method} {path} by {:?}: {answer}", by.0);
        answer
    }

    /// Grants rules, everywhere in a cluster (its prefix, empty for the system cluster), to a user.
    async fn grant(&self, prefix: &str, name: &str, user: &str, rules: Value) {
        let rbac = format!("{prefix}/apis/rbac.authorization.k8s.io/v1");
        let role = json!({"metadata": {"name": name}, "rules": rules});
        self.check(ADMIN, "POST", &format!("{rbac}/clusterroles"), role, 201).await;
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        self.check(ADMIN, "POST", &format!("{rbac}/clusterrolebindings"), binding, 201).await;
    }

    /// Whether a user may do something in a cluster, by an access review.
    async fn may(&self, prefix: &str, user: &str, verb: &str, group: &str, resource: &str) -> bool {
        let attributes = json!({"verb": verb, "group": group, "resource": resource, "namespace": "default"});
        let review = json!({"spec": {"user": user, "resourceAttributes": attributes}});
        let path = format!("{prefix}/apis/authorization.k8s.io/v1/subjectaccessreviews");
        self.check(ADMIN, "POST", &path, review, 201).await["status"]["allowed"] == true
    }
}

/// One rule.
fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}
