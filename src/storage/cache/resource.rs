//! The cached state of one resource in all logical clusters: its entries, its recent events, its watchers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use atoll_api::{GroupResource, LogicalClusterName};
use parking_lot::{RwLock, RwLockWriteGuard};

use super::aside::{Aside, Found};
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
    /// Every entry that is shown, in order.
    pub(super) tree: Tree,
    /// The same entries, by place.
    index: Index,
    /// What is otherwise in clusters that are closed, by their names.
    aside: HashMap<Box<[u8]>, Aside>,
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
            aside: HashMap::new(),
            ring: Ring::new(revision),
            groups: Groups::default(),
            revision,
        };
        Self { id, name, state: RwLock::new(state) }
    }

    /// Applies changes in order; those of one revision become visible together, and those of closed clusters not yet.
    pub(super) fn apply(
        &self,
        steps: Vec<Step<'_>>,
        closed: &HashSet<LogicalClusterName>,
        limits: Limits,
        now: Instant,
        effects: &mut Effects,
    ) {
        let mut state = self.state.write();
        let before = state.ring.bytes();
        for step in steps {
            if step.revision() > state.revision {
                // Readers that wait may see what is complete so far.
                RwLockWriteGuard::bump(&mut state);
            }
            if !closed.is_empty() && closed.contains(step.cluster()) {
                state.put_aside(step, self.id, effects);
            } else {
                state.apply(step, self.id, now, effects);
            }
        }
        state.ring.trim(limits, now);
        effects.history += state.ring.bytes() as i64 - before as i64;
    }

    /// Shows what has become of a cluster's entries while it was closed, as changes of the revision at which it opens.
    pub(super) fn reveal(
        &self,
        cluster: &LogicalClusterName,
        revision: u64,
        limits: Limits,
        now: Instant,
        effects: &mut Effects,
    ) {
        let is_concerned = self.state.read().aside.contains_key(cluster.as_str().as_bytes());
        if !is_concerned {
            return;
        }
        let mut state = self.state.write();
        let before = state.ring.bytes();
        state.reveal(cluster, revision, now, effects);
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
    /// What is at a place, shown or not.
    pub(super) fn get(&self, at: Parts<'_>) -> Option<&Arc<Entry>> {
        match self.aside_of(at.cluster).map_or(Found::AsShown, |aside| aside.get(at)) {
            Found::Entry(entry) => Some(entry),
            Found::Gone => None,
            Found::AsShown => self.shown(at),
        }
    }

    /// What is otherwise in a cluster than it is shown, if anything is.
    pub(super) fn aside_of(&self, cluster: &[u8]) -> Option<&Aside> {
        if self.aside.is_empty() { None } else { self.aside.get(cluster) }
    }

    /// What stands aside in all clusters.
    pub(super) fn all_aside(&self) -> impl Iterator<Item = &Aside> {
        self.aside.values()
    }

    fn shown(&self, at: Parts<'_>) -> Option<&Arc<Entry>> {
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
        self.tell(event, now, effects);
        self.revision = revision;
    }

    fn tell(&mut self, event: Event, now: Instant, effects: &mut Effects) {
        let event = Arc::new(event);
        let seq = self.ring.push(event.clone(), now);
        self.groups.tell(&event, seq, self.ring.first(), &mut effects.touched);
    }

    /// Takes a change of a closed cluster, which nobody sees.
    fn put_aside(&mut self, step: Step<'_>, resource: u32, effects: &mut Effects) {
        let (revision, cluster) = (step.revision(), step.cluster().clone());
        let place = match &step {
            Step::Put(entry) => entry.parts(),
            Step::Delete { key, .. } => key.parts(),
        };
        let before = self.get(place).cloned();
        let shown = self.shown(place).cloned();
        let aside = self.aside.entry(cluster.as_str().as_bytes().into()).or_insert_with(Aside::new);
        let after = match &step {
            Step::Put(entry) => {
                aside.put(entry.clone());
                Some(entry)
            }
            Step::Delete { key, .. } => {
                aside.delete(key.parts(), shown);
                None
            }
        };
        if aside.is_empty() {
            self.aside.remove(cluster.as_str().as_bytes());
        }
        effects.usage.push(UsageChange::between(cluster, resource, before.as_ref(), after));
        self.revision = revision;
    }

    fn reveal(&mut self, cluster: &LogicalClusterName, revision: u64, now: Instant, effects: &mut Effects) {
        let Some(aside) = self.aside.remove(cluster.as_str().as_bytes()) else { return };
        for gone in aside.gone() {
            if let Some(last) = self.remove(gone.parts()) {
                self.tell(Event::delete(last, revision), now, effects);
            }
        }
        for entry in aside.puts() {
            let previous = self.insert(entry.clone());
            self.tell(Event::shown_at(entry.clone(), previous, revision), now, effects);
        }
        self.revision = revision;
    }

    /// Puts aside what is shown of a cluster, without telling: for a state that nobody has seen yet.
    pub(super) fn hide(&mut self, cluster: &LogicalClusterName) {
        let start = self.tree.partition_point(|at| at.cmp_span(cluster.as_str(), None).is_lt());
        let end = self.tree.partition_point(|at| at.cmp_span(cluster.as_str(), None).is_le());
        let held: Vec<Arc<Entry>> = self.tree.iter_from(start).take(end - start).cloned().collect();
        for entry in &held {
            self.remove(entry.parts());
        }
        if !held.is_empty() {
            self.aside.insert(cluster.as_str().as_bytes().into(), Aside::of(held));
        }
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

    fn cluster(&self) -> &LogicalClusterName {
        match self {
            Self::Put(entry) => entry.cluster(),
            Self::Delete { key, .. } => &key.cluster,
        }
    }
}

// === impl UsageChange ===

impl UsageChange {
    fn of(event: &Event, resource: u32) -> Self {
        let after = match event.kind {
            super::EventKind::Put { .. } => Some(&event.entry),
            super::EventKind::Delete => None,
        };
        Self::between(event.entry.cluster().clone(), resource, event.previous.as_ref(), after)
    }

    fn between(
        cluster: LogicalClusterName,
        resource: u32,
        before: Option<&Arc<Entry>>,
        after: Option<&Arc<Entry>>,
    ) -> Self {
        let size = |entry: Option<&Arc<Entry>>| entry.map_or((0, 0), |entry| (1, entry.size() as i64));
        let (lost, gained) = (size(before), size(after));
        Self { cluster, resource, objects: gained.0 - lost.0, bytes: gained.1 - lost.1 }
    }
}
