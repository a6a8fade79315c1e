//! Atoll's controllers: level-triggered loops over the Kubernetes API, each over all logical clusters at once.
//!
//! They know the server by its API only, through the client they are given, and keep nothing that cannot be read again:
//! any of them can be stopped at any point.

mod cluster_api;
mod cluster_roles;
mod conditions;
mod crds;
mod discovery;
mod garbage_collector;
mod namespaces;
mod queue;
mod service_accounts;
mod source;
mod sync;

use std::future::Future;
use std::time::Duration;

use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use cluster_api::Server;
pub use sync::Settings as SyncSettings;

/// How long a controller that panicked is left alone.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What the controllers are given.
#[derive(Clone)]
pub struct Config {
    /// A client of the whole server: its requests have paths as in URLs, `/clusters/<name>/api/v1/…`. Its user must be
    /// allowed everything in every logical cluster, and to list and watch over all of them.
    pub client: Client,
    /// The server's CA certificate in PEM, published in every namespace as `kube-root-ca.crt`; none to publish nothing.
    pub root_ca: Option<String>,
    /// How physical clusters are worked with.
    pub sync: SyncSettings,
    /// Which of the controllers run.
    pub selection: Selection,
}

/// Which of the controllers run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Those that are part of kube-apiserver itself: deleted custom resource definitions take their objects with them.
    /// Nothing collects garbage, empties deleted namespaces or makes service accounts.
    ApiServer,
}

/// Runs all controllers until told to stop, and returns when all have stopped. One that panics is started again.
pub async fn run(config: Config, stop: CancellationToken) {
    let mut running = JoinSet::new();
    let server = Server::new(config.client.clone());
    let mut start = |name, controller: Controller| {
        let (server, config, stop) = (server.clone(), config.clone(), stop.clone());
        running.spawn(keep_running(name, server, config, stop, controller));
    };
    start("custom resource definitions", |server, _, stop| Box::pin(crds::run(server, stop)));
    if config.selection == Selection::ApiServer {
        while running.join_next().await.is_some() {}
        return;
    }
    start("namespaces", |server, _, stop| Box::pin(namespaces::run(server, stop)));
    start("garbage collector", |server, _, stop| Box::pin(garbage_collector::run(server, stop)));
    start("service accounts", |server, config, stop| Box::pin(service_accounts::run(server, config.root_ca, stop)));
    start("cluster roles", |server, _, stop| Box::pin(cluster_roles::run(server, stop)));
    start("sync", |server, config, stop| Box::pin(sync::run(server, config.sync, stop)));
    while running.join_next().await.is_some() {}
}

type Controller = fn(Server, Config, CancellationToken) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Runs a controller in a task of its own, again and again until told to stop.
async fn keep_running(
    name: &'static str,
    server: Server,
    config: Config,
    stop: CancellationToken,
    controller: Controller,
) {
    while !stop.is_cancelled() {
        // Dropping the set ends the controller, if this task itself is ended.
        let mut task = JoinSet::new();
        task.spawn(controller(server.clone(), config.clone(), stop.clone()));
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
