//! Atoll's controllers: level-triggered loops over the Kubernetes API, each over all logical clusters at once.
//!
//! They know the server by its API only, through the client they are given, and keep nothing that cannot be read again:
//! any of them can be stopped at any point.

mod availability;
mod certificates;
mod cluster_api;
mod cluster_roles;
mod conditions;
mod crds;
mod discovery;
mod ensure;
mod frame;
mod garbage_collector;
mod in_use;
mod kubernetes_service;
mod namespaces;
mod queue;
mod service_accounts;
mod source;
mod sync;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use certificates::{CertificateRequest, Sign, Signed, Signing};
use cluster_api::Server;
use in_use::Kept;
pub use kubernetes_service::Settings as KubernetesService;
pub use sync::Settings as SyncSettings;

/// How long a controller that panicked is left alone.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What the controllers are given.
#[derive(Clone)]
pub struct Config {
    /// Makes a client of the whole server that works as a user: its requests have paths as in URLs,
    /// `/clusters/<name>/api/v1/…`.
    pub clients: Arc<dyn Fn(User) -> Client + Send + Sync>,
    /// The server's CA certificate in PEM, published in every namespace as `kube-root-ca.crt`; none to publish nothing.
    pub root_ca: Option<String>,
    /// Where the `kubernetes` service of every cluster leads; none to make none.
    pub kubernetes_service: Option<KubernetesService>,
    /// How physical clusters are worked with.
    pub sync: SyncSettings,
    /// How certificates are signed.
    pub signing: Signing,
    /// How the servers behind API services are found and asked.
    pub probe: Probe,
    /// Which of the controllers run.
    pub selection: Selection,
}

/// How the servers behind API services are found and asked: by the server, which is the one that must reach them.
#[derive(Clone)]
pub struct Probe {
    /// Where the services that they name are.
    pub services: ServicesAre,
    /// Asks the server behind an API service, by cluster and name, for its group and version; why it does not answer.
    pub ask: Arc<Ask>,
}

/// Asks the server behind an API service, by the names of its cluster and its own.
pub type Ask = dyn Fn(String, String) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// Where services are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServicesAre {
    /// Where the objects of their cluster say.
    Stored,
    /// Where somebody else knows, who need not look at those objects.
    Known,
}

/// Which of the controllers run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Those that are part of kube-apiserver itself: deleted custom resource definitions take their objects with them, and
    /// there is a service called `kubernetes`; API services tell whether their servers are there. Nothing collects garbage,
    /// empties deleted namespaces or makes service accounts.
    ApiServer,
}

/// Whom controllers work as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// `system:kube-controller-manager`, who follows everything in every cluster, and changes little.
    Manager,
    /// A service account of the namespace `kube-system`, with the rights that the bootstrap policy gives the
    /// controller of that name in every cluster.
    ServiceAccount(&'static str),
    /// The server itself, who may do everything.
    Server,
}

/// Runs all controllers until told to stop, and returns when all have stopped. One that panics is started again.
pub async fn run(config: Config, stop: CancellationToken) {
    let mut running = JoinSet::new();
    let mut start = |name, controller: Controller| {
        running.spawn(keep_running(name, config.clone(), stop.clone(), controller));
    };
    // In Kubernetes this is the API server's own work.
    start("custom resource definitions", |config, stop| Box::pin(crds::run(Server::new(&config, User::Server), stop)));
    if config.kubernetes_service.is_some() {
        start("kubernetes service", |config, stop| {
            let server = Server::new(&config, User::Server);
            Box::pin(async move {
                if let Some(settings) = config.kubernetes_service {
                    kubernetes_service::run(server, settings, stop).await;
                }
            })
        });
    }
    start("availability of API services", |config, stop| {
        Box::pin(availability::run(Server::new(&config, User::Server), config.probe, stop))
    });
    if config.selection == Selection::ApiServer {
        while running.join_next().await.is_some() {}
        return;
    }
    start("namespaces", |config, stop| {
        let server = Server::new(&config, User::ServiceAccount("namespace-controller"));
        Box::pin(namespaces::run(server, stop))
    });
    start("garbage collector", |config, stop| {
        let server = Server::new(&config, User::ServiceAccount("generic-garbage-collector"));
        Box::pin(garbage_collector::run(server, stop))
    });
    start("service accounts", |config, stop| {
        let accounts = Server::new(&config, User::ServiceAccount("service-account-controller"));
        let certificates = Server::new(&config, User::ServiceAccount("root-ca-cert-publisher"));
        Box::pin(service_accounts::run(accounts, certificates, config.root_ca, stop))
    });
    start("cluster roles", |config, stop| {
        let server = Server::new(&config, User::ServiceAccount("clusterrole-aggregation-controller"));
        Box::pin(cluster_roles::run(server, stop))
    });
    start("certificates", |config, stop| {
        let server = Server::new(&config, User::ServiceAccount("certificate-controller"));
        Box::pin(certificates::run(server, config.signing, stop))
    });
    start("claims in use", |config, stop| Box::pin(in_use(Kept::Claims, config, stop)));
    start("volumes in use", |config, stop| Box::pin(in_use(Kept::Volumes, config, stop)));
    start("classes of volumes in use", |config, stop| Box::pin(in_use(Kept::Classes, config, stop)));
    start("sync", |config, stop| {
        let server = Server::new(&config, User::Server);
        Box::pin(sync::run(server, config.sync, stop))
    });
    while running.join_next().await.is_some() {}
}

async fn in_use(kept: Kept, config: Config, stop: CancellationToken) {
    kept.run(Server::new(&config, User::ServiceAccount(kept.controller())), stop).await;
}

type Controller = fn(Config, CancellationToken) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Runs a controller in a task of its own, again and again until told to stop.
async fn keep_running(name: &'static str, config: Config, stop: CancellationToken, controller: Controller) {
    while !stop.is_cancelled() {
        // Dropping the set ends the controller, if this task itself is ended.
        let mut task = JoinSet::new();
        task.spawn(controller(config.clone(), stop.clone()));
        match task.join_next().await {
            Some(Err(error)) if error.is_panic() => tracing::error!(name, "a controller panicked; starting it again"),
            _ if stop.is_cancelled() => return,
            _ => tracing::error!(name, "a controller ended; starting it again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(RESTART_PAUSE) => {}
        }
    }
}

// === impl User ===

impl User {
    /// The user's name.
    pub fn name(self) -> String {
        match self {
            Self::Manager => "system:kube-controller-manager".to_owned(),
            Self::ServiceAccount(name) => format!("system:serviceaccount:kube-system:{name}"),
            Self::Server => "system:apiserver".to_owned(),
        }
    }

    /// The groups the user is in, besides that of all who are known.
    pub fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Manager => &[],
            Self::ServiceAccount(_) => &["system:serviceaccounts", "system:serviceaccounts:kube-system"],
            Self::Server => &["system:masters"],
        }
    }
}
