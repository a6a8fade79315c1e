//! THE order in which every request is handled; nothing else decides it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use atoll_api::user::SYSTEM_MASTERS;
use atoll_api::{ApiError, ApiResult, ClusterScope, GroupResource, LogicalClusterName, UserInfo};
use axum::body::Body;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use jiff::Timestamp;

use super::answer::{self, Identity};
use super::{Api, Peer, body, discovery, health, verbs};
use crate::authn::{Bearer, Credentials};
use crate::authz::Attributes;
use crate::authz::forbidden::forbidden;
use crate::request::{self, ClusterPath, RequestContext, RequestInfo};

/// A request on its way: what it is about and who asks.
pub(super) struct Asked {
    /// Cluster, user, warnings.
    pub cx: RequestContext,
    /// What the path and method name.
    pub info: RequestInfo,
    /// The raw query.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The client's name for itself, whole.
    pub user_agent: String,
}

/// Handles one request from the first byte to the last.
pub(super) async fn handle(api: Arc<Api>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let headers = request.headers().clone();
    let _in_flight = api.metrics.in_flight();
    let handled = AssertUnwindSafe(serve(&api, request)).catch_unwind().await;
    let (mut response, seen) = handled.unwrap_or_else(|_| {
        tracing::error!("a request's handler panicked");
        (answer::error(ApiError::internal("the request could not be handled"), &headers), Seen::default())
    });
    let audit_id = uuid::Uuid::new_v4().to_string();
    let headers = response.headers_mut();
    headers.insert("audit-id", HeaderValue::from_str(&audit_id).expect("a uuid is a header value"));
    // What may be cached says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    api.metrics.observe(&seen.verb, response.status().as_u16(), started.elapsed());
    tracing::info!(
        cluster = %seen.cluster, user = %seen.user, verb = %seen.verb, resource = %seen.resource,
        namespace = %seen.namespace, name = %seen.name, status = response.status().as_u16(),
        took_us = started.elapsed().as_micros() as u64, "request"
    );
    response
}

/// What is told of a request in the log and counted in metrics.
#[derive(Default)]
struct Seen {
    cluster: String,
    user: String,
    verb: String,
    resource: String,
    namespace: String,
    name: String,
}

/// Path, cluster, identity, rights, verb: in this order, each refusing what the next must not see.
async fn serve(api: &Arc<Api>, request: Request<Body>) -> (Response<Body>, Seen) {
    let (parts, body) = request.into_parts();
    let mut seen = Seen::default();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let refused = |error, seen| (answer::error(error, &parts.headers), seen);

    let ClusterPath { scope, rest } = match request::split_cluster(path) {
        Ok(split) => split,
        Err(error) => return refused(error, seen),
    };
    let info = match request::parse(parts.method.as_str(), rest, query) {
        Ok(info) => info,
        Err(error) => return refused(error, seen),
    };
    let cluster = match &scope {
        ClusterScope::One(name) => name.clone(),
        ClusterScope::All => LogicalClusterName::root(),
    };
    seen.cluster = match &scope {
        ClusterScope::One(name) => name.to_string(),
        ClusterScope::All => "*".to_owned(),
    };
    seen.verb.clone_from(&info.verb);
    seen.resource = match info.subresource.as_str() {
        "" => info.resource.clone(),
        sub => format!("{}/{sub}", info.resource),
    };
    seen.namespace.clone_from(&info.namespace);
    seen.name.clone_from(&info.name);

    let identity = parts.extensions.get::<Identity>().cloned();
    let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
    let now = Timestamp::now();
    let user = match identify(api, &cluster, identity, &peer, &parts.headers, now) {
        Ok(user) => user,
        Err(error) => return refused(error, seen),
    };
    let mut cx = RequestContext::new(cluster, user, now);
    cx.cluster_uid = api.clusters.find(&cx.cluster).map(|found| found.uid.clone());
    cx.scope = scope;
    cx.user_agent = body::user_agent(&parts.headers);
    seen.user.clone_from(&cx.user.name);
    if let Err(error) = authorize(api, &cx, &info) {
        return refused(error, seen);
    }
    if let Err(error) = check_cluster(api, &cx, &info) {
        return refused(error, seen);
    }
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let asked = Asked { cx, info, query: query.to_owned(), headers: parts.headers, user_agent };
    let answered = dispatch(api, &asked, body).await;
    let mut response = answered.unwrap_or_else(|error| answer::error(error, &asked.headers));
    answer::add_warnings(&mut response, asked.cx.take_warnings());
    (response, seen)
}

/// Who asks: an identity given by a client in this process, or what certificate and token say.
fn identify(
    api: &Api,
    cluster: &LogicalClusterName,
    identity: Option<Identity>,
    peer: &Peer,
    headers: &HeaderMap,
    now: Timestamp,
) -> ApiResult<UserInfo> {
    if let Some(Identity(user)) = identity {
        return Ok(user);
    }
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bearer = Bearer::parse(header);
    let credentials = Credentials { bearer: bearer.token(), certificate: peer.certificate.as_deref() };
    let identity = api.authenticator.authenticate(cluster, credentials, now).map_err(|refused| {
        tracing::debug!(reasons = ?refused.reasons, "nobody by these credentials");
        ApiError::unauthorized()
    })?;
    let uid = api.clusters.find(cluster).map(|found| found.uid.clone());
    // A tenant's token is worth nothing elsewhere, nor in a later cluster of the same name.
    if identity.holds_in(cluster, uid.as_ref()) { Ok(identity.user) } else { Err(ApiError::unauthorized()) }
}

/// Whether the user may; asked before anything of what the request names is read.
fn authorize(api: &Api, cx: &RequestContext, info: &RequestInfo) -> ApiResult<()> {
    if health::is_open(&info.path) && !info.is_resource {
        return Ok(());
    }
    let attributes = Attributes::of(info, &cx.cluster, &cx.user);
    let decision = api.authorizer.authorize(&attributes);
    if decision.is_allowed() { Ok(()) } else { Err(forbidden(&attributes, &decision)) }
}

/// Whether the cluster is there. Only those who may see all clusters learn that one is not: to others it is as one
/// in which they have no rights.
fn check_cluster(api: &Api, cx: &RequestContext, info: &RequestInfo) -> ApiResult<()> {
    if cx.scope == ClusterScope::All {
        return match info.verb.as_str() {
            "list" | "watch" | "get" => Ok(()),
            _ => Err(ApiError::bad_request(
                "only list and watch are served across all logical clusters; name one in /clusters/<name>",
            )),
        };
    }
    if api.clusters.find(&cx.cluster).is_some() {
        return Ok(());
    }
    if cx.user.is_in(SYSTEM_MASTERS) {
        return Err(ApiError::not_found(&GroupResource::new("core.kcp.io", "logicalclusters"), cx.cluster.as_str()));
    }
    Err(ApiError::forbidden(
        &GroupResource::new("", ""),
        "",
        &format!("User {:?} has no rights in this logical cluster", cx.user.name),
    ))
}

async fn dispatch(api: &Arc<Api>, asked: &Asked, body: Body) -> ApiResult<Response<Body>> {
    if asked.info.is_resource {
        return verbs::handle(api, asked, body).await;
    }
    if let Some(response) = health::answer(api, asked)? {
        return Ok(response);
    }
    if let Some(response) = discovery::answer(api, asked)? {
        return Ok(response);
    }
    Ok(answer::page_not_found())
}
