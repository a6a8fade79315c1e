//! What an embedder brings along: its own engine, authenticators, authorizers, admission, and HTTP middleware.
//!
//! Only says so; the builder puts it all together.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::{Layer, Service, ServiceExt};

use super::Builder;
use super::objects::{Objects, resource_of};
use super::pki::Pair;
use crate::admission::AdmissionPlugin;
use crate::authn::{AnonymousAccess, Authenticator, FrontProxy};
use crate::authz::Authorizer;
use crate::flow::{FlowControl, RateLimit};
use crate::http::{Connect, HttpService, Provided};
use crate::registry::resource::Resource;
use crate::resources::{Own, Typed, View};
use crate::storage::Backend;

/// What an embedder brings along.
#[derive(Clone)]
pub(super) struct Extensions {
    /// The engine, if it is not one that a URL names.
    pub engine: Option<Arc<dyn Backend>>,
    /// Asked after Atoll's own.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// What those are who show no credentials.
    pub anonymous: AnonymousAccess,
    /// Asked before roles and bindings.
    pub authorizers: Vec<Arc<dyn Authorizer>>,
    /// Admission plugins that run after Atoll's own.
    pub plugins: Vec<Arc<MakePlugin>>,
    /// The names of Atoll's own admission plugins that do not run.
    pub left_out: Vec<String>,
    /// What stands in front of the API, outermost last.
    pub layers: Vec<Arc<Wrap>>,
    /// Resources of its own.
    pub own: Own,
    /// Subresources that it answers itself.
    pub provided: Vec<Provided>,
    /// Further names in the serving certificate.
    pub serving_names: Vec<String>,
    /// How many requests are served at a time, and whose.
    pub flow: FlowControl,
    /// How often somebody may ask.
    pub rate_limit: Option<RateLimit>,
    /// The key that signs the tokens of service accounts, and those that are believed besides; PEM.
    pub token_keys: Option<(String, Vec<String>)>,
}

/// Makes an admission plugin that may read what is stored.
type MakePlugin = dyn Fn(Objects) -> Arc<dyn AdmissionPlugin> + Send + Sync;

/// Puts something in front of a service.
type Wrap = dyn Fn(HttpService) -> HttpService + Send + Sync;

impl Default for Extensions {
    fn default() -> Self {
        Self {
            engine: None,
            authenticators: Vec::new(),
            anonymous: AnonymousAccess::Allowed,
            authorizers: Vec::new(),
            plugins: Vec::new(),
            left_out: Vec::new(),
            layers: Vec::new(),
            own: Own::default(),
            provided: Vec::new(),
            serving_names: Vec::new(),
            flow: FlowControl::default(),
            rate_limit: None,
            token_keys: None,
        }
    }
}

// === impl Builder ===

impl Builder {
    /// Keeps objects in an engine of your own, instead of one that [`storage`](Self::storage) names. It must keep the
    /// contract of [`Backend`], which the suite in `atoll::storage::conformance` (feature `test-util`) checks.
    #[must_use]
    pub fn engine(mut self, engine: Arc<dyn Backend>) -> Self {
        self.extensions.engine = Some(engine);
        self
    }

    /// Adds a way to recognise users. It is asked after certificates, the token file and signed tokens.
    #[must_use]
    pub fn authenticator(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.extensions.authenticators.push(Arc::new(authenticator));
        self
    }

    /// What becomes of requests without credentials; unless said otherwise they are made by `system:anonymous`.
    #[must_use]
    pub fn anonymous(mut self, access: AnonymousAccess) -> Self {
        self.extensions.anonymous = access;
        self
    }

    /// Adds somebody who decides what users may do. It is asked after the group `system:masters` has been allowed
    /// everything, and before roles and bindings, which decide where it has no opinion.
    #[must_use]
    pub fn authorizer(mut self, authorizer: impl Authorizer + 'static) -> Self {
        self.extensions.authorizers.push(Arc::new(authorizer));
        self
    }

    /// Adds an admission plugin after Atoll's own, and before quotas are charged.
    #[must_use]
    pub fn admission(self, plugin: Arc<dyn AdmissionPlugin>) -> Self {
        self.admission_with(move |_| plugin.clone())
    }

    /// Adds an admission plugin that reads what is stored, after those there are.
    #[must_use]
    pub fn admission_with(
        mut self,
        make: impl Fn(Objects) -> Arc<dyn AdmissionPlugin> + Send + Sync + 'static,
    ) -> Self {
        self.extensions.plugins.push(Arc::new(make));
        self
    }

    /// Leaves out admission plugins of Atoll's own, by the names they have in Kubernetes, such as `ServiceAccount`.
    #[must_use]
    pub fn without_admission<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.extensions.left_out.extend(names.into_iter().map(Into::into));
        self
    }

    /// Serves a resource of your own in every logical cluster, such as a [`Typed`] one.
    #[must_use]
    pub fn resource(mut self, resource: impl Resource) -> Self {
        self.extensions.own.resources.push(Arc::new(resource));
        self
    }

    /// Serves a resource of your own whose objects are computed whenever they are read, and can be watched if the view
    /// says what they are computed from.
    #[must_use]
    pub fn view<T>(mut self, resource: Typed<T>, view: impl View) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let resource = if view.sources().is_empty() { resource.read_only() } else { resource.watch_only() };
        self.extensions.own.views.insert(resource.descriptor().resource.clone(), Arc::new(view));
        self.resource(resource)
    }

    /// Answers a subresource of a resource of the core group or another (`pods`, `deployments.apps`), such as `log`.
    #[must_use]
    pub fn connect(mut self, resource: &str, subresource: &str, connect: impl Connect) -> Self {
        self.extensions.provided.push(Provided {
            resource: resource_of(resource),
            subresource: subresource.to_owned(),
            connect: Arc::new(connect),
        });
        self
    }

    /// Puts a tower layer in front of the API: it sees every request before anybody is recognised, and every answer.
    /// Layers added later stand further outside. The controllers, which are in this process, do not come by it.
    #[must_use]
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<HttpService> + Send + Sync + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let wrap = move |inner| HttpService::new(layer.layer(inner).map_response(|answer| answer.map(Body::new)));
        self.extensions.layers.push(Arc::new(wrap));
        self
    }

    /// Serves further routes beside the API. They are found before it, and nobody is asked who makes their requests.
    #[must_use]
    pub fn routes(self, routes: Router) -> Self {
        self.layer(tower::layer::layer_fn(move |api: HttpService| routes.clone().fallback_service(api)))
    }

    /// Believes a front proxy, such as another API server behind which this one serves a group: whoever shows a certificate
    /// of its CA may say in headers whose request it passes on. [`behind`](Self::behind) knows an API server's own.
    #[must_use]
    pub fn front_proxy(mut self, front: FrontProxy) -> Self {
        self.given.front_proxies.push(front);
        self
    }

    /// Puts further DNS names and addresses into the serving certificate, by which clients reach the server.
    #[must_use]
    pub fn serving_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.extensions.serving_names.extend(names.into_iter().map(Into::into));
        self
    }

    /// How many requests are served at a time, and whose; unless said otherwise as many as suit the machine, shared
    /// fairly between logical clusters, and within each by its flow schemas and priority levels.
    #[must_use]
    pub fn flow_control(mut self, control: FlowControl) -> Self {
        self.extensions.flow = control;
        self
    }

    /// How many requests a second each logical cluster, or each of its users, may make; as many as they like unless
    /// said otherwise. Members of `system:masters` always may.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.extensions.rate_limit = Some(limit);
        self
    }

    /// Shows clients a serving certificate that somebody else made, and renews.
    #[must_use]
    pub fn serving_certificate(mut self, pair: Pair) -> Self {
        self.given.serving = Some(pair);
        self
    }

    /// Believes the client certificates of a further CA (PEM), beside the server's own.
    #[must_use]
    pub fn client_ca(mut self, pem: impl Into<String>) -> Self {
        self.given.client_ca = Some(pem.into());
        self
    }

    /// Signs the tokens of service accounts with this private key, and believes those that `others` (private or public
    /// keys) have signed; all PEM. Unless said otherwise the server has a key of its own.
    #[must_use]
    pub fn token_keys(mut self, signing: impl Into<String>, others: Vec<String>) -> Self {
        self.extensions.token_keys = Some((signing.into(), others));
        self
    }
}
