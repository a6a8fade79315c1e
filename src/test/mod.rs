//! A control plane for tests: in the test's own process, in memory, without a port, with a fresh cluster for each test.
//!
//! It is the whole server, controllers included; nothing is stubbed. It starts in some milliseconds, and one
//! serves any number of tests at a time, since each works in a logical cluster of its own.
//!
//! ```
//! use atoll::test::ControlPlane;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::Api;
//!
//! #[tokio::main(flavor = "current_thread")] // in a test: #[tokio::test]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = ControlPlane::shared().await?.cluster().await?.client();
//!     let config_maps: Api<ConfigMap> = Api::namespaced(client, "default");
//!     let made = serde_json::from_value(serde_json::json!({"metadata": {"name": "greeting"}}))?;
//!     config_maps.create(&Default::default(), &made).await?;
//!     assert!(config_maps.get_opt("greeting").await?.is_some());
//!     Ok(())
//! }
//! ```

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atoll_api::user::{ALL_AUTHENTICATED, SYSTEM_MASTERS};
use atoll_api::{LogicalClusterName, UserInfo};
use http::Request;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, oneshot};
use tokio::time::{Instant, sleep};

use crate::outbound::{Addresses, Outbound};
use crate::server::{self, Builder, Running, Server};

/// Where logical clusters are created and deleted.
const WORKSPACES: &str = "/apis/tenancy.kcp.io/v1alpha1/workspaces";
/// What pods need in their namespace before they can be created.
const SERVICE_ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/default";
/// How long the controllers may take to ready a new cluster, on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a new cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A whole control plane in this process.
pub struct ControlPlane {
    running: Running,
    made: AtomicU64,
}

/// A logical cluster of a [`ControlPlane`].
#[derive(Clone)]
pub struct Cluster<'a> {
    plane: &'a ControlPlane,
    name: LogicalClusterName,
}

/// Why a control plane or a cluster of it is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be started.
    #[error("the control plane cannot start")]
    Start(#[source] server::Error),
    /// The thread on which the shared control plane runs could not be started, or has ended.
    #[error("the thread of the shared control plane cannot start")]
    Thread(#[source] Option<std::io::Error>),
    /// The server refused.
    #[error("the control plane refuses the logical cluster {name}")]
    Refused {
        /// The cluster's name.
        name: String,
        /// Why.
        #[source]
        cause: Box<kube::Error>,
    },
    /// The name is not one that a logical cluster can have.
    #[error("{name:?} cannot be the name of a logical cluster")]
    Name {
        /// What was asked for.
        name: String,
    },
    /// The controllers did not ready a new cluster in time.
    #[error("the logical cluster {name} has no default service account yet; are there controllers?")]
    NotReady {
        /// The cluster's name.
        name: String,
    },
}

/// The control plane that the tests of a process share.
static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts a control plane that serves everything Atoll does, keeps it in memory, and has no port.
    pub async fn start() -> Result<Self, Error> {
        // The webhooks and API servers that a test registers are on the machine it runs on.
        let outbound = Outbound { addresses: Addresses::Any, ..Outbound::default() };
        Self::start_with(Server::builder().resources(["all"]).outbound(outbound)).await
    }

    /// Starts a control plane made of what a builder says, such as one with admission plugins of your own.
    pub async fn start_with(builder: Builder) -> Result<Self, Error> {
        let server = builder.grace_period(Duration::ZERO).build().await.map_err(Error::Start)?;
        let running = server.start().await.map_err(Error::Start)?;
        Ok(Self { running, made: AtomicU64::new(0) })
    }

    /// The one control plane that all tests of this process share, started by the first that asks. It has threads of its
    /// own, since the runtime of a test ends with the test, and ends with the process.
    pub async fn shared() -> Result<&'static Self, Error> {
        SHARED
            .get_or_try_init(|| async {
                let (tell, told) = oneshot::channel();
                let named = std::thread::Builder::new().name("atoll-test".to_owned());
                named.spawn(move || run_apart(tell)).map_err(|error| Error::Thread(Some(error)))?;
                told.await.unwrap_or(Err(Error::Thread(None)))
            })
            .await
    }

    /// A fresh logical cluster with everything in it that the control plane serves.
    pub async fn cluster(&self) -> Result<Cluster<'_>, Error> {
        self.cluster_serving(&["all"]).await
    }

    /// A fresh logical cluster that serves these sets (`minimal`, `control-plane`, `workloads`, `all`) and resources
    /// (`deployments.apps`).
    pub async fn cluster_serving(&self, resources: &[&str]) -> Result<Cluster<'_>, Error> {
        let name = format!("test-{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.cluster_named(&name, resources).await
    }

    /// A new logical cluster of this name.
    pub async fn cluster_named(&self, name: &str, resources: &[&str]) -> Result<Cluster<'_>, Error> {
        let workspace = json!({
            "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
            "spec": {"resources": resources},
        });
        let parsed = LogicalClusterName::parse(name).map_err(|_| Error::Name { name: name.to_owned() })?;
        let refused = |cause| Error::Refused { name: name.to_owned(), cause: Box::new(cause) };
        call(&self.root().client(), "POST", WORKSPACES, &workspace).await.map_err(refused)?;
        let cluster = Cluster { plane: self, name: parsed };
        cluster.settled().await?;
        Ok(cluster)
    }

    /// The system cluster, in which the logical clusters are objects.
    pub fn root(&self) -> Cluster<'_> {
        Cluster { plane: self, name: LogicalClusterName::root() }
    }

    /// The server.
    pub fn server(&self) -> &Running {
        &self.running
    }

    /// Stops the server and its controllers.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// Runs a control plane on this thread for as long as the process lives.
fn run_apart(tell: oneshot::Sender<Result<ControlPlane, Error>>) {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = tell.send(Err(Error::Thread(Some(error))));
            return;
        }
    };
    runtime.block_on(async {
        let started = ControlPlane::start().await;
        let runs = started.is_ok();
        // Nobody waits any more if the test that asked was cut off: the next one starts another.
        if tell.send(started).is_ok() && runs {
            pending::<()>().await;
        }
    });
}

// === impl Cluster ===

impl Cluster<'_> {
    /// The cluster's name.
    pub fn name(&self) -> &LogicalClusterName {
        &self.name
    }

    /// A client as the administrator, who may do everything.
    pub fn client(&self) -> Client {
        self.client_as("admin", &[SYSTEM_MASTERS])
    }

    /// A client as somebody who may do what policy allows: at first, next to nothing.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        let groups = groups.iter().copied().chain([ALL_AUTHENTICATED]);
        self.plane.running.client(&self.name, UserInfo::named(user, groups))
    }

    /// Deletes the cluster, with everything in it. It need not be done: a cluster costs a few kilobytes.
    pub async fn delete(self) -> Result<(), Error> {
        let path = format!("{WORKSPACES}/{}", self.name);
        let refused = |cause| Error::Refused { name: self.name.to_string(), cause: Box::new(cause) };
        call(&self.plane.root().client(), "DELETE", &path, &Value::Null).await.map_err(refused)?;
        Ok(())
    }

    /// Waits until pods can be created: their service account is made by a controller, as in Kubernetes.
    async fn settled(&self) -> Result<(), Error> {
        let client = self.client();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match call(&client, "GET", SERVICE_ACCOUNT, &Value::Null).await {
                // Not there yet; what is not served at all names no object.
                Err(kube::Error::Api(status)) if status.details.as_ref().is_some_and(|d| d.name == "default") => {}
                _ => return Ok(()),
            }
            sleep(LOOK_EVERY).await;
        }
        Err(Error::NotReady { name: self.name.to_string() })
    }
}

/// Sends one request; the answer as JSON.
async fn call(client: &Client, method: &str, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    client.request(request.body(bytes).map_err(kube::Error::HttpError)?).await
}

#[cfg(test)]
mod tests;
