//! Putting a server together and running it.
//!
//! [`Server::builder`] says what is wanted, `build` checks everything and opens the store, `start` serves.

mod bootstrap;
mod builder;
mod client;
mod delegation;
mod election;
mod extend;
mod flow;
mod gather;
mod keys;
pub mod kubeconfig;
mod listen;
mod objects;
mod peers;
pub mod pki;
mod renewal;
pub mod shared;
mod waiting;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use atoll_api::user::ALL_AUTHENTICATED;
use atoll_api::{LogicalClusterName, UserInfo};
use futures::FutureExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use atoll_controllers::Selection as Controllers;
pub use builder::{Builder, Error};
pub use delegation::DelegationError;
pub use objects::Objects;

use crate::authz::stored::StoredUnderlay;
use crate::http::aggregation::probe as probe_server;
use crate::http::{Api, ApiService};
use crate::resources::AddressRange;
use crate::tenancy::Retention;
use crate::tenancy::keeper::Keeper;
use crate::tenancy::maker::Maker;
use crate::tenancy::reaper::Reaper;

/// How long a server that stops takes at most to let another one run the controllers at once.
const RELEASE_PATIENCE: Duration = Duration::from_secs(2);

/// A server that is ready to serve.
pub struct Server {
    api: Arc<Api>,
    service: ApiService,
    keys: keys::Keys,
    /// What a listener works by, and the files that are renewed; none where there are neither.
    tls: Option<renewal::Renewal>,
    listener: Option<TcpListener>,
    underlay: Arc<StoredUnderlay>,
    grace: Duration,
    controllers: ControllerSettings,
}

/// What is said of the controllers.
struct ControllerSettings {
    /// The addresses of services, of which the `kubernetes` service has the first.
    service_addresses: AddressRange,
    /// Where that leads, if it was said.
    advertised: Option<IpAddr>,
    sync: atoll_controllers::SyncSettings,
    selection: Controllers,
    /// For how long deleted clusters are kept.
    retention: Duration,
}

/// A server that serves; stops when [`Running::stop`] is called.
pub struct Running {
    api: Arc<Api>,
    service: ApiService,
    keys: keys::Keys,
    address: Option<SocketAddr>,
    stop: CancellationToken,
    /// Told when another server may run the controllers.
    released: oneshot::Receiver<()>,
    tasks: Vec<JoinHandle<()>>,
}

// === impl Server ===

impl Server {
    /// What a server is made of, with the defaults of `atoll serve`.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The API as a tower service: what the listener serves, middleware included, without a socket.
    pub fn service(&self) -> ApiService {
        self.service.clone()
    }

    /// The server's keys and certificates.
    pub fn pki(&self) -> &pki::Pki {
        self.keys.get()
    }

    /// Starts to serve, and starts the controllers.
    pub async fn start(self) -> Result<Running, Error> {
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        let mut address = None;
        if let Some(tls) = self.tls {
            if let Some(listener) = self.listener {
                address = listener.local_addr().ok();
                let service = (self.service.clone(), tls.peers());
                tasks.push(tokio::spawn(listen::serve(listener, tls.current(), service, stop.clone(), self.grace)));
            }
            tasks.push(tokio::spawn(tls.run(stop.clone())));
        }
        tasks.push(tokio::spawn(self.underlay.run(stop.clone())));
        tasks.push(tokio::spawn(self.api.flow.policies().clone().run(stop.clone())));
        let (api, store) = (self.api.clone(), self.api.registry.store().clone());
        let config = atoll_controllers::Config {
            clients: Arc::new(move |user| {
                let groups = user.groups().iter().copied().chain([ALL_AUTHENTICATED]);
                client::of_server(ApiService::new(api.clone()), UserInfo::named(user.name(), groups))
            }),
            root_ca: None,
            kubernetes_service: address.map(|address| atoll_controllers::KubernetesService {
                range: self.controllers.service_addresses.cidr(),
                cluster_ip: self.controllers.service_addresses.first(),
                address: self.controllers.advertised.or_else(|| reachable(address.ip())),
                port: address.port(),
            }),
            sync: self.controllers.sync,
            signing: signing(&self.api, &self.keys),
            probe: probe(&self.api),
            selection: self.controllers.selection,
        };
        let candidate = election::Candidate::new(store.clone());
        let (registry, surfaces) = (self.api.registry.clone(), self.api.surfaces.clone());
        let (retention, keys) = (self.controllers.retention, self.keys.clone());
        let work: election::Work = Box::new(move |stop| {
            let stored_form = crate::registry::encode::encode;
            let reaper = Reaper::new(store.clone(), Retention { usual: retention, stored_form });
            let maker = Maker::new(store.clone(), stored_form);
            let keeper = Keeper::new(store.clone(), stored_form);
            let upkeep = flow::Upkeep { registry: registry.clone(), surfaces: surfaces.clone() };
            let (mut config, keys) = (config.clone(), keys.clone());
            let all = async move {
                config.root_ca = Some(keys.ready().await.ca.certificate.clone());
                let lifecycle =
                    async { tokio::join!(reaper.run(stop.clone()), maker.run(stop.clone()), keeper.run(stop.clone())) };
                let upkeep = upkeep.run(stop.clone());
                tokio::join!(lifecycle, upkeep, atoll_controllers::run(config, stop.clone()))
            };
            all.map(|_| ()).boxed()
        });
        let (release, released) = oneshot::channel();
        tasks.push(tokio::spawn(candidate.run(work, stop.clone(), release)));
        Ok(Running { api: self.api, service: self.service, keys: self.keys, address, stop, released, tasks })
    }
}

/// How the controllers have certificates signed: each holds in the cluster where it was asked for, as it is then.
fn signing(api: &Arc<Api>, keys: &keys::Keys) -> atoll_controllers::Signing {
    use atoll_controllers::{CertificateRequest, Signed, Signing};
    let (api, keys) = (Arc::downgrade(api), keys.clone());
    let signer =
        LazyLock::new(move || pki::ClusterSigner::new(&keys.get().clusters).map_err(|error| error.to_string()));
    let sign = move |wanted: &CertificateRequest| {
        let cluster = LogicalClusterName::parse(&wanted.cluster).ok();
        let found = api.upgrade().and_then(|api| cluster.and_then(|cluster| api.clusters.find(&cluster)));
        let Some(found) = found else { return Signed::Later("the logical cluster is not there".to_owned()) };
        let asked = pki::Asked {
            signer: &wanted.signer,
            request: &wanted.request,
            usages: &wanted.usages,
            seconds: wanted.seconds,
        };
        let signer = match &*signer {
            Ok(signer) => signer,
            Err(why) => return Signed::Later(why.clone()),
        };
        match signer.sign(found.uid.as_str(), &asked, Timestamp::now()) {
            None => Signed::NotOurs,
            Some(Ok(certificate)) => Signed::Certificate(certificate),
            Some(Err(pki::Unsigned::Refused(why))) => Signed::Refused(why),
            Some(Err(pki::Unsigned::Failed(why))) => Signed::Later(why),
        }
    };
    Signing { sign: Arc::new(sign), end: pki::end_of }
}

/// How the controllers ask the servers behind API services: as requests to them are passed on.
fn probe(api: &Arc<Api>) -> atoll_controllers::Probe {
    let services = match api.aggregation.knows_services() {
        true => atoll_controllers::ServicesAre::Known,
        false => atoll_controllers::ServicesAre::Stored,
    };
    let api = Arc::downgrade(api);
    let ask = move |cluster: String, name: String| {
        let api = api.upgrade();
        let asked = async move {
            let api = api.ok_or("the server is stopping")?;
            let cluster = LogicalClusterName::parse(&cluster).map_err(|error| error.to_string())?;
            probe_server(&api, &cluster, &name).await
        };
        asked.boxed()
    };
    atoll_controllers::Probe { services, ask: Arc::new(ask) }
}

// === impl Running ===

impl Running {
    /// The CA certificate by which clients know the server, PEM.
    pub fn certificate_authority(&self) -> &str {
        &self.keys.get().ca.certificate
    }

    /// The URL clients on this machine reach the server at; empty if it has no listener.
    pub fn url(&self) -> String {
        self.address.map(pki::local_url).unwrap_or_default()
    }

    /// The API as a tower service, with all that stands in front of it.
    pub fn service(&self) -> ApiService {
        self.service.clone()
    }

    /// A client of one logical cluster as one user, in this process and without a socket. Its requests pass the whole
    /// chain of filters; only the user is taken as given.
    pub fn client(&self, cluster: &LogicalClusterName, user: UserInfo) -> kube::Client {
        client::of_cluster(self.service(), cluster, user)
    }

    /// Resolves when the store has failed for good, and tells why.
    pub async fn failed(&self) -> Arc<str> {
        let cause = self.api.registry.store().stopped().await;
        self.api.metrics.store_has_failed();
        cause.reason()
    }

    /// Lets requests under way end, stops the controllers, closes the store.
    pub async fn stop(self) {
        self.api.metrics.stop();
        self.stop.cancel();
        // Nothing is told; it is over when the sender is gone.
        drop(tokio::time::timeout(RELEASE_PATIENCE, self.released).await);
        // Closing the store ends the watches, which would otherwise outlast any grace period.
        self.api.registry.store().close().await;
        for task in self.tasks {
            // A task that panicked has said so already, and there is nothing left to stop in it.
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests;

/// An address by which others may reach a server that listens at this one: the address itself, or that of the interface by
/// which this machine reaches others. Nothing is sent to find it.
fn reachable(listens_at: IpAddr) -> Option<IpAddr> {
    let is_told = |address: &IpAddr| !address.is_loopback() && !address.is_unspecified();
    Some(listens_at).filter(is_told).or_else(|| {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        // An address for documentation, which nobody has.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip()).filter(is_told)
    })
}
