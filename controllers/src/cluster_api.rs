//! Requests to an API server, in the shape controllers need: JSON objects in and out, failures told apart by what to do.
//!
//! Speaks to logical clusters of the server and to physical clusters alike; keeps nothing between requests.

use std::time::Duration;

use atoll_api::Object;
use futures::{Stream, StreamExt};
use http::{Method, Request, header};
use kube::Client;
use kube::core::{Status, WatchEvent};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Config, User};

/// The annotation by which objects of wildcard lists and watches tell which logical cluster they belong to.
pub(crate) const CLUSTER_ANNOTATION: &str = "kcp.io/cluster";

/// How long an answer other than a watch may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many objects are asked for at a time.
const PAGE: usize = 500;

/// The whole server as a controller sees it: every logical cluster by name, and all of them at once.
#[derive(Clone)]
pub(crate) struct Server {
    /// Works as the controller.
    own: Client,
    /// Works as the one who follows everything for all controllers (for the server itself, as the server).
    manager: Client,
}

/// One API surface: a logical cluster, all logical clusters (for reads), or a physical cluster.
#[derive(Clone)]
pub(crate) struct Endpoint {
    client: Client,
    prefix: String,
}

/// A resource as URLs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Resource<'a> {
    /// The root of its API: `/api/v1`, `/apis/apps/v1`.
    pub(crate) api: &'a str,
    /// Its plural name.
    pub(crate) plural: &'a str,
}

/// How much of each object an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All of it.
    Full,
    /// Its metadata.
    Metadata,
}

/// Whether an apply takes fields away from other managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// A field that another manager set differently is a conflict.
    No,
    /// It is taken over.
    Yes,
}

/// What a list or watch is limited to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// A label selector, empty for all.
    pub(crate) labels: String,
    /// A field selector, empty for all.
    pub(crate) fields: String,
}

/// A page of a list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    metadata: PageMeta,
    /// The objects.
    #[serde(default = "Vec::new", deserialize_with = "null_is_empty")]
    pub(crate) items: Vec<Object>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
}

/// Why a request failed: one variant for each thing a controller does differently.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server knows the resource, and says that this object is not there.
    #[error("there is no such object")]
    Absent,
    /// The resource (or path) is not served; nothing is known of the object.
    #[error("the resource is not served")]
    NotServed,
    /// The logical cluster is not there, or is going.
    #[error("there is no such logical cluster")]
    NoCluster,
    /// Somebody else has changed the object, or a precondition does not hold.
    #[error("conflict: {0}")]
    Conflict(String),
    /// There is an object of that name already.
    #[error("there is such an object already")]
    AlreadyExists,
    /// The version to go on from is too old.
    #[error("expired: {0}")]
    Expired(String),
    /// The server understood and refuses; asking again the same way will not help.
    #[error("refused ({}): {}", .0.code, .0.message)]
    Refused(Box<Status>),
    /// There was no answer, or one that says nothing of the object.
    #[error("no usable answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The result of a request.
pub(crate) type Answer<T> = Result<T, Failure>;

// === impl Server ===

impl Server {
    /// The server for a controller that works as this user.
    pub(crate) fn new(config: &Config, user: User) -> Self {
        let manager = if user == User::Server { user } else { User::Manager };
        Self { own: (config.clients)(user), manager: (config.clients)(manager) }
    }

    /// One logical cluster.
    pub(crate) fn cluster(&self, name: &str) -> Endpoint {
        Endpoint { client: self.own.clone(), prefix: prefix(name) }
    }

    /// One logical cluster, for reads of what the controller itself has no right to read.
    pub(crate) fn cluster_as_manager(&self, name: &str) -> Endpoint {
        Endpoint { client: self.manager.clone(), prefix: prefix(name) }
    }

    /// All logical clusters, for lists and watches.
    pub(crate) fn all_clusters(&self) -> Endpoint {
        Endpoint { client: self.manager.clone(), prefix: "/clusters/*".to_owned() }
    }
}

// === impl Resource ===

impl Resource<'_> {
    /// The path of the collection; in all namespaces if the namespace is empty.
    pub(crate) fn collection(&self, namespace: &str) -> String {
        match namespace {
            "" => format!("{}/{}", self.api, self.plural),
            namespace => format!("{}/namespaces/{}/{}", self.api, segment(namespace), self.plural),
        }
    }

    /// The path of an object.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), segment(name))
    }
}

// === impl Page ===

impl Page {
    /// The version of the list.
    pub(crate) fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// Where to go on; empty at the end.
    pub(crate) fn next(&self) -> &str {
        &self.metadata.next
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// A server of its own, such as a physical cluster's.
    pub(crate) fn of_client(client: Client) -> Self {
        Self { client, prefix: String::new() }
    }

    /// Reads an object.
    pub(crate) async fn get(&self, path: &str, shape: Shape) -> Answer<Object> {
        self.call(Method::GET, path, shape.accept_one(), None).await
    }

    /// Reads a document that is no object, such as discovery's.
    pub(crate) async fn document(&self, path: &str, accept: &str) -> Answer<Value> {
        self.call(Method::GET, path, accept, None).await
    }

    /// Reads a page of a collection: the first one, or the one that `next` names.
    pub(crate) async fn page(&self, path: &str, shape: Shape, selection: &Selection, next: &str) -> Answer<Page> {
        let mut query = selection.query();
        query.push_str(&format!("&limit={PAGE}"));
        if !next.is_empty() {
            query.push_str(&format!("&continue={}", query_value(next)));
        }
        self.call(Method::GET, &format!("{path}?{}", query.trim_start_matches('&')), shape.accept_list(), None).await
    }

    /// Reads a whole collection.
    pub(crate) async fn list(&self, path: &str, shape: Shape, selection: &Selection) -> Answer<Vec<Object>> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let mut page = self.page(path, shape, selection, &next).await?;
            all.append(&mut page.items);
            if page.next().is_empty() {
                return Ok(all);
            }
            next = page.next().to_owned();
        }
    }

    /// Watches a collection from a version on; ends by itself after `lasts`.
    pub(crate) async fn watch(
        &self,
        path: &str,
        shape: Shape,
        selection: &Selection,
        from: &str,
        lasts: Duration,
    ) -> Answer<impl Stream<Item = Answer<WatchEvent<Object>>> + Send + use<>> {
        let query = format!(
            "watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}{}",
            query_value(from),
            lasts.as_secs(),
            selection.query()
        );
        let request = self.request(Method::GET, &format!("{path}?{query}"), shape.accept_one(), None)?;
        let begun = tokio::time::timeout(PATIENCE, self.client.request_events(request)).await.map_err(unavailable)?;
        Ok(begun.map_err(Failure::from)?.map(|event| event.map_err(Failure::from)))
    }

    /// Creates an object in a collection, under this field manager.
    pub(crate) async fn create(&self, path: &str, object: &Value, manager: &str) -> Answer<Object> {
        let path = format!("{path}?fieldManager={}", query_value(manager));
        self.call(Method::POST, &path, JSON, Some((JSON, object))).await
    }

    /// Replaces an object (or a subresource of it) by a changed copy of what was read.
    pub(crate) async fn replace(&self, path: &str, object: &Value, manager: &str) -> Answer<Object> {
        let path = format!("{path}?fieldManager={}", query_value(manager));
        self.call(Method::PUT, &path, JSON, Some((JSON, object))).await
    }

    /// Merges a JSON patch (RFC 7386) into an object.
    pub(crate) async fn merge(&self, path: &str, patch: &Value, manager: &str) -> Answer<Object> {
        let path = format!("{path}?fieldManager={}", query_value(manager));
        self.call(Method::PATCH, &path, JSON, Some(("application/merge-patch+json", patch))).await
    }

    /// Applies an object under a field manager.
    pub(crate) async fn apply(&self, path: &str, object: &Value, manager: &str, force: Force) -> Answer<Object> {
        let force = matches!(force, Force::Yes);
        let path = format!("{path}?fieldManager={}&force={force}", query_value(manager));
        self.call(Method::PATCH, &path, JSON, Some(("application/apply-patch+yaml", object))).await
    }

    /// Deletes an object, or begins to.
    pub(crate) async fn delete(&self, path: &str, options: &Deletion<'_>) -> Answer<()> {
        self.call::<Value>(Method::DELETE, path, JSON, Some((JSON, &options.body()))).await.map(drop)
    }

    /// Deletes all objects of a collection, or begins to.
    pub(crate) async fn delete_collection(&self, path: &str, options: &Deletion<'_>) -> Answer<()> {
        self.delete(path, options).await
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Answer<T> {
        let request = self.request(method, path, accept, body)?;
        let answered = tokio::time::timeout(PATIENCE, self.client.request(request)).await.map_err(unavailable)?;
        answered.map_err(Failure::from)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Answer<Request<Vec<u8>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, "atoll-controllers");
        if let Some((media_type, _)) = body {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        request.body(body.map(|(_, value)| value.to_string().into_bytes()).unwrap_or_default()).map_err(unavailable)
    }
}

const JSON: &str = "application/json";

// === impl Shape ===

impl Shape {
    fn accept_one(self) -> &'static str {
        match self {
            Self::Full => JSON,
            Self::Metadata => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        }
    }

    fn accept_list(self) -> &'static str {
        match self {
            Self::Full => JSON,
            Self::Metadata => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        }
    }
}

// === impl Selection ===

impl Selection {
    /// Everything.
    pub(crate) fn all() -> Self {
        Self::default()
    }

    /// Objects with these labels.
    pub(crate) fn labels(selector: impl Into<String>) -> Self {
        Self { labels: selector.into(), fields: String::new() }
    }

    /// Objects with these field values.
    pub(crate) fn fields(selector: impl Into<String>) -> Self {
        Self { labels: String::new(), fields: selector.into() }
    }

    /// As further parameters of a query: empty, or beginning with `&`.
    fn query(&self) -> String {
        let mut query = String::new();
        for (parameter, selector) in [("labelSelector", &self.labels), ("fieldSelector", &self.fields)] {
            if !selector.is_empty() {
                query.push_str(&format!("&{parameter}={}", query_value(selector)));
            }
        }
        query
    }
}

/// How something is to be deleted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deletion<'a> {
    uid: &'a str,
    resource_version: &'a str,
    policy: &'a str,
}

// === impl Deletion ===

impl<'a> Deletion<'a> {
    /// With this propagation policy.
    pub(crate) fn with_policy(policy: &'a str) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Only the object with this uid.
    pub(crate) fn of_uid(self, uid: &'a str) -> Self {
        Self { uid, ..self }
    }

    /// Only the object as it was at this version.
    pub(crate) fn at_version(self, resource_version: &'a str) -> Self {
        Self { resource_version, ..self }
    }

    fn body(&self) -> Value {
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if !self.policy.is_empty() {
            body["propagationPolicy"] = self.policy.into();
        }
        if !self.uid.is_empty() {
            body["preconditions"]["uid"] = self.uid.into();
        }
        if !self.resource_version.is_empty() {
            body["preconditions"]["resourceVersion"] = self.resource_version.into();
        }
        body
    }
}

// === impl Failure ===

impl Failure {
    /// Reads a failed answer. A 404 means that the object is absent only if a Status of the server says so by its name.
    fn of_status(status: Box<Status>) -> Self {
        let details = status.details.as_ref();
        let names_object = details.is_some_and(|details| !details.name.is_empty());
        match status.code {
            404 if status.reason == "NotFound" && details.is_some_and(|d| d.kind == "logicalclusters") => {
                Self::NoCluster
            }
            404 if status.reason == "NotFound" && names_object => Self::Absent,
            404 | 405 => Self::NotServed,
            409 if status.reason == "AlreadyExists" => Self::AlreadyExists,
            409 => Self::Conflict(status.message),
            410 => Self::Expired(status.message),
            401 | 408 | 429 | 500.. => Self::Unavailable(Box::new(kube::Error::Api(status))),
            _ => Self::Refused(status),
        }
    }

    /// Reads the object of an `ERROR` event.
    pub(crate) fn of_event(status: Box<Status>) -> Self {
        match status.reason.as_str() {
            "Expired" | "Gone" => Self::Expired(status.message),
            _ => Self::of_status(status),
        }
    }

    /// Whether the object is known to be gone, with its whole cluster or alone.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Absent | Self::NoCluster)
    }

    /// The whole chain of causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            other => unavailable(other),
        }
    }
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Unavailable(error.into())
}

/// Turns "it is not there" into `None`.
pub(crate) fn optional<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Absent) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The logical cluster an object of a wildcard read belongs to; empty if it does not say.
pub(crate) fn cluster_of(object: &Object) -> &str {
    object.annotation(CLUSTER_ANNOTATION).unwrap_or_default()
}

fn prefix(cluster: &str) -> String {
    format!("/clusters/{}", segment(cluster))
}

/// A name as a segment of a path.
fn segment(text: &str) -> String {
    encoded(text, b"-._~:@!$&'()*+,;=")
}

/// A value in a query.
fn query_value(text: &str) -> String {
    encoded(text, b"-._~")
}

fn encoded(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Object>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: Value) -> Failure {
        let status: Status = serde_json::from_value(status).expect("a status");
        Failure::of_status(Box::new(status))
    }

    #[test]
    fn only_a_status_that_names_the_object_makes_it_absent() {
        let absent = json!({"code": 404, "reason": "NotFound", "details": {"name": "a", "kind": "configmaps"}});
        assert!(matches!(failure(absent), Failure::Absent));
        let page = json!({"code": 404, "reason": "Failed to parse error data", "message": "404 page not found"});
        assert!(matches!(failure(page), Failure::NotServed));
        let path = json!({"code": 404, "reason": "NotFound", "message": "the server could not find the requested resource", "details": {}});
        assert!(matches!(failure(path), Failure::NotServed));
        let cluster = json!({"code": 404, "reason": "NotFound", "details": {"name": "t", "kind": "logicalclusters"}});
        assert!(matches!(failure(cluster), Failure::NoCluster));
    }

    #[test]
    fn failures_of_the_server_say_nothing_of_the_object() {
        for code in [401, 429, 500, 503, 504] {
            assert!(matches!(failure(json!({"code": code})), Failure::Unavailable(_)), "{code}");
        }
        assert!(matches!(failure(json!({"code": 403, "reason": "Forbidden"})), Failure::Refused(_)));
    }

    #[test]
    fn paths_and_queries_are_escaped() {
        let roles = Resource { api: "/apis/rbac.authorization.k8s.io/v1", plural: "clusterroles" };
        assert_eq!(roles.object("", "a b/c?"), "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%20b%2Fc%3F");
        assert_eq!(roles.object("", "system:node"), "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node");
        let selection = Selection::fields("metadata.name=default");
        assert_eq!(selection.query(), "&fieldSelector=metadata.name%3Ddefault");
    }
}
