//! Watchers: each holds a place in its resource's ring, and nothing else.
//!
//! A watcher that falls behind the ring is told so; it never makes the writer wait, and nothing is queued for it.

use std::sync::Arc;

use atoll_api::{ClusterScope, GroupResource};

use super::Store;
use super::event::Event;
use super::groups::{CloseReason, Found, Group, Interest, Narrow};
use super::list::ReadError;
use super::resource::Resource;

/// What to watch.
#[derive(Debug, Clone, Copy)]
pub struct WatchQuery<'a> {
    /// Of which resource.
    pub resource: &'a GroupResource,
    /// In which logical clusters.
    pub scope: &'a ClusterScope,
    /// In which namespace; `None` is all, `Some("")` what has none.
    pub namespace: Option<&'a str>,
    /// Of which name.
    pub name: Option<&'a str>,
}

/// What a watcher is given.
#[derive(Debug, Clone)]
pub enum WatchItem {
    /// Something happened.
    Event(Arc<Event>),
    /// Nothing more will come.
    Closed(CloseReason),
}

/// Sees the events of what it watches, one after the other.
pub struct Watcher {
    store: Arc<Store>,
    resource: Arc<Resource>,
    group: Arc<Group>,
    /// The sequence number before which everything was seen.
    next: u64,
    closed: Option<CloseReason>,
}

impl Store {
    /// Watches for events after a revision.
    ///
    /// The revision of a list, or of an event seen before, leaves no gap.
    pub fn watch(self: &Arc<Self>, query: WatchQuery<'_>, after: u64) -> Result<Watcher, ReadError> {
        let resource = self.resource_or_new(query.resource);
        let interest = Interest { scope: query.scope.clone(), narrow: Narrow::new(query.namespace, query.name) };
        let mut state = resource.state.write();
        // A cluster of an earlier one's name sees nothing of its predecessor's end.
        let oldest = state.ring.floor().max(self.floors.of(query.scope));
        let current = self.revision().max(state.revision);
        if after < oldest {
            return Err(ReadError::Expired { oldest });
        }
        if after > current {
            return Err(ReadError::Future { current });
        }
        let next = state.ring.first_after(after);
        let state = &mut *state;
        let group = state.groups.join(&interest, &state.ring, next);
        if let ClusterScope::One(cluster) = query.scope {
            self.watched.add(cluster, resource.id);
        }
        let (store, resource) = (self.clone(), resource.clone());
        Ok(Watcher { store, resource, group, next, closed: None })
    }
}

// === impl Watcher ===

impl Watcher {
    /// Waits for what comes next. After [`WatchItem::Closed`], answers the same again.
    ///
    /// May be dropped at any time without losing an event.
    pub async fn next(&mut self) -> WatchItem {
        if let Some(item) = self.try_next() {
            return item;
        }
        let group = self.group.clone();
        loop {
            let mut woken = std::pin::pin!(group.wake.notified());
            // From here on no wake-up is missed, so looking before waiting is safe.
            woken.as_mut().enable();
            if let Some(item) = self.try_next() {
                return item;
            }
            woken.await;
        }
    }

    /// What comes next, if it is there already.
    pub fn try_next(&mut self) -> Option<WatchItem> {
        if let Some(reason) = self.closed {
            return Some(WatchItem::Closed(reason));
        }
        let state = self.resource.state.read();
        let reason = match self.group.find(self.next, &state.ring) {
            Found::Event { seq, event } => {
                self.next = seq + 1;
                return Some(WatchItem::Event(event));
            }
            Found::Nothing => {
                self.next = state.ring.end();
                return None;
            }
            Found::Lost => CloseReason::Expired,
            Found::Ended(reason) => reason,
        };
        self.closed = Some(reason);
        Some(WatchItem::Closed(reason))
    }

    /// The revision up to which the watcher has seen everything: what a bookmark may say, and where another watch may
    /// go on.
    pub fn revision(&self) -> u64 {
        let state = self.resource.state.read();
        match self.group.find(self.next, &state.ring) {
            // What comes next may share its revision with what was seen last.
            Found::Event { event, .. } => event.revision - 1,
            Found::Nothing => self.store.revision().max(state.revision),
            // The place is gone. What was seen before it is all that can be promised.
            Found::Lost | Found::Ended(_) => {
                state.ring.get(self.next - 1).map_or(0, |last| last.revision.saturating_sub(1))
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.resource.state.write().groups.leave(&self.group);
        if let ClusterScope::One(cluster) = &self.group.interest.scope {
            self.store.watched.remove(cluster, self.resource.id);
        }
    }
}
