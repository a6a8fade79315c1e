//! THE order in which every request is handled; nothing else decides it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use crate::metrics::{About, Metrics, RequestKind};
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
    /// The resource it is about, if it is about one that is served.
    pub target: Option<Target>,
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
    // By which an answer is written even if whoever handles the request panics.
    let accept =
        request.headers().get(header::ACCEPT).map(|value| HeaderMap::from_iter([(header::ACCEPT, value.clone())]));
    let kind = match *request.method() {
        Method::GET | Method::HEAD => RequestKind::ReadOnly,
        _ => RequestKind::Mutating,
    };
    let _in_flight = api.metrics.in_flight(kind);
    let handled = AssertUnwindSafe(serve(&api, request)).catch_unwind().await;
    let (mut response, seen) = handled.unwrap_or_else(|_| {
        tracing::error!("a request's handler panicked");
        (
            answer::error(ApiError::internal("the request could not be handled"), &accept.unwrap_or_default()),
            Seen::default(),
        )
    });
    let audit_id = uuid::Uuid::new_v4().to_string();
    let headers = response.headers_mut();
    headers.insert("audit-id", HeaderValue::from_str(&audit_id).expect("a uuid is a header value"));
    // What may be cached says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    seen.told(&api.metrics, response.status().as_u16(), started.elapsed());
    response
}

/// What is told of a request in the log and counted in metrics.
#[derive(Default)]
struct Seen {
    scope: Option<ClusterScope>,
    user: String,
    /// Who acted as the user, if somebody did, and the right of which kind allowed it.
    impersonator: String,
    constraint: String,
    info: RequestInfo,
    /// What it is about, if it came so far and that is served.
    target: Option<Target>,
}

impl Seen {
    /// Of a request that came no further than its path.
    fn refused(scope: ClusterScope, info: RequestInfo) -> Self {
        Self { scope: Some(scope), info, ..Self::default() }
    }

    fn cluster(&self) -> &str {
        match &self.scope {
            Some(ClusterScope::One(name)) => name.as_str(),
            Some(ClusterScope::All) => "*",
            None => "",
        }
    }

    /// What is counted. Names that only a tenant knows are not.
    fn about(&self) -> About<'_> {
        let of_the_program =
            |target: &&Target| !target.resource.is_metadata_only() && target.resource.definition().is_none();
        let Some(target) = self.target.as_ref().filter(of_the_program) else { return About::default() };
        let RequestInfo { verb, namespace, name, subresource, .. } = &self.info;
        let version = &target.version().version;
        let subresource = target.version().subresource(subresource).map_or("", |_| &**subresource);
        let scope = match (&**name, &**namespace) {
            _ if verb == "create" => "resource",
            ("", "") => "cluster",
            ("", _) => "namespace",
            _ => "resource",
        };
        let resource = &*target.descriptor().resource.resource;
        About { group: &version.group, version: &version.version, resource, subresource, scope }
    }

    /// Counts it and writes it to the log.
    fn told(&self, metrics: &Metrics, status: u16, took: Duration) {
        let RequestInfo { verb, resource, subresource, namespace, name, .. } = &self.info;
        metrics.observe(verb, self.about(), status, took);
        let slash = if subresource.is_empty() { "" } else { "/" };
        tracing::info!(
            cluster = self.cluster(), user = %self.user, impersonator = %self.impersonator, constraint = %self.constraint,
            %verb, resource = %format_args!("{resource}{slash}{subresource}"),
            %namespace, %name, status, took_us = took.as_micros() as u64, "request"
        );
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
    let limit = match deadline::of(&info, query) {
        Ok(limit) => limit,
        Err(error) => return refused(error, Seen::refused(scope, info)),
    };
    // Before anything is read: who asks and what they may is stored too.
    if let Err(error) = fresh::catch_up(api, &info, query).await {
        return refused(error, Seen::refused(scope, info));
    }
    let cluster = match &scope {
        ClusterScope::One(name) => name.clone(),
        ClusterScope::All => LogicalClusterName::root(),
    };
    let now = Timestamp::now();
    let caller = Caller::of(&parts);
    let recognised = match caller.recognise(api, &cluster, &info, now) {
        Ok(recognised) => recognised,
        Err(error) => return refused(error, Seen::refused(scope, info)),
    };
    let target = info.is_resource.then(|| {
        let gvr = GroupVersionResource::new(&*info.group, &*info.version, &*info.resource);
        api.surfaces.target(&scope, &gvr)
    });
    let mut cx = RequestContext::new(cluster, recognised.user, now);
    cx.cluster_uid = api.clusters.find(&cx.cluster).map(|found| found.uid.clone());
    cx.scope = scope;
    cx.user_agent = body::user_agent(&parts.headers);
    caller.warning().into_iter().for_each(|warning| cx.warn(warning));
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let headers = with_host(parts.headers, &parts.uri);
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let target = target.flatten();
    let asked = Asked { cx, caller, info, target, method: parts.method, query, headers, user_agent, upgrade };
    // Before rights are looked at, which takes work too.
    // In a box, since it is large, and requests may be made within requests.
    let work = Box::pin(admit(api, &asked, body));
    let answer = turn::take(api, &asked, recognised.standing, work);
    let answered = deadline::within(limit, async { Ok(answer.await) }).await;
    let mut response = answered.unwrap_or_else(|error| answer::error(error, &asked.headers));
    answer::add_warnings(&mut response, asked.cx.take_warnings());
    let seen = Seen {
        scope: Some(asked.cx.scope),
        user: asked.cx.user.name,
        impersonator: recognised.impersonator.unwrap_or_default(),
        constraint: recognised.constraint.unwrap_or_default(),
        info: asked.info,
        target: asked.target,
    };
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
