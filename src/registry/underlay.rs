//! What a cluster sees without having stored it: the bootstrap policy that all clusters share, and objects by which the
//! server itself tells a cluster something. They are read like others, and written by nobody there.

use std::sync::Arc;

use atoll_api::{ApiError, ClusterScope, GroupResource, LogicalClusterName, Object};

use super::list::matches;
use super::view::computed_entry;
use super::{ListRequest, ObjectName, Registry, Target};
use crate::request::RequestContext;
use crate::storage::{Entry, Expect, Key, ListQuery, Page, Position};

/// The version of objects that are computed: they were always there.
const REVISION: u64 = 1;

/// Which part of a list a page is.
pub(super) struct Span<'a> {
    /// What stands after this.
    pub(super) after: Option<&'a Position>,
    /// So many objects at most.
    pub(super) limit: Option<usize>,
}

/// Tells each cluster something in objects of a resource, in the version they would be stored in.
///
/// Asked for every list of the resource, and for names that are not stored; must not block. What a cluster has stored
/// itself under a name is seen instead.
pub trait Underlay: Send + Sync + 'static {
    /// The objects in a namespace (empty: in all, and those of the cluster).
    fn list(&self, cx: &RequestContext, namespace: &str) -> Vec<Object>;

    /// The object of that name.
    fn get(&self, cx: &RequestContext, name: &ObjectName<'_>) -> Option<Object>;

    /// Whether the cluster may change such objects: they are stored then. Others are read-only.
    fn may_be_taken_over(&self) -> bool {
        false
    }
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

    /// Puts what every cluster sees among the cluster's own, in order of their names: no more than belongs on the page.
    pub(super) fn add_underlay(
        &self,
        cx: &RequestContext,
        target: &Target,
        request: &ListRequest,
        span: &Span<'_>,
        page: &mut Page,
    ) {
        if cx.scope == ClusterScope::All {
            return;
        }
        let mut seen = Vec::new();
        if target.resource.has_underlay() && !cx.cluster.is_root() {
            seen = self.shared(target, request);
        }
        if let Some(underlay) = self.told_of(target) {
            let objects = underlay.list(cx, &request.namespace).into_iter();
            let told = objects.filter_map(|told| computed_entry(cx, &target.at_storage(), told, REVISION).ok());
            seen.extend(told.filter(|entry| matches(target, request, entry)));
        }
        seen.retain(|entry| {
            let name = ObjectName { namespace: entry.namespace(), name: entry.name() };
            span.after.is_none_or(|after| place(entry) > (&*after.namespace, &*after.name))
                && self.store.get(&self.key(&cx.cluster, target, &name)).is_none()
        });
        if !seen.is_empty() {
            span.merge(&cx.cluster, seen, page);
        }
    }

    /// The bootstrap objects that every cluster sees.
    fn shared(&self, target: &Target, request: &ListRequest) -> Vec<Arc<Entry>> {
        let shared = |entry: &Entry| target.resource.is_shared(entry) && matches(target, request, entry);
        let root = ClusterScope::One(LogicalClusterName::root());
        let query = ListQuery {
            namespace: Some(request.namespace.as_str()).filter(|ns| !ns.is_empty()),
            filter: Some(&shared),
            ..ListQuery::new(&target.descriptor().resource, &root)
        };
        self.store.list(query).map(|page| page.entries).unwrap_or_default()
    }

    /// The object that a change begins with, and what the store must hold for the change to be written: that object, or nothing if
    /// the cluster only sees it so far. Then the change makes it the cluster's own.
    pub(super) fn to_change(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        key: &Key,
    ) -> Option<(Arc<Entry>, Expect)> {
        if let Some(stored) = self.store.get(key) {
            let expect = Expect::Revision(stored.revision);
            return Some((stored, expect));
        }
        let shared = target.resource.has_underlay() && target.resource.may_be_taken_over();
        let seen = if shared || self.is_told_for_change(target) { self.underlay_entry(cx, target, name) } else { None };
        Some((seen?, Expect::Absent))
    }

    /// Whether what clusters are told in objects of a resource is theirs to change, and to delete.
    pub(super) fn is_told_for_change(&self, target: &Target) -> bool {
        self.told_of(target).is_some_and(Underlay::may_be_taken_over)
    }

    /// Who tells clusters something in objects of a resource.
    fn told_of(&self, target: &Target) -> Option<&dyn Underlay> {
        self.told(&target.descriptor().resource)
    }

    /// The same by the resource.
    pub(super) fn told(&self, resource: &GroupResource) -> Option<&dyn Underlay> {
        let mut underlays = self.underlays.iter();
        underlays.find(|(told, _)| told == resource).map(|(_, underlay)| &**underlay)
    }
}

// === impl Span ===

impl Span<'_> {
    /// Puts entries in their places on a page; what comes after its end is left to the next one.
    fn merge(&self, cluster: &LogicalClusterName, seen: Vec<Arc<Entry>>, page: &mut Page) {
        page.entries.extend(seen);
        page.entries.sort_by(|a, b| place(a).cmp(&place(b)));
        // What a page of the store leaves out stands after all that it has, so the first of both are the first of all.
        let most = self.limit.unwrap_or(usize::MAX);
        let left = page.entries.len().saturating_sub(most);
        page.entries.truncate(most);
        let more = page.next.is_some() || left > 0;
        let last = page.entries.last().filter(|_| more);
        page.next = last.map(|last| Position::new(cluster.clone(), last.namespace(), last.name()));
        // Filtered pages of the store do not know how many follow.
        page.remaining = match page.remaining {
            Some(others) => Some(others + left),
            None => (left > 0).then_some(left),
        };
    }
}

fn place(entry: &Entry) -> (&str, &str) {
    (entry.namespace(), entry.name())
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
