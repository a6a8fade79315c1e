//! Clusters that are closed for a while: nobody sees how they come to be, or are put back, but only what comes of it.
//!
//! The object that stands for a cluster says so by a label. As long as it has it the cluster has no watches, and what is
//! written to it stands aside; when the label is taken off, lists and watches of all clusters get what has come of it, as changes of
//! that one revision, and the cluster's own history begins anew. Every server over a store hears of it by the object itself.

use std::collections::HashSet;
use std::time::Instant;

use atoll_api::{ClusterScope, LogicalClusterName};
use parking_lot::{Mutex, MutexGuard};

use super::Store;
use super::entry::Entry;
use super::list::ListQuery;
use super::resource::Effects;
use crate::storage::Change;

/// The label of an object that stands for a cluster which is closed.
pub const CLOSED_LABEL: &str = "tenancy.atoll.dev/closed";

/// The clusters that are closed.
#[derive(Default)]
pub(super) struct Closed(Mutex<HashSet<LogicalClusterName>>);

/// A cluster that is closed, or not any more.
pub(super) struct Turn {
    cluster: LogicalClusterName,
    revision: u64,
    to: To,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    /// Nothing of this revision is seen any more.
    Closed,
    /// Everything up to this revision is.
    Open,
}

impl Store {
    /// Finds the clusters that are closed already, and puts what they hold aside.
    pub(super) fn find_closed(&self) {
        let Some(objects) = self.cluster_objects.get() else { return };
        let root = ClusterScope::One(LogicalClusterName::root());
        // Nothing is applied meanwhile, so nothing is closed that opens just now.
        let mut closed = self.closed.0.lock();
        let Ok(page) = self.list(ListQuery { filter: Some(&is_closed), ..ListQuery::new(objects, &root) }) else {
            return;
        };
        let names = page.entries.iter().filter_map(|entry| LogicalClusterName::parse(entry.name()).ok());
        for cluster in names.filter(|name| closed.insert(name.clone())).collect::<Vec<_>>() {
            let held = self.clusters.resources(&cluster);
            for resource in held.into_iter().filter_map(|id| self.resource_by_id(id)) {
                resource.state.write().hide(&cluster);
            }
        }
    }

    /// Applies changes, and opens and closes clusters where these say so.
    pub(super) fn apply_in_turns(&self, changes: &[Change], now: Instant, effects: &mut Effects) {
        let mut closed = self.closed.0.lock();
        let mut rest = changes;
        let turns = self.turns(changes, &closed);
        for turn in &turns {
            let (until_then, later) = rest.split_at(rest.partition_point(|change| turn.comes_after(change.revision)));
            self.apply_changes(until_then, &closed, now, effects);
            rest = later;
            turn.take(self, &mut closed, now, effects);
        }
        self.apply_changes(rest, &closed, now, effects);
        for turn in turns {
            self.end_watches_of(&turn.cluster);
            if turn.to == To::Open {
                self.floors.raise(&turn.cluster, turn.revision, now);
            }
        }
    }

    /// The clusters that changes of their objects open or close, in the order in which that happens.
    fn turns(&self, changes: &[Change], closed: &HashSet<LogicalClusterName>) -> Vec<Turn> {
        let mut turns: Vec<Turn> = Vec::new();
        let Some(objects) = self.cluster_objects.get() else { return turns };
        let standing = |change: &&Change| change.key.resource == *objects && change.key.cluster.is_root();
        for change in changes.iter().filter(standing) {
            let Ok(cluster) = LogicalClusterName::parse(&change.key.name) else { continue };
            let last = turns.iter().rev().find(|turn| turn.cluster == cluster);
            let before = match last {
                Some(turn) => turn.to,
                None if closed.contains(&cluster) => To::Closed,
                None => To::Open,
            };
            let to = if says_closed(change) { To::Closed } else { To::Open };
            if to != before {
                turns.push(Turn { cluster, revision: change.revision, to });
            }
        }
        turns.sort_by_key(|turn| (turn.revision, turn.to));
        turns
    }
}

/// Whether a change leaves a cluster closed.
fn says_closed(change: &Change) -> bool {
    let Some(value) = &change.value else { return false };
    // Few are, and most values need not be read to know that they do not say so.
    let label = CLOSED_LABEL.as_bytes();
    value.windows(label.len()).any(|window| window == label)
        && is_closed(&Entry::new(&change.key, change.key.cluster.clone(), value.clone(), change.revision))
}

fn is_closed(entry: &Entry) -> bool {
    entry.labels().get(CLOSED_LABEL).is_some()
}

// === impl Turn ===

impl Turn {
    /// Whether what happened at a revision is applied before.
    fn comes_after(&self, revision: u64) -> bool {
        match self.to {
            To::Closed => revision < self.revision,
            To::Open => revision <= self.revision,
        }
    }

    fn take(
        &self,
        store: &Store,
        closed: &mut MutexGuard<'_, HashSet<LogicalClusterName>>,
        now: Instant,
        effects: &mut Effects,
    ) {
        if self.to == To::Closed {
            closed.insert(self.cluster.clone());
            return;
        }
        closed.remove(&self.cluster);
        let resources = store.resources.read().by_id.clone();
        for resource in resources {
            resource.reveal(&self.cluster, self.revision, store.limits(), now, effects);
        }
    }
}
