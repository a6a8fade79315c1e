//! The server behind an APIService: where it is, whom it must be, and the connection to it.
//!
//! Hangs on the stored API service and goes with it, connection and all.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atoll_api::LogicalClusterName;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls::ClientConfig;
use serde_json::Value;

use super::super::Api;
use super::Aggregation;
use crate::outbound::{self, Stream};
use crate::storage::Entry;

/// How often a server with requests under way is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// The server that an API service names.
pub(in crate::http) struct Backend {
    cluster: LogicalClusterName,
    /// The identity of its API service.
    pub(super) uid: String,
    pub(in crate::http) group: String,
    pub(in crate::http) version: String,
    pub(in crate::http) group_priority: i64,
    pub(in crate::http) version_priority: i64,
    /// Whether it was there when it was last looked for.
    pub(super) is_available: bool,
    namespace: String,
    name: String,
    port: u16,
    trusts: Trusts,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    /// A connection that takes any number of requests.
    kept: Mutex<Option<http2::SendRequest<Body>>>,
}

/// Whom the server must be.
enum Trusts {
    /// Somebody whom an authority of the machine knows.
    System,
    /// Somebody whom an authority of this bundle knows (base64).
    Bundle(String),
    /// Anybody.
    Anybody,
}

/// What an entry says: nothing, if it is of a group that this server serves.
struct Read(Option<Arc<Backend>>);

// === impl Backend ===

impl Backend {
    /// The server that a stored API service names, if it names one.
    pub(super) fn of(entry: &Entry) -> Option<Arc<Self>> {
        entry.derived(|entry| Read(Self::read(entry).map(Arc::new))).0.clone()
    }

    fn read(entry: &Entry) -> Option<Self> {
        let object: Value = serde_json::from_slice(&entry.bytes()).ok()?;
        let (spec, service) = (&object["spec"], &object["spec"]["service"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let conditions = object["status"]["conditions"].as_array();
        let available = |condition: &Value| condition["type"] == "Available" && condition["status"] == "True";
        service.as_object()?;
        Some(Self {
            cluster: entry.cluster().clone(),
            uid: entry.uid().to_owned(),
            group: text(&spec["group"]),
            version: text(&spec["version"]),
            group_priority: spec["groupPriorityMinimum"].as_i64().unwrap_or_default(),
            version_priority: spec["versionPriority"].as_i64().unwrap_or_default(),
            is_available: conditions.is_some_and(|conditions| conditions.iter().any(available)),
            namespace: text(&service["namespace"]),
            name: text(&service["name"]),
            port: service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
            trusts: match (text(&spec["caBundle"]), &spec["insecureSkipTLSVerify"]) {
                (_, Value::Bool(true)) => Trusts::Anybody,
                (bundle, _) if bundle.is_empty() => Trusts::System,
                (bundle, _) => Trusts::Bundle(bundle),
            },
            tls: OnceLock::new(),
            kept: Mutex::new(None),
        })
    }

    /// Its host and port, as requests to it name them.
    pub(super) fn authority(&self) -> String {
        format!("{}.{}.svc:{}", self.name, self.namespace, self.port)
    }

    /// The logical cluster whose it is.
    pub(super) fn cluster(&self) -> &str {
        self.cluster.as_str()
    }

    /// The name of its API service.
    pub(super) fn api_service(&self) -> String {
        format!("{}.{}", self.version, self.group)
    }

    /// The path of its group and version.
    pub(super) fn root(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// Sends a request whose URI names this server, and waits for the head of the answer.
    pub(super) async fn send(&self, api: &Api, request: Request<Body>) -> Result<Response<Incoming>, String> {
        let kept = self.kept.lock().clone().filter(|sender| !sender.is_closed());
        let request = match kept {
            None => request,
            Some(mut sender) => match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                // A connection that ended meanwhile gives back what it has not sent.
                Err(mut failed) => failed.take_message().ok_or_else(|| chain(failed.error()))?,
            },
        };
        let stream = self.connect(api, Protocols::All).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return send_once(stream, request).await;
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
        // Ends when nobody can send any more: when the API service changes or goes.
        tokio::spawn(connection);
        *self.kept.lock() = Some(sender.clone());
        sender.send_request(request).await.map_err(|error| chain(&error))
    }

    /// Sends a request that asks for another protocol, over a connection of its own.
    pub(super) async fn send_upgrade(&self, api: &Api, request: Request<Body>) -> Result<Response<Incoming>, String> {
        send_once(self.connect(api, Protocols::Http1).await?, request).await
    }

    async fn connect(&self, api: &Api, protocols: Protocols) -> Result<Stream, String> {
        let aggregation = &api.aggregation;
        let destination = aggregation.outbound.service(&self.cluster, &self.namespace, &self.name, self.port)?;
        let tls = self.tls.get_or_init(|| self.new_tls(api, aggregation).map(Arc::new)).clone()?;
        let tls = match protocols {
            Protocols::All => tls,
            Protocols::Http1 => {
                let mut narrow = ClientConfig::clone(&tls);
                narrow.alpn_protocols = vec![b"http/1.1".to_vec()];
                Arc::new(narrow)
            }
        };
        outbound::connect(&destination, tls).await
    }

    fn new_tls(&self, api: &Api, aggregation: &Aggregation) -> Result<ClientConfig, String> {
        let verifier = match &self.trusts {
            Trusts::System => aggregation.trust.of_system()?,
            Trusts::Anybody => aggregation.trust.of_anybody(),
            Trusts::Bundle(bundle) => {
                let pem = STANDARD.decode(bundle).map_err(|_| "the CA bundle is not base64".to_owned())?;
                aggregation.trust.of_bundle(&pem)?
            }
        };
        let cluster = api.clusters.find(&self.cluster).ok_or("the logical cluster is going")?;
        let mut config = outbound::client(verifier, Some((aggregation.shown)(cluster.uid.as_str())?))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What a connection may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocols {
    All,
    /// The only one in which a connection can become something else.
    Http1,
}

async fn send_once(stream: Stream, mut request: Request<Body>) -> Result<Response<Incoming>, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
    tokio::spawn(connection.with_upgrades());
    // Only HTTP/2 names the host beside the headers.
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    request.headers_mut().extend(authority.map(|authority| (header::HOST, authority)));
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    sender.send_request(request).await.map_err(|error| chain(&error))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
