//! A webhook of admission or of conversion in this process: an HTTPS server with a certificate of its own that keeps what it is asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A running webhook; ends when dropped.
pub(crate) struct Webhook {
    address: SocketAddr,
    ca: String,
    asked: Arc<Mutex<Vec<Value>>>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Webhook {
    /// A webhook whose responses `answer` makes of requests, apart from their uid.
    pub(crate) async fn start(answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let acceptor = acceptor(&own);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = asked.clone();
        let answer = Arc::new(move |body: &[u8]| {
            let review: Value = serde_json::from_slice(body).unwrap_or_default();
            let request = &review["request"];
            kept.lock().expect("nobody panics with it").push(request.clone());
            let mut response = answer(request);
            response["uid"] = request["uid"].clone();
            json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).to_string()
        });
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = answer.clone();
                        async move {
                            let body = request.into_body().collect().await?.to_bytes();
                            Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::from(answer(&body))))
                        }
                    });
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, ca: STANDARD.encode(own.cert.pem()), asked, running }
    }

    /// What it was asked, with what its configuration calls the kind, the operation and the name.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("nobody panics with it").clone()
    }

    /// Where it is, as configurations and definitions say it.
    pub(crate) fn client_config(&self) -> Value {
        json!({"url": format!("https://{}/review", self.address), "caBundle": self.ca})
    }

    /// A configuration by which it is asked about config maps.
    pub(crate) fn configuration(&self, kind: &str, name: &str) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "webhooks": [{
                "name": format!("{name}.it.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": self.client_config(),
                "rules": [{"operations": ["CREATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
                "matchConditions": [{"name": "ours", "expression": "!request.name.startsWith('kube-')"}],
            }],
        })
    }
}

/// Accepts TLS with a certificate.
pub(crate) fn acceptor(own: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    acceptor_of(own, None)
}

/// Accepts TLS with a certificate, of clients that have one of this CA (PEM) if one is given.
pub(crate) fn acceptor_of(own: &rcgen::CertifiedKey<rcgen::KeyPair>, clients: Option<&str>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(ca) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate")).expect("a CA");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let config = config.with_single_cert(vec![own.cert.der().clone()], key).expect("a configuration");
    TlsAcceptor::from(Arc::new(config))
}
