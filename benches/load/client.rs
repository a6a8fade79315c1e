//! A client as lean as can be: HTTP/2 over TLS, a few connections, requests whose answers are counted and thrown away.
//!
//! It reads a kubeconfig's first cluster and user, which may have a token or a certificate.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;

use super::Failure;

/// How long a request may take before the server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// Frames larger than the protocol's default, as clients in Go have them.
const WINDOW: u32 = 4 << 20;

/// Where a server is, and as whom it is asked.
#[derive(Clone)]
pub(super) struct Target {
    host: String,
    authority: String,
    /// What paths begin with.
    prefix: String,
    tls: Arc<rustls::ClientConfig>,
    token: Option<HeaderValue>,
}

/// Connections to a target, used in turn.
pub(super) struct Client {
    target: Target,
    connections: Vec<SendRequest<Full<Bytes>>>,
    next: AtomicUsize,
}

/// An answer, as far as it matters.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

// === impl Target ===

impl Target {
    /// What a kubeconfig says.
    pub(super) fn read(kubeconfig: &Path) -> Result<Self, Failure> {
        let directory = kubeconfig.parent().unwrap_or(Path::new("."));
        let config: Value = serde_saphyr::from_str(&std::fs::read_to_string(kubeconfig)?)?;
        let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let pem = |of: &Value, name: &str| -> Result<Option<Vec<u8>>, Failure> {
            if let Some(data) = of[format!("{name}-data")].as_str() {
                return Ok(Some(base64::engine::general_purpose::STANDARD.decode(data)?));
            }
            Ok(of[name].as_str().map(|file| std::fs::read(directory.join(file))).transpose()?)
        };
        let mut roots = rustls::RootCertStore::empty();
        let authority = pem(cluster, "certificate-authority")?.ok_or("the kubeconfig names no CA")?;
        for certificate in CertificateDer::pem_slice_iter(&authority) {
            roots.add(certificate?)?;
        }
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let certificate = pem(user, "client-certificate")?.zip(pem(user, "client-key")?);
        let mut tls = match certificate {
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&key)?)?
            }
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let server: http::Uri = cluster["server"].as_str().ok_or("the kubeconfig names no server")?.parse()?;
        let authority = server.authority().ok_or("the server's URL has no host")?;
        let target = Self {
            host: authority.host().to_owned(),
            authority: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(443)),
            prefix: server.path().trim_end_matches('/').to_owned(),
            tls: Arc::new(tls),
            token: None,
        };
        Ok(match user["token"].as_str() {
            Some(token) => target.with_token(token)?,
            None => target,
        })
    }

    /// The same server, asked as whom this token is of.
    pub(super) fn with_token(self, token: &str) -> Result<Self, Failure> {
        Ok(Self { token: Some(HeaderValue::try_from(format!("Bearer {token}"))?), ..self })
    }

    pub(super) async fn connect(&self, connections: usize) -> Result<Client, Failure> {
        let mut made = Vec::with_capacity(connections);
        for _ in 0..connections {
            made.push(self.connect_once().await?);
        }
        Ok(Client { target: self.clone(), connections: made, next: AtomicUsize::new(0) })
    }

    async fn connect_once(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let address = self.authority.to_socket_addrs()?.next().ok_or("the server's name has no address")?;
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.trim_matches(['[', ']']).to_owned())?;
        let tls = tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, tcp).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .handshake(TokioIo::new(tls))
            .await?;
        // It ends with its last sender.
        tokio::spawn(connection);
        Ok(sender)
    }
}

// === impl Client ===

impl Client {
    /// Sends a request and reads all of the answer.
    pub(super) async fn send(&self, method: &str, path: &str, media: &str, body: Bytes) -> Result<Answer, Failure> {
        let asked = async {
            let response = self.begin(method, path, media, body).await?;
            let status = response.status().as_u16();
            Ok::<_, Failure>(Answer { status, body: response.into_body().collect().await?.to_bytes() })
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| format!("{method} {path} was not answered"))?
    }

    /// The same, with an answer that must not be a refusal.
    pub(super) async fn expect(&self, method: &str, path: &str, media: &str, body: String) -> Result<Bytes, Failure> {
        let answer = self.send(method, path, media, body.into()).await?;
        if answer.status >= 300 {
            let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(600)]).into_owned();
            return Err(format!("{method} {path}: {} {text}", answer.status).into());
        }
        Ok(answer.body)
    }

    /// What a GET gives, as JSON.
    pub(super) async fn get_json(&self, path: &str) -> Result<Value, Failure> {
        Ok(serde_json::from_slice(&self.expect("GET", path, "", String::new()).await?)?)
    }

    /// Sends a request; the answer is still to be read.
    pub(super) async fn begin(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let uri = format!("https://{}{}{path}", self.target.authority, self.target.prefix);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = &self.target.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        // A media type of what is sent, or of what is wanted.
        request = match (method, media) {
            (_, "") => request,
            ("GET", wanted) => request.header(header::ACCEPT, wanted),
            (_, sent) => request.header(header::CONTENT_TYPE, sent),
        };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut connection = self.connections[turn].clone();
        connection.ready().await?;
        Ok(connection.send_request(request.body(Full::new(body))?).await?)
    }
}
