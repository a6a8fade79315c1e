//! The recent events of one resource, shared by everybody who watches it or reads its past.
//!
//! Events of one logical cluster are chained, so that its past is walked without visiting that of its neighbours.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_api::LogicalClusterName;

use super::event::Event;

/// Of how many of the newest events encodings are kept, for those who watch in the same way. Who falls behind these encodes
/// for itself.
const ENCODED: usize = 512;

/// Recent events, numbered by sequence numbers without gaps.
pub(super) struct Ring {
    slots: VecDeque<Slot>,
    /// The sequence number of the first slot.
    first: u64,
    /// Everything after this revision is here.
    floor: u64,
    /// The newest event of each cluster that has one here.
    newest: HashMap<LogicalClusterName, u64>,
    bytes: usize,
}

struct Slot {
    event: Arc<Event>,
    at: Instant,
    /// The sequence number of the cluster's event before this one; it may have left the ring.
    before: Option<u64>,
}

/// How much history is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) age: Duration,
    pub(super) events: usize,
}

// === impl Ring ===

impl Ring {
    /// A ring without events, for a resource whose state is known as of `floor`.
    pub(super) fn new(floor: u64) -> Self {
        Self { slots: VecDeque::new(), first: 1, floor, newest: HashMap::new(), bytes: 0 }
    }

    /// The oldest revision whose state can be restored, and after which events are known.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// The sequence number of the oldest event here.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The sequence number that the next event will get.
    pub(super) fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// About how many bytes the events keep alive.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event and gives its sequence number.
    pub(super) fn push(&mut self, event: Arc<Event>, at: Instant) -> u64 {
        let seq = self.end();
        let before = match self.newest.get_mut(event.entry.cluster()) {
            Some(newest) => Some(std::mem::replace(newest, seq)),
            None => self.newest.insert(event.entry.cluster().clone(), seq),
        };
        self.bytes += event.cost();
        self.slots.push_back(Slot { event, at, before });
        if let Some(stale) = self.slots.len().checked_sub(ENCODED + 1).and_then(|index| self.slots.get(index)) {
            stale.event.let_go_of_encodings();
        }
        seq
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Arc<Event>> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.slots.get(index).map(|slot| &slot.event)
    }

    /// The sequence number of the first event after a revision.
    pub(super) fn first_after(&self, revision: u64) -> u64 {
        self.first + self.slots.partition_point(|slot| slot.event.revision <= revision) as u64
    }

    /// Sequence numbers and events from the newest to the oldest.
    pub(super) fn backwards(&self) -> impl Iterator<Item = (u64, &Arc<Event>)> {
        (self.first..self.end()).rev().zip(self.slots.iter().rev().map(|slot| &slot.event))
    }

    /// Sequence numbers and events of one cluster, from the newest to the oldest.
    pub(super) fn backwards_in(&self, cluster: &LogicalClusterName) -> impl Iterator<Item = (u64, &Arc<Event>)> {
        let mut next = self.newest.get(cluster).copied();
        std::iter::from_fn(move || {
            let seq = next?;
            let slot = self.slots.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)?;
            next = slot.before;
            Some((seq, &slot.event))
        })
    }

    /// Lets go of events that are beyond the limits.
    pub(super) fn trim(&mut self, limits: Limits, now: Instant) {
        while let Some(oldest) = self.slots.front() {
            if self.slots.len() <= limits.events && now.saturating_duration_since(oldest.at) <= limits.age {
                break;
            }
            self.drop_oldest();
        }
        if self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
            self.newest.shrink_to(self.newest.len() * 2);
        }
    }

    /// Lets go of the oldest events until those left keep at most `bytes` alive.
    pub(super) fn trim_to_bytes(&mut self, bytes: usize) {
        while self.bytes > bytes && !self.slots.is_empty() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(slot) = self.slots.pop_front() else { return };
        let cluster = slot.event.entry.cluster();
        if self.newest.get(cluster) == Some(&self.first) {
            self.newest.remove(cluster);
        }
        self.first += 1;
        self.floor = slot.event.revision;
        self.bytes -= slot.event.cost();
    }
}
