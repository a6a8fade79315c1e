//! A server in this process and its clients: no sockets, no fixed ports, one server for each test.

use std::path::Path;
use std::time::Duration;

use atoll::http::{ApiService, Identity};
use atoll::server::{Builder, Running, Server};
use atoll_api::UserInfo;
use atoll_api::user::{ALL_AUTHENTICATED, SYSTEM_MASTERS};
use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, Method, Request, StatusCode, header, request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Atoll {
    running: Running,
}

/// One client of one logical cluster.
#[derive(Clone)]
pub(crate) struct Client {
    service: ApiService,
    /// `/clusters/<name>`, or nothing for the system cluster.
    prefix: String,
    who: Who,
}

#[derive(Clone)]
enum Who {
    User(UserInfo),
    /// Whoever a token stands for.
    Bearer(String),
    Anonymous,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Method and path, for messages of failed tests.
    pub(crate) asked: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The kinds of patch, by their media types.
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY_PATCH: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";

// === impl Atoll ===

impl Atoll {
    /// A server with every kind that forgets everything when it stops.
    pub(crate) async fn start() -> Self {
        Self::build(Server::builder()).await
    }

    /// The same, set up further.
    pub(crate) async fn start_with(set_up: impl FnOnce(Builder) -> Builder) -> Self {
        Self::build(set_up(Server::builder())).await
    }

    /// A server with every kind that keeps its data in this directory.
    pub(crate) async fn at(dir: &Path) -> Self {
        let storage = dir.join("store").display().to_string();
        Self::build(Server::builder().data_dir(dir).storage(storage)).await
    }

    /// A server with every kind over a store that others may share.
    pub(crate) async fn on(url: &str) -> Self {
        Self::build(Server::builder().storage(url)).await
    }

    /// The CA by which its clients know it.
    pub(crate) fn certificate_authority(&self) -> &str {
        self.running.certificate_authority()
    }

    async fn build(builder: Builder) -> Self {
        let builder = builder.resources(vec!["all".to_owned()]);
        // The store of a server that was stopped is free as soon as its last client has been dropped.
        let server = eventually("the server to be built", || async { builder.clone().build().await.ok() }).await;
        Self { running: server.start().await.expect("the server can be started") }
    }

    /// The administrator in the system cluster.
    pub(crate) fn root(&self) -> Client {
        let admin = UserInfo::named("admin", [SYSTEM_MASTERS, ALL_AUTHENTICATED]);
        Client { service: self.running.service(), prefix: String::new(), who: Who::User(admin) }
    }

    /// The administrator in the logical cluster of that name, whether it exists or not.
    pub(crate) fn admin_of(&self, name: &str) -> Client {
        Client { prefix: format!("/clusters/{name}"), ..self.root() }
    }

    /// Creates a logical cluster with every kind; gives its administrator.
    pub(crate) async fn cluster(&self, name: &str) -> Client {
        self.root().post(WORKSPACES, workspace(name)).await.expect(201);
        let cluster = self.admin_of(name);
        cluster.settled().await;
        cluster
    }

    /// Stops the server as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// Where logical clusters are created.
pub(crate) const WORKSPACES: &str = "/apis/tenancy.kcp.io/v1alpha1/workspaces";

/// A workspace whose cluster serves every kind.
pub(crate) fn workspace(name: &str) -> Value {
    json!({
        "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
        "spec": {"resources": ["all"]},
    })
}

// === impl Client ===

impl Client {
    /// Waits until the controllers have given every namespace what namespaces get. Those that are only seen, in the version of what
    /// nobody has written, get it once something is written there.
    pub(crate) async fn settled(&self) {
        let namespaces = self.get("/api/v1/namespaces").await.expect(200);
        let stored = |namespace: &&Value| namespace["metadata"]["resourceVersion"] != "1";
        for namespace in namespaces["items"].as_array().into_iter().flatten().filter(stored) {
            let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
            for path in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
                let path = format!("/api/v1/namespaces/{name}/{path}");
                eventually(&path, || async { (self.get(&path).await.status == 200).then_some(()) }).await;
            }
        }
    }

    /// The same cluster as seen by another user, known to the server.
    pub(crate) fn user(&self, name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().chain([ALL_AUTHENTICATED]);
        Self { who: Who::User(UserInfo::named(name, groups)), ..self.clone() }
    }

    /// The same cluster as seen by whoever a token stands for.
    pub(crate) fn bearer(&self, token: &str) -> Self {
        Self { who: Who::Bearer(token.to_owned()), ..self.clone() }
    }

    /// The same cluster as seen by nobody in particular.
    pub(crate) fn anonymous(&self) -> Self {
        Self { who: Who::Anonymous, ..self.clone() }
    }

    /// The same user in another cluster.
    pub(crate) fn at(&self, other: &Self) -> Self {
        Self { prefix: other.prefix.clone(), ..self.clone() }
    }

    /// The same user with other words between host and path.
    pub(crate) fn below(&self, prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", Bytes::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, JSON, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, JSON, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, media_type: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, media_type, body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "", Bytes::new()).await
    }

    /// Sends anything.
    pub(crate) async fn send(&self, method: Method, path: &str, media_type: &str, body: impl Into<Bytes>) -> Answer {
        let asked = format!("{method} {}{path}", self.prefix);
        let request = self.request(method, path, media_type).body(Body::from(body.into()));
        let request = request.unwrap_or_else(|error| panic!("{asked}: no such request can be sent: {error}"));
        let response = self.call(request).await;
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await;
        let body = body.unwrap_or_else(|_| panic!("{asked}: the answer does not end")).expect("the answer is whole");
        Answer { asked, status: parts.status, headers: parts.headers, body: body.to_bytes() }
    }

    /// Begins a watch; the path has the query, if any, but for `watch`.
    pub(crate) async fn watch(&self, path: &str) -> Watch {
        self.watch_as(path, "*/*").await
    }

    /// Begins a watch with an `Accept` header.
    pub(crate) async fn watch_as(&self, path: &str, accept: &str) -> Watch {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}watch=true");
        let request = self.request(Method::GET, &path, "").header(header::ACCEPT, accept);
        let request = request.body(Body::empty()).expect("a watch can be sent");
        let response = self.call(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{}{path}", self.prefix);
        Watch { stream: response.into_body().into_data_stream(), read: BytesMut::new() }
    }

    /// A request of this client, to be sent with headers of its own.
    pub(crate) fn request(&self, method: Method, path: &str, media_type: &str) -> http::request::Builder {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.prefix));
        request = request.header(header::USER_AGENT, "it/1.0");
        if !media_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        match &self.who {
            Who::User(user) => request.extension(Identity(user.clone())),
            Who::Bearer(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            Who::Anonymous => request,
        }
    }

    /// Sends a request made by the caller, as this client but with its own headers.
    pub(crate) async fn call(&self, request: Request<Body>) -> http::Response<Body> {
        let answered = tokio::time::timeout(PATIENCE, self.service.clone().oneshot(request)).await;
        answered.expect("the server answers").expect("the service never fails")
    }

    /// Sends a GET with an `Accept` header.
    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.accepting(accept, self.request(Method::GET, path, ""), path, Body::empty()).await
    }

    /// Sends a GET with headers of the test's.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
        let request = headers
            .iter()
            .fold(self.request(Method::GET, path, ""), |request, (name, value)| request.header(name, *value));
        self.answered(request, path, Body::empty()).await
    }

    /// Sends a POST of JSON with an `Accept` header.
    pub(crate) async fn post_as(&self, path: &str, accept: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, path, "application/json");
        self.accepting(accept, request, path, Body::from(body.to_string())).await
    }

    async fn accepting(&self, accept: &str, request: request::Builder, path: &str, body: Body) -> Answer {
        self.answered(request.header(header::ACCEPT, accept), path, body).await
    }

    async fn answered(&self, request: request::Builder, path: &str, body: Body) -> Answer {
        let response = self.call(request.body(body).expect("a request can be sent")).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        Answer { asked: format!("{}{path}", self.prefix), status: parts.status, headers: parts.headers, body }
    }
}

// === impl Answer ===

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text());
        self.json()
    }

    /// Checks that the answer is a `Status` of that code and reason; gives it.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, reason: &str) -> Value {
        let body = self.json();
        let told = (self.status.as_u16(), body["kind"].as_str(), body["reason"].as_str(), body["code"].as_u64());
        let expected = (status, Some("Status"), Some(reason), Some(u64::from(status)));
        assert_eq!(told, expected, "{}: {}", self.asked, self.text());
        assert_eq!(self.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()), Some(JSON.as_bytes()));
        body
    }

    /// The body as text, cut to a bearable length.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(2000).collect()
    }
}

/// A watch that has begun.
pub(crate) struct Watch {
    stream: BodyDataStream,
    read: BytesMut,
}

// === impl Watch ===

impl Watch {
    /// The next event; nothing when the watch has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Some(serde_json::from_slice(&line).expect("an event is JSON"));
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("the watch has something to tell");
            self.read.extend_from_slice(&chunk?.expect("the watch can be read"));
        }
    }

    /// Type and name of the next event, bookmarks aside.
    pub(crate) async fn next_name(&mut self) -> Option<(String, String)> {
        loop {
            let event = self.next().await?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if event["type"] != "BOOKMARK" {
                return Some((text(&event["type"]), text(&event["object"]["metadata"]["name"])));
            }
        }
    }
}

/// Repeats `attempt` until it gives something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "in vain waited for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
