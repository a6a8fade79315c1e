//! Who watches what: watchers of the same thing share a group, and an event finds its groups by lookup.
//!
//! A group exists while it has watchers. It holds the sequence numbers of its events in the ring, never events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use atoll_api::{ClusterScope, LogicalClusterName};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::event::Event;
use super::ring::Ring;

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// It fell behind what the cache remembers; the client must list again.
    Expired,
    /// Its logical cluster was deleted.
    ClusterDeleted,
    /// The store was closed, or it failed.
    Shutdown,
}

/// What a group of watchers watches, within one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) scope: ClusterScope,
    pub(super) narrow: Narrow,
}

/// Within the scope: a namespace, a name, or both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Narrow {
    pub(super) namespace: Option<Box<str>>,
    pub(super) name: Option<Box<str>>,
}

/// The watchers of one interest.
pub(super) struct Group {
    pub(super) interest: Interest,
    pub(super) wake: Notify,
    pub(super) track: Mutex<Track>,
}

/// Where a group's events are in the ring.
pub(super) struct Track {
    /// Its events' sequence numbers from `from` on; `None` when every event is one of its own.
    seqs: Option<VecDeque<u64>>,
    /// Events before this sequence number are not in `seqs`, whether they concern the group or not.
    from: u64,
    ended: Option<CloseReason>,
    watchers: usize,
}

/// What a watcher finds at its place.
pub(super) enum Found {
    /// An event; the watcher goes on behind it.
    Event { seq: u64, event: Arc<Event> },
    /// An event that concerns the watcher has left the ring unseen.
    Lost,
    /// The group has ended, and everything before its end was seen.
    Ended(CloseReason),
    /// It has seen everything.
    Nothing,
}

/// The groups of one resource.
#[derive(Default)]
pub(super) struct Groups {
    clusters: HashMap<LogicalClusterName, Level>,
    all: Level,
    closed: Option<CloseReason>,
}

/// The groups within a scope, or within a namespace of it.
#[derive(Default)]
struct Level {
    whole: Option<Arc<Group>>,
    names: HashMap<Box<str>, Arc<Group>>,
    /// Empty within a namespace.
    namespaces: HashMap<Box<str>, Level>,
}

// === impl Groups ===

impl Groups {
    /// Joins the group of an interest, which is made if need be and then knows all its events since `start`.
    pub(super) fn join(&mut self, interest: &Interest, ring: &Ring, start: u64) -> Arc<Group> {
        let scope = match &interest.scope {
            ClusterScope::All => &mut self.all,
            ClusterScope::One(cluster) => self.clusters.entry(cluster.clone()).or_default(),
        };
        let make = || Arc::new(Group::new(interest.clone(), ring.end()));
        let level = match &interest.narrow.namespace {
            Some(namespace) => scope.namespaces.entry(namespace.clone()).or_default(),
            None => scope,
        };
        let group = match &interest.narrow.name {
            Some(name) => level.names.entry(name.clone()).or_insert_with(make),
            None => level.whole.get_or_insert_with(make),
        };
        let mut track = group.track.lock();
        track.watchers += 1;
        track.reach_back(interest, ring, start);
        track.ended = track.ended.or(self.closed);
        drop(track);
        group.clone()
    }

    /// Leaves a group; with its last watcher it is gone.
    pub(super) fn leave(&mut self, group: &Arc<Group>) {
        let mut track = group.track.lock();
        track.watchers -= 1;
        if track.watchers > 0 {
            return;
        }
        drop(track);
        match &group.interest.scope {
            ClusterScope::All => self.all.remove(group),
            ClusterScope::One(cluster) => {
                if let Some(scope) = self.clusters.get_mut(cluster) {
                    scope.remove(group);
                    if scope.is_empty() {
                        self.clusters.remove(cluster);
                    }
                }
            }
        }
    }

    /// Tells the groups that an event concerns, and lists them in `touched`.
    pub(super) fn tell(&self, event: &Event, seq: u64, ring_first: u64, touched: &mut Vec<Arc<Group>>) {
        let (namespace, name) = (event.entry.namespace(), event.entry.name());
        let scopes = self.clusters.get(event.entry.cluster()).into_iter().chain([&self.all]);
        for group in scopes.flat_map(|scope| scope.concerned(namespace, name)) {
            group.track.lock().push(seq, ring_first);
            // Neighbouring events mostly touch the same groups; the rest is sorted out before they are woken.
            if !touched.last().is_some_and(|last| Arc::ptr_eq(last, group)) {
                touched.push(group.clone());
            }
        }
    }

    /// Ends the watches of one cluster.
    pub(super) fn end_cluster(&mut self, cluster: &LogicalClusterName, reason: CloseReason) {
        for group in self.clusters.remove(cluster).into_iter().flat_map(Level::into_groups) {
            group.end(reason);
        }
    }

    /// Ends all watches, and those that join later.
    pub(super) fn end_all(&mut self, reason: CloseReason) {
        self.closed = Some(reason);
        let scopes = self.clusters.drain().map(|(_, scope)| scope).chain([std::mem::take(&mut self.all)]);
        for group in scopes.flat_map(Level::into_groups) {
            group.end(reason);
        }
    }

    /// How many groups there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.clusters.values().map(Level::count).sum::<usize>() + self.all.count()
    }
}

// === impl Level ===

impl Level {
    /// The groups that an object of this name in this namespace concerns.
    fn concerned<'a>(&'a self, namespace: &str, name: &str) -> impl Iterator<Item = &'a Arc<Group>> + use<'a> {
        let within = self.namespaces.get(namespace);
        let narrowed = within.and_then(|level| level.whole.as_ref()).into_iter();
        let named = within.and_then(|level| level.names.get(name)).into_iter();
        self.whole.iter().chain(self.names.get(name)).chain(narrowed).chain(named)
    }

    fn remove(&mut self, group: &Arc<Group>) {
        let narrow = &group.interest.narrow;
        let level = match &narrow.namespace {
            Some(namespace) => self.namespaces.get_mut(namespace),
            None => Some(&mut *self),
        };
        let Some(level) = level else { return };
        // A group that was ended is not in the tables any more, and another may stand in its place.
        match &narrow.name {
            Some(name) if level.names.get(name).is_some_and(|at| Arc::ptr_eq(at, group)) => {
                level.names.remove(name);
            }
            Some(_) => {}
            None => drop(level.whole.take_if(|at| Arc::ptr_eq(at, group))),
        }
        if let Some(namespace) = &narrow.namespace
            && self.namespaces.get(namespace).is_some_and(Self::is_empty)
        {
            self.namespaces.remove(namespace);
        }
    }

    fn is_empty(&self) -> bool {
        self.whole.is_none() && self.names.is_empty() && self.namespaces.is_empty()
    }

    fn into_groups(self) -> Vec<Arc<Group>> {
        let within = self.namespaces.into_values().flat_map(Self::into_groups);
        self.whole.into_iter().chain(self.names.into_values()).chain(within).collect()
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        let within: usize = self.namespaces.values().map(Self::count).sum();
        usize::from(self.whole.is_some()) + self.names.len() + within
    }
}

// === impl Group ===

impl Group {
    fn new(interest: Interest, end: u64) -> Self {
        let every = interest.scope == ClusterScope::All && interest.narrow == Narrow::default();
        let seqs = (!every).then(VecDeque::new);
        let track = Track { seqs, from: end, ended: None, watchers: 0 };
        Self { interest, wake: Notify::new(), track: Mutex::new(track) }
    }

    pub(super) fn watchers(&self) -> usize {
        self.track.lock().watchers
    }

    /// What a watcher finds that has seen everything before `next`.
    pub(super) fn find(&self, next: u64, ring: &Ring) -> Found {
        let track = self.track.lock();
        let seq = match &track.seqs {
            None => next.min(ring.end()),
            // What left `seqs` had left the ring.
            Some(_) if next < track.from => return Found::Lost,
            Some(seqs) => seqs.get(seqs.partition_point(|seq| *seq < next)).copied().unwrap_or(ring.end()),
        };
        if seq < ring.first() {
            return Found::Lost;
        }
        match (ring.get(seq), track.ended) {
            (Some(event), _) => Found::Event { seq, event: event.clone() },
            (None, Some(reason)) => Found::Ended(reason),
            (None, None) => Found::Nothing,
        }
    }

    fn end(&self, reason: CloseReason) {
        self.track.lock().ended = Some(reason);
        self.wake.notify_waiters();
    }
}

// === impl Track ===

impl Track {
    fn push(&mut self, seq: u64, ring_first: u64) {
        let Some(seqs) = &mut self.seqs else { return };
        seqs.push_back(seq);
        while let Some(&oldest) = seqs.front()
            && oldest < ring_first
        {
            seqs.pop_front();
            self.from = oldest + 1;
        }
    }

    /// Finds the group's events between `start` and what it knows already.
    fn reach_back(&mut self, interest: &Interest, ring: &Ring, start: u64) {
        let (Some(seqs), true) = (&mut self.seqs, start < self.from) else { return };
        let known_from = self.from;
        let missing = |(seq, _): &(u64, &Arc<Event>)| *seq >= start;
        let concerned = |(seq, event): (u64, &Arc<Event>)| {
            (seq < known_from && interest.narrow.covers(event.entry.namespace(), event.entry.name())).then_some(seq)
        };
        match &interest.scope {
            ClusterScope::One(cluster) => {
                ring.backwards_in(cluster)
                    .take_while(missing)
                    .filter_map(concerned)
                    .for_each(|seq| seqs.push_front(seq));
            }
            ClusterScope::All => {
                ring.backwards().take_while(missing).filter_map(concerned).for_each(|seq| seqs.push_front(seq));
            }
        }
        self.from = start;
    }
}

// === impl Narrow ===

impl Narrow {
    pub(super) fn new(namespace: Option<&str>, name: Option<&str>) -> Self {
        Self { namespace: namespace.map(Into::into), name: name.map(Into::into) }
    }

    fn covers(&self, namespace: &str, name: &str) -> bool {
        self.namespace.as_deref().is_none_or(|at| at == namespace) && self.name.as_deref().is_none_or(|at| at == name)
    }
}
