//! What the example `aggregated` promises, behind Atoll and behind a kube-apiserver.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use atoll::outbound::{Addresses, Outbound};
use atoll::test::{Cluster, ControlPlane};
use http::Request;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const BOATS: &str = "/apis/harbour.example.com/v1/namespaces/default/boats";
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.harbour.example.com";

async fn send(client: &Client, method: &str, path: &str, body: Value) -> kube::Result<Value> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    client.request(request.body(body).expect("a request")).await
}

/// Registers a server, and waits for what its API service says of it.
async fn register(front: &Client, running: &Running, expected: (&str, &str)) -> Value {
    for object in registration(running) {
        let path = match object["kind"].as_str() {
            Some("Service") => "/api/v1/namespaces/default/services",
            _ => "/apis/apiregistration.k8s.io/v1/apiservices",
        };
        send(front, "POST", path, object).await.expect("created");
    }
    available(front, expected).await
}

/// Waits until the API service is available or not, for a reason.
async fn available(front: &Client, (status, reason): (&str, &str)) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let api_service = send(front, "GET", API_SERVICE, Value::Null).await.expect("it is there");
        let condition = api_service["status"]["conditions"][0].clone();
        if condition["status"] == status && condition["reason"] == reason {
            return condition;
        }
        assert!(Instant::now() < deadline, "waited for {status} ({reason}): {api_service}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn boat(name: &str, sails: u32) -> Value {
    json!({
        "apiVersion": "harbour.example.com/v1", "kind": "Boat", "metadata": {"name": name}, "spec": {"sails": sails},
    })
}

async fn started(front: Client) -> Running {
    let builder = harbour(front).await.expect("the server in front says whom to believe");
    builder.listen(([127, 0, 0, 1], 0).into()).build().await.expect("built").start().await.expect("started")
}

fn code(answer: kube::Result<Value>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other:?}"),
    }
}

/// Lets a user read and make boats in one namespace.
async fn allow(cluster: &Cluster<'_>, user: &str) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rule = json!({"apiGroups": ["harbour.example.com"], "resources": ["boats"], "verbs": ["get", "list", "watch", "create"]});
    let role = json!({"metadata": {"name": "sailor"}, "rules": [rule]});
    let binding = json!({
        "metadata": {"name": "sailor"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "sailor"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    for (path, object) in [("roles", role), ("rolebindings", binding)] {
        send(&cluster.client(), "POST", &format!("{rbac}/{path}"), object).await.expect("created");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_a_cluster_is_served_by_another_server() {
    let outbound = Outbound { addresses: Addresses::Any, services: None };
    let plane =
        ControlPlane::start_with(Server::builder().resources(["all"]).outbound(outbound)).await.expect("a plane");
    let ours = plane.cluster().await.expect("a cluster");
    let front = ours.client();
    let running = started(front.clone()).await;
    register(&front, &running, ("True", "Passed")).await;

    send(&front, "POST", BOATS, boat("dinghy", 1)).await.expect("created there");
    let listed = send(&front, "GET", BOATS, Value::Null).await.expect("listed");
    assert_eq!(listed["items"][0]["metadata"]["name"], "dinghy", "{listed}");
    assert_eq!(code(send(&front, "POST", BOATS, boat("raft", 0)).await), 422, "its schema holds");

    // Users are those of the server in front, and so are their rights.
    allow(&ours, "alice").await;
    let alice = ours.client_as("alice", &[]);
    send(&alice, "POST", BOATS, boat("sloop", 2)).await.expect("allowed");
    assert_eq!(code(send(&alice, "DELETE", &format!("{BOATS}/sloop"), Value::Null).await), 403);
    assert_eq!(code(send(&ours.client_as("bob", &[]), "GET", BOATS, Value::Null).await), 403);

    // Discovery and schemas are one.
    let groups = send(&front, "GET", "/apis", Value::Null).await.expect("discovery");
    assert!(groups.to_string().contains("harbour.example.com/v1"), "{groups}");
    let resources = front.list_api_group_resources("harbour.example.com/v1").await.expect("discovery");
    assert_eq!(resources.resources[0].name, "boats");
    let index = send(&front, "GET", "/openapi/v3", Value::Null).await.expect("an index");
    let url = index["paths"]["apis/harbour.example.com/v1"]["serverRelativeURL"].as_str().expect("listed").to_owned();
    let below = url.strip_prefix(&format!("/clusters/{}", ours.name())).expect("in this cluster");
    let schema = send(&front, "GET", below, Value::Null).await.expect("a document");
    assert!(schema.to_string().contains("\"sails\""), "{schema}");
    let whole = send(&front, "GET", "/openapi/v2", Value::Null).await.expect("a document");
    assert!(whole["paths"].get(BOATS.replace("default", "{namespace}")).is_some());

    // It is in no other cluster, and nobody there can have it told anything.
    let theirs = plane.cluster().await.expect("a cluster");
    assert_eq!(code(send(&theirs.client(), "GET", BOATS, Value::Null).await), 404);
    let refused = register(&theirs.client(), &running, ("False", "FailedDiscoveryCheck")).await;
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("40")), "not believed: {refused}");
    assert_eq!(code(send(&theirs.client(), "GET", BOATS, Value::Null).await), 503);
    let still = send(&front, "GET", BOATS, Value::Null).await.expect("listed");
    assert_eq!(still["items"].as_array().map(Vec::len), Some(2));

    // When it goes, so does its group.
    running.stop().await;
    send(&front, "DELETE", API_SERVICE, Value::Null).await.expect("deleted");
    assert_eq!(code(send(&front, "GET", BOATS, Value::Null).await), 404);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_server_serves_behind_a_kube_apiserver() {
    let Some(kubernetes) = Kubernetes::start() else {
        // Written past the capture of test output, so that nobody takes this for a test that ran.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: there is no kube-apiserver and etcd in KUBEBUILDER_ASSETS, ATOLL_KUBE_APISERVER and ATOLL_ETCD"
        );
        return;
    };
    let front = kubernetes.client().await;
    let running = started(front.clone()).await;
    register(&front, &running, ("True", "Passed")).await;
    send(&front, "POST", BOATS, boat("dinghy", 1)).await.expect("created there");
    let listed = send(&front, "GET", BOATS, Value::Null).await.expect("listed");
    assert_eq!(listed["items"][0]["metadata"]["name"], "dinghy", "{listed}");
    assert_eq!(code(send(&kubernetes.user("bob").await, "GET", BOATS, Value::Null).await), 403);
    running.stop().await;
}

/// A kube-apiserver with an etcd of its own; both end when this is dropped.
struct Kubernetes {
    processes: Vec<Child>,
    url: String,
    _directory: tempfile::TempDir,
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A binary that a variable names, or that is in the folder of envtest's.
fn binary(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let asset = || std::env::var_os("KUBEBUILDER_ASSETS").map(|folder| Path::new(&folder).join(name));
    named.or_else(asset).filter(|path| path.exists())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

impl Kubernetes {
    fn start() -> Option<Self> {
        let (apiserver, etcd) = (binary("ATOLL_KUBE_APISERVER", "kube-apiserver")?, binary("ATOLL_ETCD", "etcd")?);
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let (client, peer, port) = (free_port(), free_port(), free_port());
        let key = |name: &str, names: &[&str], issuer: Option<&rcgen::Issuer<'_, rcgen::KeyPair>>| {
            let pair = rcgen::KeyPair::generate().expect("a key");
            let mut params = rcgen::CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
                .expect("names");
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.extended_key_usages =
                vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth, rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            if issuer.is_none() {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
            let certificate = match issuer {
                Some(issuer) => params.signed_by(&pair, issuer),
                None => params.self_signed(&pair),
            };
            let certificate = certificate.expect("a certificate").pem();
            std::fs::write(at(&format!("{name}.crt")), &certificate).expect("written");
            std::fs::write(at(&format!("{name}.key")), pair.serialize_pem()).expect("written");
            (certificate, pair)
        };
        let (ca, ca_key) = key("front-ca", &[], None);
        let issuer = rcgen::Issuer::from_ca_cert_pem(&ca, ca_key).expect("a CA");
        key("front-proxy", &[], Some(&issuer));
        key("tokens", &[], None);
        std::fs::write(at("tokens.csv"), "admins,admin,1,system:masters\nbobs,bob,2\n").expect("written");
        let spawn = |command: &mut Command| {
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be started")
        };
        let etcd = spawn(
            Command::new(etcd)
                .args([
                    "--data-dir",
                    &at("etcd"),
                    "--unsafe-no-fsync",
                    "--listen-peer-urls",
                    &format!("http://127.0.0.1:{peer}"),
                ])
                .args(["--listen-client-urls", &format!("http://127.0.0.1:{client}")])
                .args(["--advertise-client-urls", &format!("http://127.0.0.1:{client}")]),
        );
        let apiserver = spawn(
            Command::new(apiserver)
                .args(["--etcd-servers", &format!("http://127.0.0.1:{client}"), "--cert-dir", &at("certs")])
                .args([
                    "--bind-address",
                    "127.0.0.1",
                    "--secure-port",
                    &port.to_string(),
                    "--token-auth-file",
                    &at("tokens.csv"),
                ])
                .args(["--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24"])
                .args(["--service-account-issuer", "https://kubernetes.default.svc"])
                .args([
                    "--service-account-key-file",
                    &at("tokens.crt"),
                    "--service-account-signing-key-file",
                    &at("tokens.key"),
                ])
                .args([
                    "--requestheader-client-ca-file",
                    &at("front-ca.crt"),
                    "--requestheader-allowed-names",
                    "front-proxy",
                ])
                .args([
                    "--requestheader-username-headers",
                    "X-Remote-User",
                    "--requestheader-group-headers",
                    "X-Remote-Group",
                ])
                .args(["--requestheader-extra-headers-prefix", "X-Remote-Extra-"])
                .args([
                    "--proxy-client-cert-file",
                    &at("front-proxy.crt"),
                    "--proxy-client-key-file",
                    &at("front-proxy.key"),
                ]),
        );
        let url = format!("https://127.0.0.1:{port}");
        Some(Self { processes: vec![etcd, apiserver], url, _directory: directory })
    }

    /// The administrator's client, once the server is ready and says whom to believe.
    async fn client(&self) -> Client {
        let client = self.with_token("admins");
        let deadline = Instant::now() + PATIENCE * 3;
        let trust = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
        for path in ["/api/v1/namespaces/default", trust] {
            while send(&client, "GET", path, Value::Null).await.is_err() {
                assert!(Instant::now() < deadline, "the kube-apiserver does not become ready");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        client
    }

    async fn user(&self, name: &str) -> Client {
        self.with_token(&format!("{name}s"))
    }

    fn with_token(&self, token: &str) -> Client {
        let mut config = Config::new(self.url.parse().expect("a URL"));
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(token.to_owned().into());
        Client::try_from(config).expect("a client")
    }
}
