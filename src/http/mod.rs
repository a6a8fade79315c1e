//! HTTP: from a request to the registry and back, for any resource.
//!
//! The order in which a request is handled is in `chain.rs`; each verb has its file. Knows no concrete kind and no engine.

pub mod aggregation;
mod answer;
mod backup;
mod body;
mod caller;
mod chain;
mod content;
mod deadline;
mod discovery;
mod documents;
mod drain;
mod fresh;
mod health;
mod issuer;
mod openapi;
mod process;
mod provided;
mod rights;
mod subresource;
mod turn;
mod verbs;
mod watch;
mod web_socket;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::authn::{ClientCertificate, FrontProxy, SignedTokens, Union};
use crate::authz::Authorizer;
use crate::authz::impersonation::Habits;
use crate::flow::Flow;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::resources::Surfaces;
use crate::tenancy::Clusters;

pub use aggregation::Aggregation;
pub use answer::Identity;
pub(crate) use caller::OfTheServer;
pub use content::snapshot_content;
pub use documents::Documents;
pub use provided::{Connect, Connection, Provided};
pub use web_socket::WebSocket;

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
    /// By which way users were last let act as others.
    pub acting: Habits,
    /// Whose keys others check tokens with.
    pub tokens: Arc<SignedTokens>,
    /// How requests get to the API servers of clusters.
    pub aggregation: Aggregation,
    /// Whose requests are served, and when.
    pub flow: Arc<Flow>,
    /// The subresources that an embedder provides.
    pub provided: Vec<Provided>,
    /// The documents of discovery and OpenAPI that were last asked for.
    pub documents: Documents,
    /// What a backup holds besides what is stored: the server's keys, by the names of their files.
    pub kept_files: Box<dyn Fn() -> BTreeMap<String, String> + Send + Sync>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The API as a tower service, for a listener, for middleware, and for clients in this process.
#[derive(Clone)]
pub struct ApiService {
    api: Arc<Api>,
    /// The API behind what an embedder put in front of it.
    front: Option<HttpService>,
}

/// Any HTTP service that answers every request.
pub type HttpService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What the connection knows of its other end.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// The verified client certificate's subject, if there was one.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// As what it may name users in headers, if it is a front proxy.
    pub front_proxy: Option<Arc<FrontProxy>>,
}

// === impl ApiService ===

impl ApiService {
    /// The API, with nothing in front of it.
    pub fn new(api: Arc<Api>) -> Self {
        Self { api, front: None }
    }

    /// The API behind a layer that sees every request first, and every answer last.
    #[must_use]
    pub fn behind(self, layer: impl FnOnce(HttpService) -> HttpService) -> Self {
        let api = self.api.clone();
        Self { front: Some(layer(HttpService::new(self))), api }
    }
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
        let request = request.map(|body| drain::Drained::body(Body::new(body)));
        match &self.front {
            Some(front) => Box::pin(front.clone().oneshot(request)),
            None => {
                let api = self.api.clone();
                Box::pin(async move { Ok(chain::handle(api, request).await) })
            }
        }
    }
}
