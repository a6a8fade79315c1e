//! Subresources that an embedder answers with HTTP itself: logs that go on, and connections that become something else.

use std::sync::Arc;

use atoll_api::query::Query;
use atoll_api::{ApiResult, GroupResource, Object};
use axum::body::Body;
use futures::future::BoxFuture;
use http::{HeaderMap, Response};
use hyper::upgrade::OnUpgrade;

use super::Api;
use super::chain::Asked;
use crate::registry::Target;
use crate::request::RequestContext;

/// Answers requests for a subresource of an object with HTTP itself, such as `log` and `exec` of pods.
///
/// Called after the client has been authorized and the object has been found. The answer's body may go on for as long
/// as it likes; it is dropped when the client goes away or the server stops.
#[diagnostic::on_unimplemented(
    message = "`{Self}` answers no connections",
    note = "implement `atoll::http::Connect`: one method, from a `Connection` to an HTTP response"
)]
pub trait Connect: Send + Sync + 'static {
    /// Answers one request.
    fn connect<'a>(&'a self, connection: Connection<'a>) -> BoxFuture<'a, ApiResult<Response<Body>>>;
}

/// A request for a subresource.
pub struct Connection<'a> {
    /// Cluster, user, time.
    pub cx: &'a RequestContext,
    /// The object whose subresource is asked for.
    pub object: Object,
    /// `get` or `create`.
    pub verb: &'a str,
    /// What follows the subresource in the path.
    pub rest: &'a [String],
    /// The query.
    pub query: Query,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Body,
    /// The connection itself, once it has been answered with 101, if the client wants another protocol.
    pub upgrade: Option<OnUpgrade>,
}

/// A handler of one subresource.
#[derive(Clone)]
pub struct Provided {
    /// The resource.
    pub resource: GroupResource,
    /// The subresource.
    pub subresource: String,
    /// What answers.
    pub connect: Arc<dyn Connect>,
}

/// What an embedder provides for the subresource that is asked for, if it does.
pub(super) fn of<'a>(api: &'a Api, asked: &Asked, target: &Target) -> Option<&'a Provided> {
    let resource = &target.descriptor().resource;
    api.provided.iter().find(|one| one.resource == *resource && one.subresource == asked.info.subresource)
}

/// Lets it answer, if the object is there.
pub(super) async fn answer(
    provided: &Provided,
    api: &Arc<Api>,
    asked: &Asked,
    target: &Target,
    query: Query,
    body: Body,
) -> ApiResult<Response<Body>> {
    let connection = Connection {
        cx: &asked.cx,
        object: api.registry.get_object(&asked.cx, target, &asked.object_name(target))?,
        verb: &asked.info.verb,
        rest: &asked.info.rest,
        query,
        headers: &asked.headers,
        body,
        upgrade: asked.upgrade.lock().take(),
    };
    provided.connect.connect(connection).await
}
