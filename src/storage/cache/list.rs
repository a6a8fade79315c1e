//! Reads: one object, or a page of a list, now or at an older revision.
//!
//! The resource's lock is held only while the tree is cloned (one pointer) and, for the past, while the events since are
//! collected. Walking and filtering happen on the clone.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource};

use super::Store;
use super::entry::Entry;
use super::event::Event;
use super::resource::{Resource, State};
use super::tree::Tree;
use crate::storage::key::{Key, Parts, Position};

/// What to list.
#[derive(Clone, Copy)]
pub struct ListQuery<'a> {
    /// Of which resource.
    pub resource: &'a GroupResource,
    /// In which logical clusters.
    pub scope: &'a ClusterScope,
    /// In which namespace; `None` is all, `Some("")` what has none.
    pub namespace: Option<&'a str>,
    /// Of which name.
    pub name: Option<&'a str>,
    /// Only what stands after this position: the `next` of the page before.
    pub after: Option<&'a Position>,
    /// The revision at which to read; `None` is now.
    pub at: Option<u64>,
    /// The most entries to give.
    pub limit: Option<usize>,
    /// Which entries to give; called without any lock. `None` is all.
    pub filter: Option<&'a (dyn Fn(&Entry) -> bool + 'a)>,
}

/// A page of a list: the state at one revision.
#[derive(Debug, Clone)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<Arc<Entry>>,
    /// The revision of which this is the state.
    pub revision: u64,
    /// Where the next page begins, if there may be more.
    pub next: Option<Position>,
    /// How many entries follow this page, if there is a next one and no filter leaves some out.
    pub remaining: Option<usize>,
}

/// Why the past, or the future, could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The revision is too old.
    #[error("the oldest revision that is still known is {oldest}")]
    Expired {
        /// The oldest revision that would do.
        oldest: u64,
    },
    /// The revision has not happened yet.
    #[error("the current revision is {current}")]
    Future {
        /// The current revision.
        current: u64,
    },
}

/// Whether a read of all clusters has what closed ones hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It is as those see it who may not look into closed clusters.
    AsShown,
    /// It is as it is stored. In closed clusters it may lack what was written meanwhile.
    AsStored,
}

/// A resource's entries at one revision: a tree, and what was otherwise then.
struct Snapshot {
    tree: Tree,
    revision: u64,
    /// Positions that were otherwise at `revision`: the entry of then, or none.
    undone: BTreeMap<Position, Option<Arc<Entry>>>,
}

/// The entries of a query, apart from its filter.
struct Span<'a> {
    scope: &'a ClusterScope,
    namespace: Option<&'a str>,
    after: Option<&'a Position>,
}

impl Store {
    /// The object under a key, now.
    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let resource = self.resource(&key.resource)?;
        let state = resource.state.read();
        state.get(key.parts()).cloned()
    }

    /// The object under a key at an older revision.
    pub fn get_at(&self, key: &Key, revision: u64) -> Result<Option<Arc<Entry>>, ReadError> {
        let floor = self.floors.of(&ClusterScope::One(key.cluster.clone()));
        if revision < floor {
            return Err(ReadError::Expired { oldest: floor });
        }
        let before = self.revision();
        let Some(resource) = self.resource(&key.resource) else {
            self.check_readable(revision, before)?;
            return Ok(None);
        };
        let state = resource.state.read();
        self.check_at(&state, revision)?;
        let mut found = state.get(key.parts());
        let since = state.ring.backwards_in(&key.cluster).take_while(|(_, event)| event.revision > revision);
        for (_, event) in since.filter(|(_, event)| event.entry.parts() == key.parts()) {
            found = event.previous.as_ref();
        }
        Ok(found.cloned())
    }

    /// A page of a list. In all clusters it has nothing of those that are closed; in one, what there is.
    pub fn list(&self, query: ListQuery<'_>) -> Result<Page, ReadError> {
        self.list_in_sight(query, Sight::AsShown)
    }

    pub(super) fn list_in_sight(&self, query: ListQuery<'_>, sight: Sight) -> Result<Page, ReadError> {
        // Before the resource is looked up: what is not there now was not there at this revision.
        let floor = self.floors.of(query.scope);
        if query.at.is_some_and(|at| at < floor) {
            return Err(ReadError::Expired { oldest: floor });
        }
        let before = self.revision();
        let Some(resource) = self.resource(query.resource) else {
            let revision = query.at.unwrap_or(before);
            self.check_readable(revision, before)?;
            return Ok(Page { entries: Vec::new(), revision, next: None, remaining: None });
        };
        Ok(self.snapshot(&resource, &query, sight)?.page(&query))
    }

    fn snapshot(&self, resource: &Resource, query: &ListQuery<'_>, sight: Sight) -> Result<Snapshot, ReadError> {
        let state = resource.state.read();
        let current = self.revision().max(state.revision);
        let (revision, since) = match query.at {
            Some(revision) => {
                self.check_at(&state, revision)?;
                (revision, events_since(&state, query.scope, revision))
            }
            None => (current, Vec::new()),
        };
        let tree = state.tree.clone();
        let mut undone = aside(&state, query.scope, sight, revision);
        drop(state);
        // From the newest to the oldest, so that the oldest event after the revision has the last word.
        undone.extend(since.into_iter().map(|event| (event.entry.position(), event.previous.clone())));
        Ok(Snapshot { tree, revision, undone })
    }

    /// Whether a resource's state at `revision` can be told.
    fn check_at(&self, state: &State, revision: u64) -> Result<(), ReadError> {
        let current = self.revision().max(state.revision);
        match (revision.cmp(&state.ring.floor()), revision.cmp(&current)) {
            (Ordering::Less, _) => Err(ReadError::Expired { oldest: state.ring.floor() }),
            (_, Ordering::Greater) => Err(ReadError::Future { current }),
            _ => Ok(()),
        }
    }
}

/// What is not as it is shown in clusters that are closed. It has no history: what was put after the revision is left out.
fn aside(state: &State, scope: &ClusterScope, sight: Sight, revision: u64) -> BTreeMap<Position, Option<Arc<Entry>>> {
    let known = |(_, entry): &(Position, Option<Arc<Entry>>)| entry.as_ref().is_none_or(|e| e.revision <= revision);
    match (scope, sight) {
        (ClusterScope::One(cluster), _) => {
            let aside = state.aside_of(cluster.as_str().as_bytes());
            aside.into_iter().flat_map(|aside| aside.places()).filter(known).collect()
        }
        (ClusterScope::All, Sight::AsStored) => {
            state.all_aside().flat_map(|aside| aside.places()).filter(known).collect()
        }
        (ClusterScope::All, Sight::AsShown) => BTreeMap::new(),
    }
}

/// The events of a scope after a revision, from the newest to the oldest.
fn events_since(state: &State, scope: &ClusterScope, revision: u64) -> Vec<Arc<Event>> {
    let newer = |(_, event): &(u64, &Arc<Event>)| event.revision > revision;
    match scope {
        ClusterScope::One(cluster) => {
            state.ring.backwards_in(cluster).take_while(newer).map(|(_, event)| event.clone()).collect()
        }
        ClusterScope::All => state.ring.backwards().take_while(newer).map(|(_, event)| event.clone()).collect(),
    }
}

// === impl Snapshot ===

impl Snapshot {
    fn page(&self, query: &ListQuery<'_>) -> Page {
        let span = Span { scope: query.scope, namespace: query.namespace, after: query.after };
        let limit = query.limit.unwrap_or(usize::MAX);
        if let Some(entry) = self.exact(query) {
            let entries = entry.filter(|entry| query.takes(entry)).cloned().into_iter().collect();
            return Page { entries, revision: self.revision, next: None, remaining: None };
        }
        let start = self.tree.partition_point(|at| span.cmp(at).is_lt());
        let end = self.tree.partition_point(|at| span.cmp(at).is_le());
        let mut entries = Vec::new();
        if query.takes_whole_span() {
            entries.reserve_exact(limit.min(end - start));
        }
        let mut rest = self.merged(&span, start, end).peekable();
        while entries.len() < limit
            && let Some(entry) = rest.next()
        {
            if query.takes(entry) {
                entries.push(entry.clone());
            }
        }
        let more = rest.peek().is_some();
        let next = entries.last().filter(|_| more).map(|last| last.position());
        let counted = next.as_ref().filter(|_| query.takes_whole_span());
        let remaining = counted.map(|last| self.count(&Span { after: Some(last), ..span }));
        Page { entries, revision: self.revision, next, remaining }
    }

    /// The one entry that a query with a full name can mean; `None` when it does not name one.
    fn exact<'s>(&'s self, query: &ListQuery<'_>) -> Option<Option<&'s Arc<Entry>>> {
        let (ClusterScope::One(cluster), Some(name), None) = (query.scope, query.name, query.after) else {
            return None;
        };
        let position = Position::new(cluster.clone(), query.namespace?, name);
        Some(self.undone.get(&position).map_or_else(|| self.tree.get(position.parts()), Option::as_ref))
    }

    /// The entries of a span, which in the tree are those from `start` to `end`.
    fn merged<'s>(&'s self, span: &'s Span<'_>, start: usize, end: usize) -> impl Iterator<Item = &'s Arc<Entry>> {
        let mut now = self.tree.iter_from(start).take(end - start).peekable();
        let mut then = self.undone.iter().filter(|(at, _)| span.cmp(at.parts()).is_eq()).peekable();
        std::iter::from_fn(move || {
            loop {
                let Some((at, _)) = then.peek() else { return now.next() };
                match now.peek().map_or(Ordering::Greater, |entry| entry.parts().cmp(&at.parts())) {
                    Ordering::Less => return now.next(),
                    Ordering::Equal => drop(now.next()),
                    Ordering::Greater => {}
                }
                if let Some((_, Some(entry))) = then.next() {
                    return Some(entry);
                }
            }
        })
    }

    /// How many entries a span has.
    fn count(&self, span: &Span<'_>) -> usize {
        let start = self.tree.partition_point(|at| span.cmp(at).is_lt());
        let mut count = self.tree.partition_point(|at| span.cmp(at).is_le()) - start;
        for (at, then) in self.undone.iter().filter(|(at, _)| span.cmp(at.parts()).is_eq()) {
            count += usize::from(then.is_some());
            count -= usize::from(self.tree.get(at.parts()).is_some());
        }
        count
    }
}

// === impl Span ===

impl Span<'_> {
    /// A position compared with the span; `Equal` means inside.
    fn cmp(&self, at: Parts<'_>) -> Ordering {
        let place = match self.scope {
            ClusterScope::One(cluster) => at.cmp_span(cluster.as_str(), self.namespace),
            ClusterScope::All => Ordering::Equal,
        };
        match self.after {
            Some(after) if place.is_eq() && at <= after.parts() => Ordering::Less,
            _ => place,
        }
    }
}

// === impl ListQuery ===

impl<'a> ListQuery<'a> {
    /// Everything of a resource in a scope, now.
    pub fn new(resource: &'a GroupResource, scope: &'a ClusterScope) -> Self {
        Self { resource, scope, namespace: None, name: None, after: None, at: None, limit: None, filter: None }
    }

    fn takes(&self, entry: &Entry) -> bool {
        self.name.is_none_or(|name| entry.name() == name)
            && self.namespace_beside_span().is_none_or(|namespace| entry.namespace() == namespace)
            && self.filter.is_none_or(|filter| filter(entry))
    }

    /// The namespace, where it does not bound the span: one namespace of all clusters is no span.
    fn namespace_beside_span(&self) -> Option<&'a str> {
        self.namespace.filter(|_| *self.scope == ClusterScope::All)
    }

    fn takes_whole_span(&self) -> bool {
        self.name.is_none() && self.filter.is_none() && self.namespace_beside_span().is_none()
    }
}
