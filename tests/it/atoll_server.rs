//! A server to be tested: started, asked, waited for.
//!
//! Asks in process, as an administrator; listens on a port of its own for those who must come over the network.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use atoll::http::{ApiService, Identity};
use atoll::server::{Running, Server};
use atoll_api::UserInfo;
use atoll_controllers::SyncSettings;
use base64::Engine;
use http::Request;
use kube::Client;
use kube::core::Status;
use serde_json::{Value, json};
use tower::ServiceExt;

/// How long anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub(crate) struct Atoll {
    running: Running,
    client: Client,
    /// A kubeconfig with which it can be reached over the network.
    pub(crate) kubeconfig: String,
}

/// Where a server keeps its data, and at which address it is.
pub(crate) struct Home {
    directory: PathBuf,
    address: std::net::SocketAddr,
}

impl Atoll {
    /// A server with all kinds that forgets everything when it stops.
    pub(crate) async fn start() -> Self {
        Self::start_with(builder()).await
    }

    /// A server that can be started again where it was.
    pub(crate) async fn start_at(home: &mut Home) -> Self {
        let storage = home.directory.join("store").display().to_string();
        let server = Self::start_with(builder().data_dir(&home.directory).storage(storage).listen(home.address)).await;
        let address = server.running.url().trim_start_matches("https://").parse().expect("an address");
        home.address = address;
        server
    }

    /// A server that gives up on unregistered targets at once.
    pub(crate) async fn start_impatient() -> Self {
        Self::start_with(builder().sync(SyncSettings { patience: Duration::ZERO, ..fast() })).await
    }

    async fn start_with(builder: atoll::server::Builder) -> Self {
        let server = Self::build(builder).await;
        let kubeconfig = server.pki().admin_kubeconfig.clone();
        let client = client(server.service());
        let running = server.start().await.expect("a running server");
        Self { running, client, kubeconfig }
    }

    /// Builds a server. The store of one that was stopped is free as soon as its last client is dropped.
    async fn build(builder: atoll::server::Builder) -> Server {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match builder.clone().build().await {
                Ok(server) => return server,
                Err(error) => assert!(Instant::now() < deadline, "a server: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the server.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// Creates a logical cluster, and gives the prefix of its paths.
    pub(crate) async fn cluster(&self, name: &str) -> String {
        let workspace = json!({
            "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
            "spec": {"resources": ["all"]},
        });
        self.post("/apis/tenancy.kcp.io/v1alpha1/workspaces", workspace).await;
        format!("/clusters/{name}")
    }

    /// Sends a request; the answer as JSON, or the failure.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<Value>,
    ) -> Result<Value, Box<Status>> {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", media);
        match self.client.request(request.body(bytes).expect("a request")).await {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) => Err(status),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// Creates an object in a collection.
    pub(crate) async fn post(&self, path: &str, object: Value) -> Value {
        let answer = self.call("POST", path, "application/json", Some(object)).await;
        answer.unwrap_or_else(|status| panic!("POST {path}: {} {}", status.code, status.message))
    }

    /// Merges a patch into an object.
    pub(crate) async fn patch(&self, path: &str, patch: Value) -> Value {
        let answer = self.call("PATCH", path, "application/merge-patch+json", Some(patch)).await;
        answer.unwrap_or_else(|status| panic!("PATCH {path}: {} {}", status.code, status.message))
    }

    /// Deletes an object, or begins to; the query may say how.
    pub(crate) async fn delete(&self, path: &str) {
        let answer = self.call("DELETE", path, "application/json", None).await;
        answer.unwrap_or_else(|status| panic!("DELETE {path}: {} {}", status.code, status.message));
    }

    /// An object, if it is there.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        match self.call("GET", path, "application/json", None).await {
            Ok(object) => Some(object),
            Err(status) if status.code == 404 => None,
            Err(status) => panic!("GET {path}: {} {}", status.code, status.message),
        }
    }

    /// The names in a collection, sorted.
    pub(crate) async fn names(&self, path: &str) -> Vec<String> {
        let list = self.get(path).await.unwrap_or_default();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> =
            items.iter().filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    }

    /// Waits until an object is as it should be.
    pub(crate) async fn until(&self, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            if let Some(found) = self.get(path).await {
                if is_so(&found) {
                    return found;
                }
                last = found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{path} is not {what} yet: {last:#}");
    }

    /// Waits until an object is there.
    pub(crate) async fn until_there(&self, path: &str) -> Value {
        self.until(path, "there", |_| true).await
    }

    /// Waits until an object is gone.
    pub(crate) async fn until_gone(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(found) = self.get(path).await {
            assert!(Instant::now() < deadline, "{path} is still there: {found:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Registers another server as a physical cluster.
    pub(crate) async fn register(&self, name: &str, physical: &Self) -> Value {
        self.register_kubeconfig(name, &physical.kubeconfig).await
    }

    /// Registers what a kubeconfig names as a physical cluster.
    pub(crate) async fn register_kubeconfig(&self, name: &str, kubeconfig: &str) -> Value {
        let data = base64::engine::general_purpose::STANDARD.encode(kubeconfig);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"kubeconfig": data},
        });
        self.post("/api/v1/namespaces/default/secrets", secret).await;
        let target = json!({
            "apiVersion": "workload.atoll.dev/v1alpha1", "kind": "SyncTarget", "metadata": {"name": name},
            "spec": {"kubeconfig": {"namespace": "default", "name": name}},
        });
        self.post("/apis/workload.atoll.dev/v1alpha1/synctargets", target).await
    }
}

impl Home {
    /// A home in a directory, at a port that is chosen when it is first used.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), address: ([127, 0, 0, 1], 0).into() }
    }
}

fn builder() -> atoll::server::Builder {
    Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .resources(vec!["all".to_owned()])
        .grace_period(Duration::ZERO)
        .sync(fast())
}

fn fast() -> SyncSettings {
    SyncSettings { heartbeat: Duration::from_millis(200), ..SyncSettings::default() }
}

fn client(service: ApiService) -> Client {
    let user = UserInfo::named("admin", ["system:masters"]);
    let service = service.map_request(move |mut request: Request<kube::client::Body>| {
        request.extensions_mut().insert(Identity(user.clone()));
        request
    });
    Client::new(service, "default")
}
