//! The controllers, as clients of the server they run in: through its whole chain of filters, without a socket.

use std::convert::Infallible;
use std::task::{Context, Poll};

use atoll_api::UserInfo;
use atoll_api::user::{ALL_AUTHENTICATED, SYSTEM_MASTERS};
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use kube::Client;
use tower::Service;

use crate::http::{ApiService, Identity};

/// The user under which the controllers work.
const USER: &str = "system:kube-controller-manager";

/// A client of the server as the controllers' user, who may do everything in every logical cluster.
pub(super) fn client(service: ApiService) -> Client {
    let user = UserInfo::named(USER, [SYSTEM_MASTERS, ALL_AUTHENTICATED]);
    Client::new(Identified { service, user }, "default")
}

/// The server as one user sees it.
#[derive(Clone)]
struct Identified {
    service: ApiService,
    user: UserInfo,
}

impl Service<Request<kube::client::Body>> for Identified {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<kube::client::Body>) -> Self::Future {
        request.extensions_mut().insert(Identity(self.user.clone()));
        self.service.call(request)
    }
}
