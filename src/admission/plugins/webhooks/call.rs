//! One call of a webhook: a connection of its own, one request, one answer, within a time and a size.
//!
//! Tenants say who is called. So names are looked up here and the address is checked that is then called, nothing is
//! followed, and whatever the other side does, no more is read than a limit.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use atoll_api::LogicalClusterName;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::address::Addresses;
use super::configuration::{Hook, Place};
use crate::admission::turns::Turns;

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 4 << 20;
/// The most bytes that are shown of what the other side says went wrong.
const MAX_SHOWN: usize = 2048;
/// How many webhooks of one cluster are called at once; more wait.
const AT_ONCE: usize = 32;

/// Where webhooks may be.
#[derive(Clone, Default)]
pub struct WebhookSettings {
    /// The addresses they may have.
    pub addresses: Addresses,
    /// Who knows where services are; without anybody, webhooks behind services cannot be called.
    pub services: Option<Arc<dyn Services>>,
}

/// Knows where the services of clusters are, for webhooks that name one.
pub trait Services: Send + Sync {
    /// Where a service is, or why that cannot be told.
    fn find(
        &self,
        cluster: &LogicalClusterName,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> Result<ServiceAddress, String>;
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAddress {
    /// A name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Calls webhooks.
pub(in crate::admission) struct Caller {
    settings: WebhookSettings,
    turns: Turns,
}

/// What is to be called: the host and port to connect to, the name its certificate must have, and the path.
struct Destination {
    host: String,
    port: u16,
    server_name: String,
    path: String,
    /// A service's address comes from whom the server trusts.
    addresses: Addresses,
}

impl Caller {
    pub(in crate::admission) fn new(settings: WebhookSettings) -> Self {
        Self { settings, turns: Turns::new(AT_ONCE) }
    }

    /// Posts a review to a webhook, and gives its answer; or why there is none.
    pub(super) async fn call(
        &self,
        cluster: &LogicalClusterName,
        hook: &Hook,
        review: &Value,
        deadline: Instant,
    ) -> Result<Value, String> {
        self.post(cluster, (&hook.place, &hook.trust), review, (hook.timeout, deadline)).await
    }

    /// Posts a review to a place, in no more time than it may take and no later than the deadline.
    pub(super) async fn post(
        &self,
        cluster: &LogicalClusterName,
        (place, trust): (&Place, &Result<Arc<rustls::ClientConfig>, String>),
        review: &Value,
        (usual, deadline): (Duration, Instant),
    ) -> Result<Value, String> {
        let timeout = usual.min(deadline.saturating_duration_since(Instant::now()));
        let exchange = async {
            let _turn = self.turns.wait(cluster, "").await;
            let destination = self.destination(cluster, place)?;
            let tls = trust.clone()?;
            let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
            let request = request(&destination, review, seconds)?;
            let stream = connect(&destination, tls).await?;
            exchange(stream, request).await
        };
        let answer = match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err("context deadline exceeded".to_owned()),
        };
        answer.map_err(|why| format!("Post \"{}?timeout={}\": {why}", place.shown(), shown(usual)))?
    }

    fn destination(&self, cluster: &LogicalClusterName, place: &Place) -> Result<Destination, String> {
        match place {
            Place::Unreadable(why) => Err(why.clone()),
            Place::Url(uri) => {
                let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
                Ok(Destination {
                    server_name: host.clone(),
                    host,
                    port: uri.port_u16().unwrap_or(443),
                    path: if uri.path().is_empty() { "/".to_owned() } else { uri.path().to_owned() },
                    addresses: self.settings.addresses,
                })
            }
            Place::Service { namespace, name, port, path } => {
                let services = self.settings.services.as_ref().ok_or_else(|| {
                    format!(
                        "nothing in this server provides service \"{namespace}/{name}\"; use a webhook with a URL instead"
                    )
                })?;
                let ServiceAddress { host, port } = services.find(cluster, namespace, name, *port)?;
                let server_name = format!("{name}.{namespace}.svc");
                Ok(Destination { host, port, server_name, path: path.clone(), addresses: Addresses::Any })
            }
        }
    }
}

fn shown(timeout: Duration) -> String {
    format!("{}s", timeout.as_secs())
}

fn request(destination: &Destination, review: &Value, seconds: u64) -> Result<Request<Full<Bytes>>, String> {
    let authority = match destination.port {
        443 => destination.server_name.clone(),
        port if destination.server_name.contains(':') => format!("[{}]:{port}", destination.server_name),
        port => format!("{}:{port}", destination.server_name),
    };
    let target: Uri = format!("{}?timeout={seconds}s", destination.path).parse().map_err(|_| "the path is no path")?;
    let body = serde_json::to_vec(review).map_err(|error| error.to_string())?;
    Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(header::ACCEPT, HeaderValue::from_static("application/json"))
        .header(header::USER_AGENT, HeaderValue::from_static("atoll-admission"))
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Full::from(body))
        .map_err(|error| error.to_string())
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(destination: &Destination, tls: Arc<rustls::ClientConfig>) -> Result<Stream, String> {
    let Destination { host, port, .. } = destination;
    let found = tokio::net::lookup_host((host.as_str(), *port)).await;
    let found: Vec<SocketAddr> = found.map_err(|error| format!("lookup {host}: {error}"))?.collect();
    let mut last = format!("lookup {host}: no such host");
    for address in found {
        if let Some(why) = destination.addresses.refuses(address.ip()) {
            last = format!(
                "dial tcp {address}: the server does not call this address: {why} (its setting --webhook-addresses=any permits it)"
            );
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let name = ServerName::try_from(destination.server_name.clone()).map_err(|error| error.to_string())?;
                return TlsConnector::from(tls).connect(name, stream).await.map_err(|error| format!("tls: {error}"));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                last = format!("dial tcp {address}: connect: connection refused");
            }
            Err(error) => last = format!("dial tcp {address}: {error}"),
        }
    }
    Err(last)
}

/// The answer, or what the other side says in its place; fails if there is no answer.
async fn exchange(stream: Stream, request: Request<Full<Bytes>>) -> Result<Result<Value, String>, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let is_text =
            response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/"));
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| format!("the answer cannot be read: {error}"))?.to_bytes();
        Ok::<_, String>((status, is_text, body))
    };
    let (status, is_text, body) = beside(connection, answer).await?;
    if status.is_success() {
        return Ok(serde_json::from_slice(&body).map_err(|error| format!("the answer is not JSON: {error}")));
    }
    Ok(Err(refusal(status, is_text, &body)))
}

/// What an answer that is no success says, in the words of Kubernetes' client (rest/request.go).
fn refusal(status: StatusCode, is_text: bool, body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    if said["kind"] == "Status"
        && let Some(message) = said["message"].as_str()
    {
        return message.to_owned();
    }
    let shown = if is_text { String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN)]) } else { "unknown".into() };
    match status {
        StatusCode::NOT_FOUND => "the server could not find the requested resource".to_owned(),
        StatusCode::UNAUTHORIZED => "the server has asked for the client to provide credentials".to_owned(),
        StatusCode::FORBIDDEN => shown.trim().to_owned(),
        StatusCode::TOO_MANY_REQUESTS => {
            "the server has received too many requests and has asked us to try again later".to_owned()
        }
        status if status.is_client_error() => {
            format!("the server rejected our request for an unknown reason ({status})")
        }
        _ => format!("an error on the server ({:?}) has prevented the request from succeeding", shown.trim()),
    }
}

/// Waits for an answer while the connection that brings it is kept going.
async fn beside<T>(connection: impl Future, answer: impl Future<Output = T>) -> T {
    let connection = async {
        connection.await;
        // When the connection has ended, the answer is complete, or fails by itself.
        std::future::pending::<T>().await
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        never = connection => never,
    }
}
