//! Aggregation: groups of a cluster that another API server serves, as an APIService says.
//!
//! Which server that is, is a matter of the cluster and nobody else's: everything here begins with the API service as
//! stored in the cluster of the request. Nothing is proxied over all clusters, and no group that this server serves itself
//! is given away. Where a service may be is decided in `outbound`; whether it is up, by the controller of availability.

mod backend;
mod discovered;
mod fetched;
mod forward;
mod passing;
mod probe;
mod specs;
mod tunnel;

use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource, LogicalClusterName};

pub(super) use backend::Backend;
pub(super) use discovered::{Freshness, resources};
pub(super) use forward::forward;
pub(crate) use probe::probe;
pub(super) use specs::{Spec, document, index, whole};

use super::Api;
use super::chain::Asked;
use crate::outbound::{Outbound, Shown, Trust};
use crate::storage::{Key, ListQuery};

/// Makes what is shown the API servers of the cluster of a uid.
type Show = dyn Fn(&str) -> Result<Shown, String> + Send + Sync;

/// How requests get to the API servers of clusters.
pub struct Aggregation {
    outbound: Outbound,
    trust: Trust,
    /// What this server shows those of the cluster of a uid.
    shown: Box<Show>,
    fetched: fetched::Kept,
    passing: passing::Passing,
}

// === impl Aggregation ===

impl Aggregation {
    /// Connects to whom `outbound` permits, and shows the API servers of a cluster what `shown` makes of its uid.
    pub(crate) fn new(
        outbound: Outbound,
        shown: impl Fn(&str) -> Result<Shown, String> + Send + Sync + 'static,
    ) -> Self {
        let (trust, fetched, passing) = (Trust::default(), fetched::Kept::default(), passing::Passing::default());
        Self { outbound, trust, shown: Box::new(shown), fetched, passing }
    }

    /// Whether somebody other than the objects of a cluster knows where its services are.
    pub(crate) fn knows_services(&self) -> bool {
        self.outbound.services.as_ref().is_some_and(|services| services.is_trusted())
    }
}

/// Under which resource API services are stored.
fn api_services() -> GroupResource {
    GroupResource::new("apiregistration.k8s.io", "apiservices")
}

/// The server to which a request is to be passed on, if it is for a group that another one serves.
pub(super) fn of(api: &Api, asked: &Asked) -> Option<Arc<Backend>> {
    let cluster = asked.cx.scope.one()?;
    let info = &asked.info;
    if info.is_resource {
        return if info.group.is_empty() { None } else { serving(api, cluster, &info.group, &info.version) };
    }
    match info.path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["apis", group, version] => serving(api, cluster, group, version),
        _ => None,
    }
}

/// The server of a group and version in a cluster, unless this one serves it itself.
fn serving(api: &Api, cluster: &LogicalClusterName, group: &str, version: &str) -> Option<Arc<Backend>> {
    let key = Key::new(api_services(), cluster.clone(), "", format!("{version}.{group}"));
    let entry = api.registry.store().get(&key)?;
    let backend = Backend::of(&entry)?;
    let scope = ClusterScope::One(cluster.clone());
    (!api.surfaces.has_builtin(&scope, group, version)).then_some(backend)
}

/// All servers of a cluster beside this one, by the names of their API services.
pub(super) fn all(api: &Api, scope: &ClusterScope) -> Vec<Arc<Backend>> {
    if *scope == ClusterScope::All {
        return Vec::new();
    }
    let page = api.registry.store().list(ListQuery::new(&api_services(), scope));
    let entries = page.map(|page| page.entries).unwrap_or_default();
    let backends = entries.iter().filter_map(|entry| Backend::of(entry));
    backends.filter(|backend| !api.surfaces.has_builtin(scope, &backend.group, &backend.version)).collect()
}
