//! The cached state of one resource in all logical clusters: its entries, its recent events, its watchers.

use std::sync::Arc;
use std::time::Instant;

use atoll_api::{GroupResource, LogicalClusterName};
use parking_lot::{RwLock, RwLockWriteGuard};

use super::entry::Entry;
use super::event::Event;
use super::groups::{Group, Groups};
use super::index::{Index, Lookup};
use super::ring::{Limits, Ring};
use super::tree::Tree;
use crate::storage::key::{Key, Parts};

/// One resource.
pub(super) struct Resource {
    /// Its number in the store's table.
    pub(super) id: u32,
    pub(super) name: GroupResource,
    pub(super) state: RwLock<State>,
}

/// What the resource's lock protects.
pub(super) struct State {
    /// Every entry, in order.
    pub(super) tree: Tree,
    /// The same entries, by place.
    index: Index,
    pub(super) ring: Ring,
    pub(super) groups: Groups,
    /// The revision of the last event. The state is exact for this revision and for the store's, whichever is greater.
    pub(super) revision: u64,
}

/// A change that is ready to be applied.
pub(super) enum Step<'a> {
    Put(Arc<Entry>),
    Delete { key: &'a Key, revision: u64 },
}

/// What applying did.
#[derive(Default)]
pub(super) struct Effects {
    /// Groups to wake; some may be listed more than once.
    pub(super) touched: Vec<Arc<Group>>,
    /// What was gained and lost, cluster by cluster.
    pub(super) usage: Vec<UsageChange>,
    /// How many more bytes the ring keeps alive than before; negative if fewer.
    pub(super) history: i64,
}

/// What one change did to what a cluster holds.
pub(super) struct UsageChange {
    pub(super) cluster: LogicalClusterName,
    pub(super) resource: u32,
    pub(super) objects: i64,
    pub(super) bytes: i64,
}

// === impl Resource ===

impl Resource {
    /// A resource without objects, whose state is known as of `revision`.
    pub(super) fn new(id: u32, name: GroupResource, revision: u64) -> Self {
        let state = State {
            tree: Tree::new(),
            index: Index::default(),
            ring: Ring::new(revision),
            groups: Groups::default(),
            revision,
        };
        Self { id, name, state: RwLock::new(state) }
    }

    /// Applies changes in order; those of one revision become visible together.
    pub(super) fn apply(&self, steps: Vec<Step<'_>>, limits: Limits, now: Instant, effects: &mut Effects) {
        let mut state = self.state.write();
        let before = state.ring.bytes();
        for step in steps {
            if step.revision() > state.revision {
                // Readers that wait may see what is complete so far.
                RwLockWriteGuard::bump(&mut state);
            }
            state.apply(step, self.id, now, effects);
        }
        state.ring.trim(limits, now);
        effects.history += state.ring.bytes() as i64 - before as i64;
    }

    /// Takes all entries at once, sorted; they are no events.
    pub(super) fn fill(&self, entries: Vec<Arc<Entry>>) {
        let mut state = self.state.write();
        state.index.reserve(entries.len());
        entries.iter().for_each(|entry| state.index.insert(entry.clone()));
        state.tree = Tree::from_sorted(entries);
    }

    /// The entries are as of `revision`, and nothing older is known.
    pub(super) fn begin_at(&self, revision: u64) {
        let mut state = self.state.write();
        state.revision = revision;
        state.ring = Ring::new(revision);
    }
}

// === impl State ===

impl State {
    pub(super) fn get(&self, at: Parts<'_>) -> Option<&Arc<Entry>> {
        match self.index.get(at) {
            Lookup::Found(entry) => Some(entry),
            Lookup::Absent => None,
            Lookup::Unknown => self.tree.get(at),
        }
    }

    fn insert(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        self.index.insert(entry.clone());
        self.tree.insert(entry)
    }

    fn remove(&mut self, at: Parts<'_>) -> Option<Arc<Entry>> {
        self.index.remove(at);
        self.tree.remove(at)
    }

    fn apply(&mut self, step: Step<'_>, resource: u32, now: Instant, effects: &mut Effects) {
        let revision = step.revision();
        let event = match step {
            Step::Put(entry) => {
                let previous = self.insert(entry.clone());
                Event::put(entry, previous)
            }
            Step::Delete { key, revision } => match self.remove(key.parts()) {
                Some(last) => Event::delete(last, revision),
                // Nothing was there, so nothing happened.
                None => return,
            },
        };
        effects.usage.push(UsageChange::of(&event, resource));
        let event = Arc::new(event);
        let seq = self.ring.push(event.clone(), now);
        self.groups.tell(&event, seq, self.ring.first(), &mut effects.touched);
        self.revision = revision;
    }
}

// === impl Step ===

impl Step<'_> {
    fn revision(&self) -> u64 {
        match self {
            Self::Put(entry) => entry.revision,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

// === impl UsageChange ===

impl UsageChange {
    fn of(event: &Event, resource: u32) -> Self {
        let size = |entry: &Arc<Entry>| entry.size() as i64;
        let lost = event.previous.as_ref().map_or((0, 0), |previous| (1, size(previous)));
        let gained = match event.kind {
            super::EventKind::Put { .. } => (1, size(&event.entry)),
            super::EventKind::Delete => (0, 0),
        };
        let cluster = event.entry.cluster().clone();
        Self { cluster, resource, objects: gained.0 - lost.0, bytes: gained.1 - lost.1 }
    }
}
