//! HTTP: from a request to the registry and back, for any resource.
//!
//! The order in which a request is handled is in `chain.rs`; each verb has its file. Knows no concrete kind and no engine.

mod answer;
mod body;
mod caller;
mod chain;
mod discovery;
mod drain;
mod fresh;
mod health;
mod issuer;
mod openapi;
mod subresource;
mod verbs;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::Service;

use crate::authn::{ClientCertificate, SignedTokens, Union};
use crate::authz::Authorizer;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::resources::Surfaces;
use crate::tenancy::Clusters;

pub use answer::Identity;

/// The most bytes a request's body may have, as in kube-apiserver.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// Everything a request needs.
pub struct Api {
    /// Reads and writes.
    pub registry: Arc<Registry>,
    /// Which resources which cluster serves.
    pub surfaces: Arc<Surfaces>,
    /// Which clusters there are.
    pub clusters: Arc<Clusters>,
    /// Who asks.
    pub authenticator: Arc<Union>,
    /// Who may.
    pub authorizer: Arc<dyn Authorizer>,
    /// Whose keys others check tokens with.
    pub tokens: Arc<SignedTokens>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The API as a tower service, for a listener, for middleware, and for clients in this process.
#[derive(Clone)]
pub struct ApiService(pub Arc<Api>);

/// What the connection knows of its other end.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// The verified client certificate's subject, if there was one.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl<B> Service<Request<B>> for ApiService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.0.clone();
        let request = request.map(|body| drain::Drained::body(Body::new(body)));
        Box::pin(async move { Ok(chain::handle(api, request).await) })
    }
}
