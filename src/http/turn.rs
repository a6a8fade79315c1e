//! A request's turn: it waits until it may be served, and its answer tells where it belonged.
//!
//! Whose turn it is decides `flow`; here a request is told to it, with what it costs.

use std::pin::Pin;
use std::task::{Context, Poll};

use atoll_api::{ApiResult, ClusterScope, GroupResource, LogicalClusterName};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::chain::Asked;
use super::{Api, answer};
use crate::flow::{Admitted, Asking, Belongs, Lasts, Refused, Standing};
use crate::request::RequestInfo;

/// What a seat is good for, in bytes read or written, as in kube-apiserver.
const BYTES_A_SEAT: u64 = 100_000;
/// Answers up to so many bytes are handed to the connection at once; of longer ones the seats are kept until they are
/// sent, since they take memory as long as somebody does not read them.
const SENT_AT_ONCE: u64 = 64 * 1024;
/// Subresources that are connections.
const CONNECTIONS: &[&str] = &["attach", "exec", "log", "portforward", "proxy"];
const SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// Answers a request when it is its turn.
pub(super) async fn take(
    api: &Api,
    asked: &Asked,
    standing: Standing,
    work: impl Future<Output = ApiResult<Response<Body>>>,
) -> Response<Body> {
    let lasts = lasts(asked);
    let asking = Asking {
        // Clusters that are not there are as one, or else everybody could have as many as there are names.
        cluster: asked.cx.cluster_uid.as_ref().map(|_| &asked.cx.cluster),
        user: &asked.cx.user,
        info: &asked.info,
        standing,
        lasts,
        work: work_of(api, asked),
    };
    let mut admitted = match api.flow.enter(asking).await {
        Ok(admitted) => admitted,
        Err(refused) => return too_many(api, &refused),
    };
    let mut response = work.await.unwrap_or_else(|error| answer::error(error, &asked.headers));
    mark(&mut response, admitted.belongs.as_ref());
    if lasts != Lasts::Shortly || response.body().size_hint().upper().is_some_and(|most| most <= SENT_AT_ONCE) {
        admitted.has_begun();
    }
    if admitted.holds_something() && !response.body().is_end_stream() {
        return response.map(|body| Body::new(Accounted { body, _admitted: admitted }));
    }
    response
}

fn lasts(asked: &Asked) -> Lasts {
    let info = &asked.info;
    if CONNECTIONS.contains(&info.subresource.as_str()) {
        Lasts::Connection
    } else if info.is_resource && info.verb == "watch" {
        Lasts::Watch
    } else {
        Lasts::Shortly
    }
}

fn work_of(api: &Api, asked: &Asked) -> u32 {
    cost(&asked.info, &asked.query, content_length(asked), || listed(api, asked))
}

/// What a request costs, in seats: lists by what they hold, writes by what they bring.
fn cost(info: &RequestInfo, query: &str, brought: u64, listed: impl FnOnce() -> u64) -> u32 {
    let bytes = match info.verb.as_str() {
        _ if !info.is_resource => 0,
        "create" | "update" | "patch" => brought,
        // One object at most, whatever the verb.
        _ if !info.name.is_empty() => 0,
        "list" => listed(),
        // Without a version it begins with a list.
        "watch" if !query.contains("resourceVersion=") || query.contains("resourceVersion=0") => listed(),
        _ => 0,
    };
    u32::try_from(bytes.div_ceil(BYTES_A_SEAT)).unwrap_or(u32::MAX)
}

fn content_length(asked: &Asked) -> u64 {
    let length = asked.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or_default()
}

fn listed(api: &Api, asked: &Asked) -> u64 {
    let resource = GroupResource::new(asked.info.group.as_str(), asked.info.resource.as_str());
    let store = api.registry.store();
    let held = match &asked.cx.scope {
        ClusterScope::One(cluster) => store.cluster_usage_of(cluster, &resource),
        ClusterScope::All => store.cluster_usage(&LogicalClusterName::root()),
    };
    let limit = asked.query.split('&').find_map(|pair| pair.strip_prefix("limit="));
    match limit.and_then(|limit| limit.parse::<u64>().ok()).filter(|limit| *limit > 0) {
        Some(limit) if limit < held.objects => held.bytes / held.objects * limit,
        _ => held.bytes,
    }
}

/// What clients of Kubernetes take for a reason to come again later.
fn too_many(api: &Api, refused: &Refused) -> Response<Body> {
    api.metrics.refused(refused.refusal.reason);
    let text = Bytes::from_static(b"Too many requests, please try again later.\n");
    let mut response = answer::bytes(StatusCode::TOO_MANY_REQUESTS, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(refused.refusal.retry_after));
    mark(&mut response, refused.belongs.as_ref());
    response
}

fn mark(response: &mut Response<Body>, belongs: Option<&Belongs>) {
    let Some(belongs) = belongs else { return };
    for (name, uid) in [(SCHEMA_UID, &belongs.schema_uid), (LEVEL_UID, &belongs.level_uid)] {
        if let Ok(uid) = HeaderValue::from_str(uid) {
            response.headers_mut().insert(name, uid);
        }
    }
}

/// A body that counts until it is sent, or nobody wants it any more.
struct Accounted {
    body: Body,
    _admitted: Admitted,
}

impl HttpBody for Accounted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    #[test]
    fn lists_cost_what_they_hold_and_writes_what_they_bring() {
        let seats = |method: &str, path: &str, query: &str| {
            cost(&request::parse(method, path, query).unwrap(), query, 250_000, || 950_000)
        };
        let (all, one) = ("/api/v1/namespaces/a/pods", "/api/v1/namespaces/a/pods/b");
        let cases = [
            ("GET", all, "", 10),
            ("GET", all, "fieldSelector=metadata.name%3Db", 0),
            ("GET", all, "watch=1", 10),
            ("GET", all, "watch=1&resourceVersion=0", 10),
            ("GET", all, "watch=1&resourceVersion=7", 0),
            ("GET", one, "", 0),
            ("POST", all, "", 3),
            ("PUT", one, "", 3),
            ("PATCH", one, "", 3),
            ("DELETE", one, "", 0),
            ("GET", "/version", "", 0),
        ];
        for (method, path, query, wanted) in cases {
            assert_eq!(seats(method, path, query), wanted, "{method} {path}?{query}");
        }
    }
}
