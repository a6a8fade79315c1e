//! THE order in which every request is handled; nothing else decides it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use atoll_api::status::Details;
use atoll_api::{ApiError, ApiResult, ClusterScope, GroupResource, GroupVersionResource, LogicalClusterName, Reason};
use axum::body::Body;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use hyper::upgrade::OnUpgrade;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::caller::Caller;
use super::{Api, aggregation, answer, backup, body, deadline, discovery, fresh, health, issuer, openapi, turn, verbs};
use crate::authz::Attributes;
use crate::authz::forbidden::forbidden;
use crate::metrics::{About, RequestKind};
use crate::registry::Target;
use crate::request::{self, ClusterPath, RequestContext, RequestInfo};
use crate::tenancy::{Stage, TENANCY_GROUP, WORKSPACES};

/// A request on its way: what it is about and who asks.
pub(super) struct Asked {
    /// Cluster, user, warnings.
    pub cx: RequestContext,
    /// By what the user was recognised.
    pub caller: Caller,
    /// What the path and method name.
    pub info: RequestInfo,
    /// The HTTP method.
    pub method: Method,
    /// The raw query.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The client's name for itself, whole.
    pub user_agent: String,
    /// The connection itself, for whoever answers that it is to become something else.
    pub upgrade: Mutex<Option<OnUpgrade>>,
}

/// Handles one request from the first byte to the last.
pub(super) async fn handle(api: Arc<Api>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let headers = request.headers().clone();
    let kind = match *request.method() {
        Method::GET | Method::HEAD => RequestKind::ReadOnly,
        _ => RequestKind::Mutating,
    };
    let _in_flight = api.metrics.in_flight(kind);
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
    api.metrics.observe(&seen.verb, seen.about(), response.status().as_u16(), started.elapsed());
    tracing::info!(
        cluster = %seen.cluster, user = %seen.user, impersonator = %seen.impersonator, constraint = %seen.constraint,
        verb = %seen.verb, resource = %seen.resource,
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
    /// Who acted as the user, if somebody did, and the right of which kind allowed it.
    impersonator: String,
    constraint: String,
    verb: String,
    resource: String,
    namespace: String,
    name: String,
    /// What it is about, if the program itself serves it.
    builtin: Option<Target>,
    subresource: String,
}

impl Seen {
    /// What is counted. Names that only a tenant knows are not.
    fn about(&self) -> About<'_> {
        let Some(target) = &self.builtin else { return About::default() };
        let version = &target.version().version;
        let subresource = target.version().subresource(&self.subresource).map_or("", |_| &*self.subresource);
        let scope = match (&*self.name, &*self.namespace) {
            _ if self.verb == "create" => "resource",
            ("", "") => "cluster",
            ("", _) => "namespace",
            _ => "resource",
        };
        let resource = &*target.descriptor().resource.resource;
        About { group: &version.group, version: &version.version, resource, subresource, scope }
    }

    fn of(api: &Api, scope: &ClusterScope, info: &RequestInfo) -> Self {
        let builtin = info.is_resource.then(|| {
            let gvr = GroupVersionResource::new(&*info.group, &*info.version, &*info.resource);
            api.surfaces.builtin(scope, &gvr)
        });
        Self {
            cluster: match scope {
                ClusterScope::One(name) => name.to_string(),
                ClusterScope::All => "*".to_owned(),
            },
            verb: info.verb.clone(),
            resource: match info.subresource.as_str() {
                "" => info.resource.clone(),
                sub => format!("{}/{sub}", info.resource),
            },
            namespace: info.namespace.clone(),
            name: info.name.clone(),
            builtin: builtin.flatten(),
            subresource: info.subresource.clone(),
            ..Self::default()
        }
    }
}

/// Path, deadline, freshness, cluster, identity, turn, rights, verb: in this order, each refusing what the next must not see.
async fn serve(api: &Arc<Api>, request: Request<Body>) -> (Response<Body>, Seen) {
    let (mut parts, body) = request.into_parts();
    let upgrade = Mutex::new(parts.extensions.remove::<OnUpgrade>());
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let refused = |error, seen| (answer::error(error, &parts.headers), seen);

    let ClusterPath { scope, rest } = match request::split_cluster(path) {
        Ok(split) => split,
        Err(error) => return refused(error, Seen::default()),
    };
    let info = match request::parse(parts.method.as_str(), rest, query) {
        Ok(info) => info,
        Err(error) => return refused(error, Seen::default()),
    };
    let mut seen = Seen::of(api, &scope, &info);
    let limit = match deadline::of(&info, query) {
        Ok(limit) => limit,
        Err(error) => return refused(error, seen),
    };
    // Before anything is read: who asks and what they may is stored too.
    if let Err(error) = fresh::catch_up(api, &info, query).await {
        return refused(error, seen);
    }
    let cluster = match &scope {
        ClusterScope::One(name) => name.clone(),
        ClusterScope::All => LogicalClusterName::root(),
    };
    let now = Timestamp::now();
    let caller = Caller::of(&parts);
    let recognised = match caller.recognise(api, &cluster, &info, now) {
        Ok(recognised) => recognised,
        Err(error) => return refused(error, seen),
    };
    seen.user.clone_from(&recognised.user.name);
    seen.impersonator = recognised.impersonator.unwrap_or_default();
    seen.constraint = recognised.constraint.unwrap_or_default();
    let mut cx = RequestContext::new(cluster, recognised.user, now);
    cx.cluster_uid = api.clusters.find(&cx.cluster).map(|found| found.uid.clone());
    cx.scope = scope;
    cx.user_agent = body::user_agent(&parts.headers);
    caller.warning().into_iter().for_each(|warning| cx.warn(warning));
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let headers = with_host(parts.headers, &parts.uri);
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let asked = Asked { cx, caller, info, method: parts.method, query, headers, user_agent, upgrade };
    // Before rights are looked at, which takes work too.
    // In a box, since it is large, and requests may be made within requests.
    let work = Box::pin(admit(api, &asked, body));
    let answer = turn::take(api, &asked, recognised.standing, work);
    let answered = deadline::within(limit, async { Ok(answer.await) }).await;
    let mut response = answered.unwrap_or_else(|error| answer::error(error, &asked.headers));
    answer::add_warnings(&mut response, asked.cx.take_warnings());
    (response, seen)
}

/// What only those with rights in a cluster that is there come to.
async fn admit(api: &Arc<Api>, asked: &Asked, body: Body) -> ApiResult<Response<Body>> {
    authorize(api, &asked.cx, &asked.info).await?;
    check_cluster(api, &asked.cx, &asked.info)?;
    dispatch(api, asked, body).await
}

/// HTTP/2 names the host beside the headers.
fn with_host(mut headers: HeaderMap, uri: &Uri) -> HeaderMap {
    if let (None, Some(authority)) = (headers.get(header::HOST), uri.authority())
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(header::HOST, host);
    }
    headers
}

/// Whether the user may; asked before anything of what the request names is read.
async fn authorize(api: &Api, cx: &RequestContext, info: &RequestInfo) -> ApiResult<()> {
    let attributes = Attributes::of(info, &cx.cluster, &cx.user);
    if let Some(asking) = api.authorizer.ask(&attributes) {
        asking.await;
    }
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
    if let Some(found) = api.clusters.find(&cx.cluster) {
        return if found.stage == Stage::Restoring { Err(not_now(cx)) } else { Ok(()) };
    }
    if may_see_all(api, cx) {
        if api.clusters.is_being_made(&cx.cluster) {
            return Err(not_now(cx));
        }
        return Err(ApiError::not_found(&GroupResource::new("core.kcp.io", "logicalclusters"), cx.cluster.as_str()));
    }
    Err(ApiError::forbidden(
        &GroupResource::new("", ""),
        "",
        &format!("User {:?} has no rights in this logical cluster", cx.user.name),
    ))
}

/// A cluster that is being copied or put back is not served by halves.
fn not_now(cx: &RequestContext) -> ApiError {
    let why = format!("the logical cluster {:?} is being made ready; try again", cx.cluster.as_str());
    let details = Details { retry_after_seconds: 1, ..Details::default() };
    ApiError::with_details(Reason::ServiceUnavailable, why, Some(details))
}

/// Whether somebody may know which clusters there are, and which not.
fn may_see_all(api: &Api, cx: &RequestContext) -> bool {
    let root = LogicalClusterName::root();
    let workspaces = Attributes::resource(&root, &cx.user, "list", TENANCY_GROUP, WORKSPACES);
    api.authorizer.authorize(&workspaces).is_allowed()
}

async fn dispatch(api: &Arc<Api>, asked: &Asked, body: Body) -> ApiResult<Response<Body>> {
    if let Some(backend) = aggregation::of(api, asked) {
        return aggregation::forward(api, asked, &backend, body).await;
    }
    if asked.info.is_resource {
        // To authorization a HEAD is a GET; no resource answers it.
        if asked.method == Method::HEAD {
            return Err(verbs::method_not_allowed());
        }
        return verbs::handle(api, asked, body).await;
    }
    if let Some(response) = health::answer(api, asked)? {
        return Ok(response);
    }
    if let Some(response) = backup::answer(api, asked)? {
        return Ok(response);
    }
    if let Some(response) = issuer::answer(api, asked)? {
        return Ok(response);
    }
    if let Some(response) = openapi::answer(api, asked).await? {
        return Ok(response);
    }
    if let Some(response) = discovery::answer(api, asked).await? {
        return Ok(response);
    }
    Ok(answer::page_not_found())
}
