//! Clients of the server they run in: through its whole chain of filters, without a socket.

use std::convert::Infallible;
use std::task::{Context, Poll};

use atoll_api::{LogicalClusterName, UserInfo};
use axum::body::Body;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use kube::Client;
use tower::Service;

use crate::http::{ApiService, Identity, OfTheServer};
use crate::request::CLUSTERS_PREFIX;

/// A client of the whole server for the server's own work, as one user: its requests have paths as in URLs,
/// `/clusters/<name>/api/v1/…`, and wait for nobody, since whoever they are made for would wait for all others.
pub(super) fn of_server(service: ApiService, user: UserInfo) -> Client {
    Client::new(InProcess { service, user, prefix: String::new(), mark: Some(OfTheServer) }, "default")
}

/// A client of one logical cluster as one user: to it, the cluster is all there is.
pub(super) fn of_cluster(service: ApiService, cluster: &LogicalClusterName, user: UserInfo) -> Client {
    let prefix = format!("{CLUSTERS_PREFIX}{cluster}");
    Client::new(InProcess { service, user, prefix, mark: None }, "default")
}

/// The server as one user sees it, from below a path.
#[derive(Clone)]
struct InProcess {
    service: ApiService,
    user: UserInfo,
    prefix: String,
    mark: Option<OfTheServer>,
}

// === impl InProcess ===

impl InProcess {
    /// The path below the prefix. What makes no path stays as it is, and is answered as such.
    fn below(&self, uri: &Uri) -> Option<Uri> {
        let below = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        format!("{}{below}", self.prefix).parse().ok()
    }
}

impl Service<Request<kube::client::Body>> for InProcess {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<kube::client::Body>) -> Self::Future {
        if let Some(uri) = self.below(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.extensions_mut().insert(Identity(self.user.clone()));
        self.mark.and_then(|mark| request.extensions_mut().insert(mark));
        self.service.call(request)
    }
}
