//! What each logical cluster serves: its share of the built-in kinds, and its custom ones.
//!
//! Nothing is kept per cluster: shares of built-ins are kept per selection, custom kinds hang on their definitions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atoll_api::{
    ClusterScope, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource, LogicalClusterName,
};
use dashmap::DashMap;

use super::custom::{Conversions, Custom, Everywhere, Schemas};
use super::view::View;
use super::{Builtin, PLATFORM, sets};
use crate::admission::{Kinds, Served};
use crate::outbound::Outbound;
use crate::registry::computed::Computed;
use crate::registry::connect::Connector;
use crate::registry::resource::Resource;
use crate::registry::{self, Target};
use crate::storage::{Key, ListQuery, Store};
use crate::tenancy::Clusters;

/// The group and plural name of custom resource definitions.
pub fn definitions() -> GroupResource {
    GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")
}

fn definition_name(resource: &GroupResource) -> String {
    format!("{}.{}", resource.resource, resource.group)
}

/// A handler of a resource or (with a name) subresource that answers by computing.
pub struct Handler {
    /// The resource.
    pub resource: GroupResource,
    /// The subresource, empty for the resource itself.
    pub subresource: &'static str,
    /// What answers.
    pub computed: Arc<dyn Computed>,
}

/// Who finds the way of connections through a subresource.
pub struct Connecting {
    /// The resource.
    pub resource: GroupResource,
    /// The subresource.
    pub subresource: &'static str,
    /// Who finds the way.
    pub connector: Arc<dyn Connector>,
}

/// What an embedder serves of its own, in every cluster.
#[derive(Clone, Default)]
pub struct Own {
    /// The resources.
    pub resources: Vec<Arc<dyn Resource>>,
    /// What computes those of them that are not stored.
    pub views: HashMap<GroupResource, Arc<dyn View>>,
}

/// Finds what is served where.
pub struct Surfaces {
    store: Arc<Store>,
    clusters: Arc<Clusters>,
    all: Arc<Share>,
    shares: DashMap<Arc<[String]>, Arc<Share>>,
    schemas: Schemas,
    handlers: HashMap<(GroupResource, &'static str), Arc<dyn Computed>>,
    connectors: HashMap<(GroupResource, &'static str), Arc<dyn Connector>>,
    own: Own,
}

/// The built-in kinds of one selection.
struct Share {
    resources: Vec<Arc<dyn Resource>>,
    targets: HashMap<GroupVersionResource, Target>,
    versions: HashSet<GroupVersion>,
}

impl Share {
    /// The kinds that names of sets and resources ask for. Names were checked when the cluster was made; one that a
    /// later release no longer knows asks for nothing.
    fn of(names: &[String], own: &Own) -> Self {
        let known: Vec<&str> = names.iter().map(String::as_str).filter(|name| sets::check(name).is_ok()).collect();
        let mut resources = sets::choose(known).unwrap_or_default();
        if names.iter().any(|name| name == sets::PLATFORM) {
            resources.extend(PLATFORM.iter().map(|kind| Builtin::of(kind) as Arc<dyn Resource>));
        }
        resources.extend(own.resources.iter().cloned());
        Self::new(resources)
    }

    fn new(resources: Vec<Arc<dyn Resource>>) -> Self {
        let (mut targets, mut versions) = (HashMap::new(), HashSet::new());
        for resource in &resources {
            let descriptor = resource.descriptor();
            for (index, version) in descriptor.versions.iter().enumerate().filter(|(_, version)| version.served) {
                versions.insert(version.version.clone());
                let (group, version) = (version.version.group.clone(), version.version.version.clone());
                let gvr = GroupVersionResource { group, version, resource: descriptor.resource.resource.clone() };
                targets.insert(gvr, Target::new(resource.clone(), index));
            }
        }
        Self { resources, targets, versions }
    }
}

impl Surfaces {
    /// The surfaces of these clusters, with handlers for what is computed, and what an embedder adds.
    pub fn new(store: Arc<Store>, clusters: Arc<Clusters>, handlers: Vec<Handler>, own: Own) -> Self {
        let all = Arc::new(Share::of(&["all".to_owned(), sets::PLATFORM.to_owned()], &own));
        let handlers = handlers.into_iter().map(|h| ((h.resource, h.subresource), h.computed)).collect();
        let connectors = HashMap::new();
        Self { store, clusters, all, shares: DashMap::new(), schemas: Schemas::default(), handlers, connectors, own }
    }

    /// Asks the webhooks of definitions where these settings permit.
    #[must_use]
    pub fn with_webhooks(mut self, outbound: Outbound) -> Self {
        self.schemas = Schemas::default().with_conversions(Conversions::new(outbound));
        self
    }

    /// Adds those who find where connections lead.
    #[must_use]
    pub fn with_connectors(mut self, connectors: Vec<Connecting>) -> Self {
        self.connectors = connectors.into_iter().map(|c| ((c.resource, c.subresource), c.connector)).collect();
        self
    }

    /// The resource of that group, version and name, if it is served there.
    pub fn target(&self, scope: &ClusterScope, gvr: &GroupVersionResource) -> Option<Target> {
        let share = self.share(scope)?;
        if let Some(target) = share.targets.get(gvr) {
            return Some(target.clone());
        }
        let Some(cluster) = scope.one() else { return self.everywhere(gvr) };
        let custom = self.custom(cluster, &gvr.group_resource())?;
        let version = GroupVersion { group: gvr.group.clone(), version: gvr.version.clone() };
        let index = custom.descriptor().versions.iter().position(|v| v.served && v.version == version)?;
        Some(Target::new(custom, index))
    }

    /// Everything that is served there.
    pub fn served(&self, scope: &ClusterScope) -> Vec<Arc<dyn Resource>> {
        let mut served = self.share(scope).map(|share| share.resources.clone()).unwrap_or_default();
        if let ClusterScope::One(cluster) = scope {
            served.extend(self.customs(cluster).into_iter().map(|custom| custom as Arc<dyn Resource>));
        }
        served
    }

    /// The resource whose objects are of that kind, if a cluster serves it.
    pub fn of_kind(&self, cluster: &LogicalClusterName, kind: &GroupVersionKind) -> Option<Target> {
        let share = self.share(&ClusterScope::One(cluster.clone()))?;
        let version = kind.group_version();
        share.targets.values().find(|target| target.kind() == *kind).cloned().or_else(|| {
            self.customs(cluster).into_iter().find_map(|custom| {
                let mut versions = custom.descriptor().versions.iter();
                let index = versions.position(|known| known.served && known.version == version);
                let index = index.filter(|_| custom.descriptor().kind == kind.kind)?;
                Some(Target::new(custom, index))
            })
        })
    }

    /// The custom kinds a cluster serves, by name.
    pub fn customs(&self, cluster: &LogicalClusterName) -> Vec<Arc<Custom>> {
        let scope = ClusterScope::One(cluster.clone());
        let page = self.store.list(ListQuery::new(&definitions(), &scope)).map(|page| page.entries);
        page.unwrap_or_default().iter().filter_map(|entry| Custom::of(entry, &self.schemas)).collect()
    }

    /// Reads a definition as far as discovery needs it, so that whoever asks first does not wait for a thousand.
    pub fn prepare(&self, cluster: &LogicalClusterName, definition: &str) {
        let entry = self.store.get(&Key::new(definitions(), cluster.clone(), "", definition));
        if let Some(custom) = entry.and_then(|entry| Custom::of(&entry, &self.schemas)) {
            custom.definition_hash();
        }
    }

    /// Whether a group and version is one of the built-in ones served there.
    pub fn is_builtin_group(&self, scope: &ClusterScope, group: &str) -> bool {
        self.share(scope).is_some_and(|share| share.targets.keys().any(|gvr| &*gvr.group == group))
    }

    /// Whether a group and version is one that the program itself serves there, and not only definitions of the cluster.
    pub fn has_builtin(&self, scope: &ClusterScope, group: &str, version: &str) -> bool {
        self.share(scope).is_some_and(|share| share.versions.contains(&GroupVersion::new(group, version)))
    }

    /// What computes the objects of a resource that is not stored.
    pub fn view(&self, resource: &GroupResource) -> Option<&Arc<dyn View>> {
        self.own.views.get(resource)
    }

    /// What answers for a resource or subresource by computing, if something does.
    pub fn computed(&self, resource: &GroupResource, subresource: &str) -> Option<Arc<dyn Computed>> {
        self.handlers
            .iter()
            .find(|((gr, sub), _)| gr == resource && *sub == subresource)
            .map(|(_, computed)| computed.clone())
    }

    /// A custom resource over all clusters, if some cluster defines it.
    fn everywhere(&self, gvr: &GroupVersionResource) -> Option<Target> {
        let name = definition_name(&gvr.group_resource());
        let definitions = definitions();
        let query = ListQuery { name: Some(&name), limit: Some(1), ..ListQuery::new(&definitions, &ClusterScope::All) };
        let defined = self.store.list(query).is_ok_and(|page| !page.entries.is_empty());
        defined.then(|| Target::new(Arc::new(Everywhere::new(gvr)), 0))
    }

    /// Who finds where connections through a subresource lead, if it is for connections.
    pub fn connector(&self, resource: &GroupResource, subresource: &str) -> Option<Arc<dyn Connector>> {
        self.connectors
            .iter()
            .find(|((gr, sub), _)| gr == resource && *sub == subresource)
            .map(|(_, connector)| connector.clone())
    }

    fn custom(&self, cluster: &LogicalClusterName, resource: &GroupResource) -> Option<Arc<Custom>> {
        let entry = self.store.get(&Key::new(definitions(), cluster.clone(), "", definition_name(resource)))?;
        Custom::of(&entry, &self.schemas)
    }

    fn share(&self, scope: &ClusterScope) -> Option<Arc<Share>> {
        let ClusterScope::One(cluster) = scope else { return Some(self.all.clone()) };
        let selection = self.clusters.find(cluster)?.resources.clone();
        if let Some(share) = self.shares.get(&selection) {
            return Some(share.clone());
        }
        let share = Arc::new(Share::of(&selection, &self.own));
        self.shares.insert(selection, share.clone());
        Some(share)
    }
}

impl Kinds for Surfaces {
    fn find(&self, cluster: &LogicalClusterName, kind: &GroupVersionKind) -> Option<Served> {
        let target = self.of_kind(cluster, kind)?;
        Some(Served {
            stored: target.descriptor().resource.clone(),
            version: kind.group_version(),
            is_namespaced: target.descriptor().is_namespaced(),
            shapes: registry::forms(target),
        })
    }
}
