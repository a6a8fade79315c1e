//! What a cluster sees without having stored it: the bootstrap policy that all clusters share, and objects by which the
//! server itself tells a cluster something. They are read like others, and written by nobody there.

use std::sync::Arc;

use atoll_api::{ApiError, ClusterScope, GroupResource, LogicalClusterName, Object};

use super::list::matches;
use super::view::computed_entry;
use super::{ListRequest, ObjectName, Registry, Target};
use crate::request::RequestContext;
use crate::storage::{Entry, ListQuery, Page};

/// The version of objects that are computed: they were always there.
const REVISION: u64 = 1;

/// Tells each cluster something in objects of a resource, in the version they would be stored in.
///
/// Asked for every list of the resource, and for names that are not stored; must not block. What a cluster has stored
/// itself under a name is seen instead.
pub trait Underlay: Send + Sync + 'static {
    /// The objects in a namespace (empty: in all, and those of the cluster).
    fn list(&self, cx: &RequestContext, namespace: &str) -> Vec<Object>;

    /// The object of that name.
    fn get(&self, cx: &RequestContext, name: &ObjectName<'_>) -> Option<Object>;
}

impl Registry {
    /// Adds objects that clusters see without having stored them.
    #[must_use]
    pub fn with_underlays(mut self, underlays: Vec<(GroupResource, Arc<dyn Underlay>)>) -> Self {
        self.underlays = underlays;
        self
    }

    /// The object of that name which the cluster sees though it is not its own.
    pub(super) fn underlay_entry(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
    ) -> Option<Arc<Entry>> {
        if cx.scope == ClusterScope::All {
            return None;
        }
        if target.resource.has_underlay() && !cx.cluster.is_root() {
            let key = self.key(&LogicalClusterName::root(), target, name);
            return self.store.get(&key).filter(|entry| target.resource.is_shared(entry));
        }
        let object = self.told_of(target)?.get(cx, name)?;
        computed_entry(cx, &target.at_storage(), object, REVISION).ok()
    }

    /// Puts what every cluster sees among the cluster's own, in order of their names.
    pub(super) fn add_underlay(&self, cx: &RequestContext, target: &Target, request: &ListRequest, page: &mut Page) {
        if cx.scope == ClusterScope::All {
            return;
        }
        let before = page.entries.len();
        if target.resource.has_underlay() && !cx.cluster.is_root() {
            self.add_shared(target, request, page);
        }
        if let Some(underlay) = self.told_of(target) {
            let objects = underlay.list(cx, &request.namespace).into_iter();
            let entries = objects.filter_map(|told| computed_entry(cx, &target.at_storage(), told, REVISION).ok());
            page.entries.extend(entries.filter(|entry| {
                let name = ObjectName { namespace: entry.namespace(), name: entry.name() };
                let stored = self.store.get(&self.key(&cx.cluster, target, &name)).is_some();
                !stored && matches(target, request, entry)
            }));
        }
        if page.entries.len() > before {
            page.entries.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        }
    }

    /// Adds the bootstrap objects that every cluster sees.
    fn add_shared(&self, target: &Target, request: &ListRequest, page: &mut Page) {
        let place = |entry: &Entry| (entry.namespace().to_owned(), entry.name().to_owned());
        let own: Vec<(String, String)> = page.entries.iter().map(|entry| place(entry)).collect();
        let shared = |entry: &Entry| {
            target.resource.is_shared(entry)
                && matches(target, request, entry)
                && own.binary_search(&place(entry)).is_err()
        };
        let root = ClusterScope::One(LogicalClusterName::root());
        let query = ListQuery {
            namespace: Some(request.namespace.as_str()).filter(|ns| !ns.is_empty()),
            filter: Some(&shared),
            ..ListQuery::new(&target.descriptor().resource, &root)
        };
        if let Ok(underlay) = self.store.list(query) {
            page.entries.extend(underlay.entries);
        }
    }

    /// Who tells clusters something in objects of a resource.
    fn told_of(&self, target: &Target) -> Option<&dyn Underlay> {
        let resource = &target.descriptor().resource;
        let mut underlays = self.underlays.iter();
        underlays.find(|(told, _)| told == resource).map(|(_, underlay)| &**underlay)
    }
}

/// The answer to a write to what is seen without being stored.
pub(super) fn is_read_only(target: &Target, name: &str) -> ApiError {
    let why = if target.resource.has_underlay() {
        "it is bootstrap policy shared by all logical clusters, which only the system cluster can change; create an object of another name instead"
    } else {
        "by it the server itself tells the cluster something, and nobody else can change it"
    };
    ApiError::forbidden(&target.shown(), name, why)
}
