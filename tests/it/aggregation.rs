//! Groups that another server serves, seen by users: what is passed on, what is told, and where it ends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use atoll::outbound::{Addresses, Outbound};
use atoll::server::Server;
use atoll::test::{Cluster, ControlPlane};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::binary::send;
use crate::webhook;

const PATIENCE: Duration = Duration::from_secs(40);
pub(crate) const ROOT: &str = "/apis/far.example.com/v1";
pub(crate) const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.far.example.com";
const JSON: &str = "application/json";

/// A server of a group, and what it was asked.
pub(crate) struct Far {
    address: SocketAddr,
    ca: String,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Far {
    async fn start() -> Self {
        Self::start_for(None).await
    }

    /// One that only clients with a certificate of this CA (PEM) reach, if one is given.
    pub(crate) async fn start_for(clients: Option<&str>) -> Self {
        let own = rcgen::generate_simple_self_signed(["far.default.svc".to_owned()]).expect("a certificate");
        let acceptor = webhook::acceptor_of(&own, clients);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<(String, HeaderMap)>>> = Arc::default();
        let kept = asked.clone();
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), kept.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: Request<Incoming>| {
                        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
                        kept.lock().expect("nobody panics with it").push((target, request.headers().clone()));
                        async move { Ok::<_, hyper::Error>(answer(request)) }
                    });
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
                });
            }
        });
        Self { address, ca: STANDARD.encode(own.cert.pem()), asked, running }
    }

    /// The requests whose path ends so.
    fn asked(&self, end: &str) -> Vec<HeaderMap> {
        let asked = self.asked.lock().expect("nobody panics with it");
        let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
        asked.iter().filter(|(target, _)| path(target).ends_with(end)).map(|(_, headers)| headers.clone()).collect()
    }

    pub(crate) fn api_service(&self) -> Value {
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.far.example.com"},
            "spec": {
                "group": "far.example.com", "version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 15,
                "service": {"namespace": "default", "name": "far", "port": self.address.port()}, "caBundle": self.ca,
            },
        })
    }

    /// Registers it in a cluster, by an external name, and waits until it is there.
    async fn register(&self, cluster: &Cluster<'_>) {
        let client = cluster.client();
        let services = "/api/v1/namespaces/default/services";
        send(&client, "POST", services, JSON, &external_service()).await.expect("created");
        send(&client, "POST", API_SERVICES, JSON, &self.api_service()).await.expect("created");
        condition(&client, "Passed").await;
    }
}

pub(crate) fn external_service() -> Value {
    json!({"metadata": {"name": "far"}, "spec": {"type": "ExternalName", "externalName": "localhost"}})
}

fn full(text: impl Into<Bytes>) -> BoxBody<Bytes, hyper::Error> {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

fn answer(mut request: Request<Incoming>) -> Response<BoxBody<Bytes, hyper::Error>> {
    let path = request.uri().path().to_owned();
    let watches = request.uri().query().is_some_and(|query| query.contains("watch"));
    let built = Response::builder().header(header::CONTENT_TYPE, JSON);
    let thing = |name: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "Thing", "verbs": ["get", "list"]});
    let built = match path.strip_prefix(ROOT) {
        Some("") => built.body(full(
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "far.example.com/v1",
                "resources": [thing("things"), thing("things/talk")]})
            .to_string(),
        )),
        Some("/things") if watches => {
            let events = futures::stream::iter(1..=3)
                .map(|n| Ok(Frame::data(Bytes::from(format!("{{\"type\":\"ADDED\",\"object\":{{\"n\":{n}}}}}\n")))));
            built.body(BodyExt::boxed(StreamBody::new(events.chain(futures::stream::pending()))))
        }
        Some(rest) if rest.ends_with("/turn") => {
            built.status(StatusCode::FOUND).header(header::LOCATION, "https://elsewhere.example.com/").body(full(""))
        }
        Some(rest) if rest.ends_with("/talk") => {
            tokio::spawn(async move {
                let Ok(stream) = hyper::upgrade::on(&mut request).await else { return };
                let mut stream = TokioIo::new(stream);
                let mut heard = [0; 5];
                while stream.read_exact(&mut heard).await.is_ok() {
                    heard.reverse();
                    let _ = stream.write_all(&heard).await;
                }
            });
            let switched = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            switched.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "talk").body(full(""))
        }
        Some(_) => built.header("x-far", "1").body(full(json!({"kind": "Thing", "path": path}).to_string())),
        None => built.status(StatusCode::NOT_FOUND).body(full("{}")),
    };
    built.expect("an answer")
}

/// A plane whose tenants may have servers anywhere, and which can be reached over the network.
async fn plane(dir: &std::path::Path) -> ControlPlane {
    let outbound = Outbound { addresses: Addresses::Any, services: None };
    let builder =
        Server::builder().resources(["all"]).outbound(outbound).data_dir(dir).listen(([127, 0, 0, 1], 0).into());
    ControlPlane::start_with(builder).await.expect("a control plane")
}

/// Waits until an API service gives a reason.
async fn condition(client: &Client, reason: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let api_service = send(client, "GET", API_SERVICE, "", &Value::Null).await.expect("it is there");
        let condition = api_service["status"]["conditions"][0].clone();
        if condition["reason"] == reason {
            return condition;
        }
        assert!(Instant::now() < deadline, "waited for {reason}: {api_service}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn text(client: &Client, path: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.request_text(request.body(Vec::new()).expect("a request")).await.unwrap_or_else(|error| format!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_passed_on_with_their_user_and_nothing_that_proves_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let plane = plane(dir.path()).await;
    let far = Far::start().await;
    let cluster = plane.cluster().await.expect("a cluster");
    far.register(&cluster).await;

    let forged = [
        ("x-remote-user", "root"),
        ("x-remote-group", "system:masters"),
        ("x-remote-extra-kcp.io%2fcluster", "elsewhere"),
        ("authorization", "Bearer secret"),
        ("impersonate-user", "carol"),
        ("impersonate-group", "system:masters"),
        ("impersonate-extra-kcp.io%2fcluster", "elsewhere"),
        ("x-kept", "yes"),
    ];
    let told = text(&cluster.client(), &format!("{ROOT}/namespaces/a/things/b%2Fc?x=1&x=2"), &forged).await;
    assert!(told.contains("/namespaces/a/things/b/c"), "{told}");
    let headers = far.asked("/things/b/c").pop().expect("asked");
    let all = |name: &str| {
        headers.get_all(name).iter().map(|v| v.to_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all("x-remote-user"), ["carol"]);
    assert_eq!(all("x-remote-group"), ["system:masters", "system:authenticated"]);
    assert_eq!(all("x-remote-extra-kcp.io%2Fcluster"), [cluster.name().as_str()]);
    assert_eq!(all("x-kept"), ["yes"]);
    assert!(all("authorization").is_empty() && all("impersonate-user").is_empty());

    let nobody = text(&cluster.client_as("eve", &[]), &format!("{ROOT}/namespaces/a/things"), &[]).await;
    assert!(nobody.contains("forbidden") && far.asked("/a/things").is_empty(), "rights come first: {nobody}");
    let turned = text(&cluster.client(), &format!("{ROOT}/namespaces/a/things/turn"), &[]).await;
    assert!(turned.contains("the backend attempted to redirect this request, which is not permitted"), "{turned}");
    let dotted = text(&cluster.client(), &format!("{ROOT}/%2e%2e/%2e%2e/secret"), &[]).await;
    assert!(dotted.contains("dots") && far.asked("/secret").is_empty(), "{dotted}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_and_other_protocols_are_passed_on_as_they_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let plane = plane(dir.path()).await;
    let far = Far::start().await;
    let cluster = plane.cluster().await.expect("a cluster");
    far.register(&cluster).await;

    let watch = Request::get(format!("{ROOT}/things?watch=true")).body(Vec::new()).expect("a request");
    let mut lines = cluster.client().request_stream(watch).await.expect("a stream").lines();
    for n in 1..=3 {
        let line =
            tokio::time::timeout(PATIENCE, lines.try_next()).await.expect("in time").expect("goes on").expect("a line");
        assert!(line.contains(&format!("\"n\":{n}")), "{line}");
    }

    let pki = std::fs::read_to_string(dir.path().join("pki/admin.crt")).expect("the server wrote it");
    let key = std::fs::read_to_string(dir.path().join("pki/admin.key")).expect("the server wrote it");
    let mut roots = rustls::RootCertStore::empty();
    let ca = plane.server().certificate_authority().to_owned();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate")).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(pki.as_bytes()).expect("a certificate")],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
        )
        .expect("a configuration");
    let address = plane.server().url().trim_start_matches("https://").to_owned();
    let stream = TcpStream::connect(&address).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("speaks TLS");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection.with_upgrades());
    let path = format!("/clusters/{}{ROOT}/namespaces/a/things/talk", cluster.name());
    let request = Request::get(path).header(header::HOST, address).header(header::CONNECTION, "Upgrade");
    let request = request.header(header::UPGRADE, "talk").body(Empty::<Bytes>::new()).expect("a request");
    let mut response = sender.send_request(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut talk = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("another protocol"));
    for (said, expected) in [("hello", "olleh"), ("there", "ereht")] {
        talk.write_all(said.as_bytes()).await.expect("said");
        let mut heard = [0; 5];
        talk.read_exact(&mut heard).await.expect("heard");
        assert_eq!(std::str::from_utf8(&heard), Ok(expected));
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_service_tells_what_is_missing_until_its_server_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let plane = plane(dir.path()).await;
    let far = Far::start().await;
    let cluster = plane.cluster().await.expect("a cluster");
    let client = cluster.client();
    let services = "/api/v1/namespaces/default/services";
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let told = |condition: Value| condition["message"].as_str().unwrap_or_default().to_owned();
    let port = far.address.port();

    send(&client, "POST", API_SERVICES, JSON, &far.api_service()).await.expect("created");
    let found = condition(&client, "ServiceNotFound").await;
    assert_eq!(found["status"], "False");
    assert_eq!(told(found), "service/far in \"default\" is not present");
    let absent = text(&client, &format!("{ROOT}/things"), &[]).await;
    assert!(absent.contains("503") || absent.contains("service unavailable"), "{absent}");
    let aggregated = ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let stale = text(&client, "/apis", &[aggregated]).await;
    assert!(stale.contains("\"freshness\":\"Stale\""), "{stale}");

    let service =
        |port: u16| json!({"metadata": {"name": "far"}, "spec": {"ports": [{"name": "https", "port": port}]}});
    send(&client, "POST", services, JSON, &service(1)).await.expect("created");
    assert_eq!(
        told(condition(&client, "ServicePortError").await),
        format!("service/far in \"default\" is not listening on port {port}")
    );
    let merge = "application/merge-patch+json";
    send(&client, "PATCH", &format!("{services}/far"), merge, &service(port)).await.expect("changed");
    assert_eq!(
        told(condition(&client, "EndpointsNotFound").await),
        "cannot find endpointslices for service/far in \"default\""
    );
    let slice = json!({
        "metadata": {"name": "far-1", "labels": {"kubernetes.io/service-name": "far"}}, "addressType": "IPv4",
        "ports": [{"name": "https", "port": port}],
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": false}}],
    });
    send(&client, "POST", slices, JSON, &slice).await.expect("created");
    assert_eq!(
        told(condition(&client, "MissingEndpoints").await),
        "endpointslices for service/far in \"default\" have no addresses with port name \"https\""
    );
    send(&client, "DELETE", &format!("{services}/far"), "", &Value::Null).await.expect("deleted");
    send(&client, "POST", services, JSON, &external_service()).await.expect("created");
    let found = condition(&client, "Passed").await;
    assert_eq!((found["status"].as_str(), told(found.clone())), (Some("True"), "all checks passed".to_owned()));

    let current = text(&client, "/apis", &[aggregated]).await;
    let parsed: Value = serde_json::from_str(&current).expect("JSON");
    // Its priority is above that of Kubernetes' own groups but the first.
    assert_eq!(parsed["items"][1]["metadata"]["name"], "far.example.com", "{current}");
    let version = &parsed["items"][1]["versions"][0];
    assert_eq!(version["freshness"], "Current");
    assert_eq!(version["resources"][0]["resource"], "things");
    assert_eq!(version["resources"][0]["subresources"][0]["subresource"], "talk");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_reach_nothing_that_the_operator_does_not_permit() {
    let plane = ControlPlane::start_with(Server::builder().resources(["all"])).await.expect("a control plane");
    let far = Far::start().await;
    let cluster = plane.cluster().await.expect("a cluster");
    let client = cluster.client();
    for host in ["localhost", "metadata.google.internal.localhost"] {
        let mut service = external_service();
        service["spec"]["externalName"] = host.into();
        let services = "/api/v1/namespaces/default/services";
        send(&client, "POST", services, JSON, &service).await.expect("created");
        send(&client, "POST", API_SERVICES, JSON, &far.api_service()).await.expect("created");
        condition(&client, "FailedDiscoveryCheck").await;
        send(&client, "DELETE", API_SERVICE, "", &Value::Null).await.expect("deleted");
        send(&client, "DELETE", &format!("{services}/far"), "", &Value::Null).await.expect("deleted");
    }
    assert!(far.asked("").is_empty(), "nobody came");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_tells_each_cluster_which_groups_it_serves_and_whom_to_believe() {
    let plane = ControlPlane::start_with(Server::builder().resources(["all"])).await.expect("a control plane");
    let (one, other) = (
        plane.cluster().await.expect("one"),
        plane.cluster_serving(&["minimal", "apiservices.apiregistration.k8s.io"]).await.expect("one"),
    );
    let client = one.client();
    let get = |path: &'static str| send(&client, "GET", path, "", &Value::Null);
    let listed = get(API_SERVICES).await.expect("listed");
    let apps = listed["items"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["metadata"]["name"] == "v1.apps"))
        .expect("there");
    assert_eq!(apps["status"]["conditions"][0]["reason"], "Local");
    assert_eq!(
        apps["spec"],
        json!({"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15})
    );
    let fewer = send(&other.client(), "GET", API_SERVICES, "", &Value::Null).await.expect("listed").to_string();
    assert!(!fewer.contains("\"v1.apps\"") && fewer.contains("\"v1.\""), "each cluster's own: {fewer}");

    // They are the server's: a group that it serves cannot be given away.
    let stolen = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.apps"},
        "spec": {"group": "apps", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "default", "name": "far"}},
    });
    for (method, path, expected) in [
        ("POST", API_SERVICES.to_owned(), 409),
        ("PUT", format!("{API_SERVICES}/v1.apps"), 403),
        ("DELETE", format!("{API_SERVICES}/v1.apps"), 403),
    ] {
        let body = if method == "DELETE" { &Value::Null } else { &stolen };
        match send(&client, method, &path, JSON, body).await {
            Err(kube::Error::Api(status)) => assert_eq!(status.code, expected, "{method}: {}", status.message),
            told => panic!("{method}: {told:?}"),
        }
    }

    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let ours = get(path).await.expect("told");
    let theirs = send(&other.client(), "GET", path, "", &Value::Null).await.expect("told");
    assert_eq!(ours["data"]["requestheader-client-ca-file"], theirs["data"]["requestheader-client-ca-file"]);
    assert_ne!(
        ours["data"]["requestheader-allowed-names"], theirs["data"]["requestheader-allowed-names"],
        "each its own"
    );
    assert!(
        get("/api/v1/namespaces/kube-system/configmaps").await.expect("listed").to_string().contains("X-Remote-User")
    );
    assert!(!get("/api/v1/namespaces/default/configmaps").await.expect("listed").to_string().contains("X-Remote-User"));
    plane.stop().await;
}
