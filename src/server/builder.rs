//! What a server is made of, and putting it together: everything is checked here, so that afterwards only I/O can fail.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use atoll_api::LogicalClusterName;
use atoll_api::user::SYSTEM_MASTERS;
use jiff::Timestamp;
use tokio::net::TcpListener;

use super::extend::Extensions;
use super::keys::Keys;
use super::objects::Objects;
use super::pki::{self, FrontProxy, Pki};
use super::renewal::{Given, Renewal};
use super::shared::{self, Shared};
use super::waiting::Patience;
use super::{Server, bootstrap};
use crate::admission::{self, Chain};
use crate::authn::signed::{self, Extension, Issuer, KeyRing};
use crate::authn::stored::StoredObjects;
use crate::authn::{self, SignedTokens, TokenFile};
use crate::authz::impersonation::Habits;
use crate::authz::rbac::Rbac;
use crate::authz::stored::{StoredPolicy, StoredUnderlay};
use crate::authz::{self, Authorizer, PrivilegedGroup};
use crate::flow::Flow;
use crate::flow::stored::Policies;
use crate::http::{Aggregation, Api, ApiService, Documents, snapshot_content};
use crate::metrics::Metrics;
use crate::outbound::{Outbound, StoredServices};
use crate::registry::Registry;
use crate::registry::descriptor::Descriptor;
use crate::registry::encode::encode;
use crate::resources::{self, AddressRange, Surfaces};
use crate::storage::{self, Backend, Durability, Store, Writers};
use crate::tenancy::{self, Clusters};
use atoll_controllers::{Selection as Controllers, SyncSettings};

/// The audience of the API itself, and the issuer of its tokens unless another is named.
const ISSUER: &str = "https://kubernetes.default.svc";
/// How long a start waits for a store that cannot be reached, unless said otherwise.
pub(crate) const STORE_PATIENCE: Duration = Duration::from_secs(60);

/// Says what a server is made of.
#[derive(Clone)]
pub struct Builder {
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    storage: String,
    token_auth_file: Option<PathBuf>,
    token_issuer: Issuer,
    resources: Vec<String>,
    service_addresses: AddressRange,
    advertised: Option<IpAddr>,
    durability: Durability,
    store_patience: Duration,
    grace: Duration,
    outbound: Outbound,
    sync: SyncSettings,
    controllers: Controllers,
    retention: Duration,
    tenancy: Tenancy,
    pub(super) given: Given,
    pub(super) extensions: Extensions,
}

/// Whether there are logical clusters beside the system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tenancy {
    /// There may be any number.
    Clusters,
    /// There is one, and nothing in it tells of others.
    Single,
}

/// Why a server could not be made. The text tells what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Keys and certificates.
    #[error("keys and certificates")]
    Pki(#[source] pki::Error),
    /// The keys that all servers over the store have in common.
    #[error("the keys that the servers over this store have in common")]
    Shared(#[source] shared::Error),
    /// The static token file.
    #[error("the token file")]
    TokenFile(#[source] authn::token_file::Error),
    /// The key that signs tokens.
    #[error("the key that signs tokens")]
    TokenKey(#[source] authn::signed::KeyError),
    /// The store could not be opened.
    #[error("the store")]
    Storage(#[source] storage::OpenError),
    /// The store could not be read.
    #[error("the store could not be read")]
    Load(#[source] storage::cache::LoadError),
    /// Only part of a backup is there.
    #[error(
        "{place} holds only part of a backup, for a restore into it was interrupted or is under way: run `atoll restore` again \
         with the same --data-dir and --storage, or empty both"
    )]
    HalfRestored {
        /// Where.
        place: String,
    },
    /// What every store begins with could not be written.
    #[error("the store did not take the bootstrap policy")]
    Bootstrap(#[source] bootstrap::Error),
    /// The address is not to be had.
    #[error("cannot listen at {address}; is another server running there? choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Two resources of the program are served under one name.
    #[error("two resources are served as {resource:?}; leave one of them out")]
    Duplicate {
        /// Its group, version and name.
        resource: String,
    },
    /// A name that is no set and no resource.
    #[error("--resources")]
    Resources(#[source] resources::sets::UnknownName),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            data_dir: None,
            listen: None,
            storage: "memory://".to_owned(),
            token_auth_file: None,
            token_issuer: Issuer::Fixed(ISSUER.to_owned()),
            resources: vec!["control-plane".to_owned()],
            service_addresses: AddressRange::Any,
            advertised: None,
            durability: Durability::Full,
            store_patience: STORE_PATIENCE,
            grace: Duration::from_secs(10),
            outbound: Outbound::default(),
            sync: SyncSettings::default(),
            controllers: Controllers::All,
            retention: Duration::ZERO,
            tenancy: Tenancy::Clusters,
            given: Given::default(),
            extensions: Extensions::default(),
        }
    }
}

// === impl Builder ===

impl Builder {
    /// Where keys and certificates are kept; without one they are made anew and kept in memory.
    #[must_use]
    pub fn data_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.data_dir = Some(dir.as_ref().to_owned());
        self
    }

    /// The address to serve HTTPS at; without one there is no listener, and [`Server::service`] is the way in.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Where objects are stored (`storage::open`); memory unless said otherwise.
    #[must_use]
    pub fn storage(mut self, url: impl Into<String>) -> Self {
        self.storage = url.into();
        self
    }

    /// Static users in kube-apiserver's CSV format.
    #[must_use]
    pub fn token_auth_file(mut self, file: impl AsRef<Path>) -> Self {
        self.token_auth_file = Some(file.as_ref().to_owned());
        self
    }

    /// Who stands as the issuer in the tokens of service accounts; unless said otherwise, what stands there in most
    /// Kubernetes clusters.
    #[must_use]
    pub fn token_issuer(mut self, issuer: Issuer) -> Self {
        self.token_issuer = issuer;
        self
    }

    /// What the system cluster serves, and what tenants may choose from: names of sets (`minimal`, `control-plane`,
    /// `workloads`, `all`) and resources (`secrets`, `deployments.apps`, `*.batch`). A name with a minus before it leaves
    /// out what names before it asked for.
    #[must_use]
    pub fn resources<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.resources = names.into_iter().map(Into::into).collect();
        self
    }

    /// The addresses that services may have, the same in each logical cluster.
    #[must_use]
    pub fn service_addresses(mut self, range: AddressRange) -> Self {
        self.service_addresses = range;
        self
    }

    /// The address by which others reach this server, to which the `kubernetes` service of each logical cluster leads.
    /// Without one it is that at which the server listens, or the one by which this machine reaches others.
    #[must_use]
    pub fn advertise_address(mut self, address: IpAddr) -> Self {
        self.advertised = Some(address);
        self
    }

    /// When writes are acknowledged.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// For how long [`Builder::build`] waits for a store that cannot be reached, such as an etcd that is starting or
    /// has no leader; a minute unless said otherwise. What a certificate or password keeps from it fails at once.
    #[must_use]
    pub fn store_patience(mut self, patience: Duration) -> Self {
        self.store_patience = patience;
        self
    }

    /// How long requests under way may take when the server stops.
    #[must_use]
    pub fn grace_period(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How physical clusters are worked with; the default suits real ones.
    #[must_use]
    pub fn sync(mut self, settings: SyncSettings) -> Self {
        self.sync = settings;
        self
    }

    /// Which controllers run beside the API; all of them unless said otherwise.
    #[must_use]
    pub fn controllers(mut self, controllers: Controllers) -> Self {
        self.controllers = controllers;
        self
    }

    /// For how long what deleted clusters held is kept, in case they are wanted back; not at all unless said otherwise. A
    /// workspace may say otherwise by the annotation `tenancy.atoll.dev/retain`.
    #[must_use]
    pub fn retain_deleted(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Serves the system cluster only: there are no workspaces, and nothing tells that there could be.
    #[must_use]
    pub fn single_cluster(mut self) -> Self {
        self.tenancy = Tenancy::Single;
        self
    }

    /// Where the webhooks and the aggregated API servers of clusters may be, and who knows where their services are: by
    /// default, nowhere near the server itself, and the cluster's own objects.
    #[must_use]
    pub fn outbound(mut self, outbound: Outbound) -> Self {
        self.outbound = outbound;
        self
    }

    /// Checks everything, opens the store and listens; nothing is served yet.
    pub async fn build(self) -> Result<Server, Error> {
        self.check_resources()?;
        if let Some(dir) = self.data_dir.as_ref().filter(|dir| dir.join(pki::RESTORING).exists()) {
            return Err(Error::HalfRestored { place: dir.display().to_string() });
        }
        let listener = self.bind().await?;
        let address = listener.as_ref().and_then(|l| l.local_addr().ok());
        // Keys that are made before anything is served need random numbers, which the first time take a while to come.
        let seeding = (!self.keys_can_wait()).then(|| tokio::task::spawn_blocking(pki::seed));
        // Whoever has the store has the data directory too: a second server must not rewrite the first one's kubeconfig.
        let patience = Patience::of(self.store_patience);
        let (store, backend) = patience.with_attempts(|| self.open_store()).await?;
        let patience = patience.with(&*backend);
        if let Some(seeding) = seeding {
            // Whether it went well is found when keys are made.
            let _ = seeding.await;
        }
        let mut options = self.pki_options(address);
        if store.writers() == Writers::Others {
            let shared = || async { Shared::ensure(&store, &options).await.map_err(Error::Shared) };
            options.shared = Some(patience.with_attempts(shared).await?);
        }
        let (keys, store) = tokio::join!(self.keys(options), with_what_all_have(store, backend, patience));
        let ((keys, tls), (store, found)) = (keys.map_err(Error::Pki)?, store?);
        store.stand_for_clusters(tenancy::workspaces());
        let (api, underlay) = self.assemble(store, found, &keys)?;
        let api = Arc::new(api);
        let service = self
            .extensions
            .layers
            .iter()
            .fold(ApiService::new(api.clone()), |inner, layer| inner.behind(|service| layer(service)));
        let controllers = super::ControllerSettings {
            service_addresses: self.service_addresses,
            advertised: self.advertised,
            sync: self.sync,
            selection: self.controllers,
            retention: self.retention,
        };
        Ok(Server { api, service, keys, tls, listener, underlay, grace: self.grace, controllers })
    }

    /// The engine, and what it holds.
    async fn open_store(&self) -> Result<(Arc<Store>, Arc<dyn Backend>), Error> {
        let storing = storage::Options { durability: self.durability, ..storage::Options::default() };
        let backend = match &self.extensions.engine {
            Some(engine) => engine.clone(),
            None => storage::open(&self.storage, storing).await.map_err(Error::Storage)?,
        };
        let store = Store::open(backend.clone()).await.map_err(Error::Load)?;
        if storage::restoring::is_unfinished(&store) {
            return Err(Error::HalfRestored { place: "the store".to_owned() });
        }
        Ok((store, backend))
    }

    /// Whether nobody is shown the server's keys and certificates before they are asked for.
    fn keys_can_wait(&self) -> bool {
        self.listen.is_none() && self.data_dir.is_none()
    }

    /// The server's keys, and what its listener works by.
    async fn keys(&self, options: pki::Options) -> Result<(Keys, Option<Renewal>), pki::Error> {
        if self.keys_can_wait() && options.shared.is_none() {
            return Ok((Keys::in_memory(options)?, None));
        }
        let given = self.given.clone();
        let made = tokio::task::spawn_blocking(move || {
            let pki = Pki::ensure(&options, Timestamp::now())?;
            Renewal::new(options, &pki, given).map(|tls| (Keys::at_hand(pki), Some(tls)))
        });
        made.await.unwrap_or_else(|died| std::panic::resume_unwind(died.into_panic()))
    }

    fn assemble(
        &self,
        store: Arc<Store>,
        found: bootstrap::Found,
        keys: &Keys,
    ) -> Result<(Api, Arc<StoredUnderlay>), Error> {
        let root = bootstrap::root_cluster(&store, &self.resources, self.tenancy);
        let clusters = Arc::new(Clusters::new(store.clone(), root));
        let tokens = self.tokens(&store, &clusters, keys)?;
        let authenticator = Arc::new(self.all_authenticators(&tokens)?);
        let rbac = Arc::new(Rbac::new(Arc::new(StoredPolicy::new(store.clone()))));
        let mut authorizers: Vec<Box<dyn Authorizer>> = vec![Box::new(PrivilegedGroup(SYSTEM_MASTERS))];
        authorizers.extend(self.extensions.authorizers.iter().map(|one| Box::new(one.clone()) as Box<dyn Authorizer>));
        authorizers.push(Box::new(Arc::clone(&rbac)));
        let authorizer: Arc<dyn Authorizer> = Arc::new(authz::Chain::new(authorizers));
        let services = resources::Services {
            authenticator,
            authorizer: Arc::clone(&authorizer),
            underlay: Arc::new(StoredUnderlay::new(store.clone(), Arc::clone(&rbac), found.furnished())),
            rbac,
            tokens,
            policies: Policies::new(store.clone(), self.extensions.flow.seats_of_one()),
            store: store.clone(),
            clusters: Arc::clone(&clusters),
        };
        let handlers = resources::handlers(&services);
        let own = self.extensions.own.clone();
        let mut outbound = self.outbound.clone();
        outbound.services.get_or_insert_with(|| Arc::new(StoredServices::new(store.clone())));
        let surfaces = Surfaces::new(store.clone(), clusters.clone(), handlers, own);
        let surfaces = surfaces.with_connectors(resources::connectors()).with_webhooks(outbound.clone());
        let surfaces = Arc::new(surfaces);
        let means = admission::Means {
            store: store.clone(),
            authorizer: authorizer.clone(),
            stored_form: encode,
            outbound: outbound.clone(),
            kinds: surfaces.clone(),
        };
        let admission = self.admission_chain(&means, &services);
        let followers = resources::followers(&services, &surfaces);
        let mut provided = self.extensions.provided.clone();
        provided.push(snapshot_content(store.clone(), encode));
        let registry = Registry::new(store.clone(), admission, Arc::clone(&authorizer), followers)
            .with_claimers(resources::claimers(self.service_addresses))
            .with_underlays(resources::underlays(&surfaces, &store, &clusters, self.authorities(keys)));
        let registry = Arc::new(registry);
        let resources::Services { authenticator, underlay, tokens, policies, .. } = services;
        let flow = Arc::new(Flow::new(self.extensions.flow, self.extensions.rate_limit, policies));
        let metrics = Metrics::new();
        let documents = Documents::default();
        let (ours, kept) = (keys.clone(), keys.clone());
        let front = LazyLock::new(move || FrontProxy::new(&ours.get().front_proxy, Timestamp::now()));
        let aggregation = Aggregation::new(outbound, move |uid| {
            let front = front.as_ref().map_err(ToString::to_string)?;
            front.shown_to(uid).map_err(|error| error.to_string())
        });
        let api = Api {
            registry,
            surfaces,
            clusters,
            authenticator,
            authorizer,
            acting: Habits::default(),
            tokens,
            flow,
            aggregation,
            provided,
            documents,
            kept_files: Box::new(move || kept.get().kept_files()),
            metrics,
        };
        Ok((api, underlay))
    }

    /// What writes go through: the plugins of every server, those of the program, and the last ones, but for what was left out.
    fn admission_chain(&self, means: &admission::Means, services: &resources::Services) -> Chain {
        let objects = Objects::of(services.store.clone());
        let mut further: Vec<_> = self.extensions.plugins.iter().map(|make| make(objects.clone())).collect();
        further.extend(resources::last_admission(services));
        let mut plugins = admission::default_chain(means, &further);
        let unknown = |name: &&String| !plugins.iter().any(|plugin| *name == plugin.name());
        for name in self.extensions.left_out.iter().filter(unknown) {
            tracing::warn!(name, "no admission plugin of this name runs here, so that none is left out");
        }
        plugins.retain(|plugin| !self.extensions.left_out.iter().any(|name| name == plugin.name()));
        Chain::new(plugins)
    }

    /// The CAs whose certificates are users', and the CA of front proxies.
    fn authorities(&self, keys: &Keys) -> resources::Authorities {
        let (given, keys) = (self.given.clone(), keys.clone());
        Box::new(move || (given.user_ca(keys.get()), keys.get().front_proxy.certificate.clone()))
    }

    /// Tokens of the clusters that there are, signed with the server's key.
    fn tokens(&self, store: &Arc<Store>, clusters: &Arc<Clusters>, keys: &Keys) -> Result<Arc<SignedTokens>, Error> {
        let given = match &self.extensions.token_keys {
            Some((signing, others)) => Some(KeyRing::from_pem(signing, others).map_err(Error::TokenKey)?),
            None => {
                keys.found().map(|pki| KeyRing::from_pem(&pki.token_key, &[])).transpose().map_err(Error::TokenKey)?
            }
        };
        let own = keys.clone();
        let make =
            move || KeyRing::from_pem(&own.get().token_key, &[]).expect("the server has just made the key itself");
        let keys = move || given.unwrap_or_else(make);
        let known = Arc::clone(clusters);
        let cluster_uid = Box::new(move |name: &LogicalClusterName| known.find(name).map(|found| found.uid.clone()));
        let options = signed::Options {
            issuer: self.token_issuer.clone(),
            audiences: audiences(),
            max_expiration_seconds: None,
            extension: Extension::Year,
        };
        Ok(Arc::new(SignedTokens::new(options, keys, Arc::new(StoredObjects::new(store.clone(), cluster_uid)))))
    }

    fn all_authenticators(&self, tokens: &Arc<SignedTokens>) -> Result<authn::Union, Error> {
        let token_file = match &self.token_auth_file {
            Some(path) => Some(TokenFile::load(path, audiences()).map_err(Error::TokenFile)?),
            None => None,
        };
        let own = authn::default_chain(authn::Config {
            token_file,
            signed_tokens: Some(Arc::clone(tokens)),
            anonymous: self.extensions.anonymous,
            audiences: audiences(),
        });
        Ok(own.and(self.extensions.authenticators.iter().cloned()))
    }

    fn pki_options(&self, address: Option<SocketAddr>) -> pki::Options {
        let listen = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 6443)));
        pki::Options {
            data_dir: self.data_dir.clone(),
            listen,
            names: self.extensions.serving_names.clone(),
            server_url: pki::local_url(listen),
            shared: None,
        }
    }

    async fn bind(&self) -> Result<Option<TcpListener>, Error> {
        match self.listen {
            None => Ok(None),
            Some(address) => match TcpListener::bind(address).await {
                Ok(listener) => Ok(Some(listener)),
                Err(source) => Err(Error::Listen { address, source }),
            },
        }
    }

    fn check_resources(&self) -> Result<(), Error> {
        self.check_own_resources()?;
        self.resources.iter().try_for_each(|name| resources::sets::check(name)).map_err(Error::Resources)
    }

    fn check_own_resources(&self) -> Result<(), Error> {
        let own = &self.extensions.own.resources;
        if own.is_empty() {
            return Ok(());
        }
        let builtin = resources::sets::choose(["all"]).map_err(Error::Resources)?;
        let mut known: HashSet<String> = builtin.iter().flat_map(|one| served_names(one.descriptor())).collect();
        match own.iter().flat_map(|one| served_names(one.descriptor())).find(|name| !known.insert(name.clone())) {
            Some(resource) => Err(Error::Duplicate { resource }),
            None => Ok(()),
        }
    }
}

/// The names under which clients find a resource, one for each version.
fn served_names(descriptor: &Descriptor) -> Vec<String> {
    let served = descriptor.versions.iter().filter(|version| version.served);
    served.map(|version| format!("{}/{}", version.version, descriptor.resource.resource)).collect()
}

/// A store with what every store has, and what was found in it.
async fn with_what_all_have(
    store: Arc<Store>,
    backend: Arc<dyn Backend>,
    patience: Patience,
) -> Result<(Arc<Store>, bootstrap::Found), Error> {
    let ensure = || async { bootstrap::ensure(&store).await.map_err(Error::Bootstrap) };
    let found = patience.with_attempts(ensure).await?;
    if found == bootstrap::Found::Used {
        return Ok((store, found));
    }
    // History begins after what every store has, so that no client believes to have seen how it came to be.
    drop(store);
    let reopen = || async { Store::open(backend.clone()).await.map_err(Error::Load) };
    Ok((patience.with_attempts(reopen).await?, found))
}

/// The audience of the API itself.
fn audiences() -> Vec<String> {
    vec![ISSUER.to_owned()]
}
