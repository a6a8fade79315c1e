//! Those who wait at one priority level of one cluster, and who of them is next.
//!
//! Queues take turns by what they have used: seats times the time they were held. A queue that nobody waits in and nobody
//! was let through from is no queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::policy::{Level, Limits, Manner};
use super::retry::Refusals;

/// What a request is taken to use until it is known, in microseconds a seat.
const GUESS: u64 = 3_000;

/// One priority level at work in one cluster.
pub(super) struct Line {
    pub(super) level: Arc<Level>,
    /// The seats of those who were let through.
    pub(super) used: u32,
    pub(super) refusals: Refusals,
    /// Whether the level is gone, and only those are let through, one at a time, who waited before.
    pub(super) lingers: bool,
    waiting: usize,
    queues: HashMap<u32, Queue>,
    /// Queues that somebody waits in, by what they have used.
    order: BTreeSet<(u64, u32)>,
    /// What the queue has used that was last let through from.
    clock: u64,
}

#[derive(Default)]
struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    seats: u64,
    served: u32,
    used: u64,
}

struct Waiting {
    seats: u32,
    wake: oneshot::Sender<()>,
}

/// Who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) queue: u32,
    pub(super) seats: u32,
}

// === impl Line ===

impl Line {
    pub(super) fn new(level: Arc<Level>) -> Self {
        Self {
            level,
            used: 0,
            refusals: Refusals::default(),
            lingers: false,
            waiting: 0,
            queues: HashMap::new(),
            order: BTreeSet::new(),
            clock: 0,
        }
    }

    pub(super) fn limits(&self) -> Option<&Limits> {
        match &self.level.manner {
            Manner::Exempt => None,
            Manner::Limited(limits) => Some(limits),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0 && self.used == 0
    }

    /// The seats this level keeps for itself and does not use.
    pub(super) fn kept_unused(&self) -> u32 {
        self.limits().map_or(0, |limits| limits.kept.saturating_sub(self.used))
    }

    /// What it has in relation to its part: the level that has least goes first.
    pub(super) fn load(&self) -> u64 {
        self.limits().map_or(0, |limits| u64::from(self.used + 1) * 1_000_000 / u64::from(limits.nominal.max(1)))
    }

    /// The queue in which a request of a flow waits; none if it cannot.
    pub(super) fn queue_for(&self, flow: impl FnOnce() -> u64, ticket: u64) -> Option<u32> {
        let Some(limits) = self.limits() else { return Some(0) };
        let queues = limits.queues.as_ref()?;
        let hand: Vec<u32> = queues.dealer.deal(flow()).collect();
        // Beginning elsewhere each time, so that flows whose hands overlap do not all prefer the same queue.
        let turned = (0..hand.len()).map(|index| hand[(index + ticket as usize) % hand.len()]);
        let least = turned.min_by_key(|queue| self.queues.get(queue).map_or(0, |queue| queue.seats))?;
        let length = self.queues.get(&least).map_or(0, |queue| queue.waiting.len());
        (length < queues.length as usize).then_some(least)
    }

    pub(super) fn enqueue(&mut self, queue: u32, ticket: u64, seats: u32) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let clock = self.clock;
        let queue_state = self.queues.entry(queue).or_insert_with(|| Queue { used: clock, ..Queue::default() });
        if queue_state.waiting.is_empty() {
            // What others used while nobody waited here gives no claim to more than a turn.
            queue_state.used = queue_state.used.max(clock);
            self.order.insert((queue_state.used, queue));
        }
        queue_state.waiting.insert(ticket, Waiting { seats, wake });
        queue_state.seats += u64::from(seats);
        self.waiting += 1;
        woken
    }

    /// Who is next, if anybody waits.
    pub(super) fn next(&self) -> Option<Next> {
        let (_, queue) = *self.order.first()?;
        let (_, first) = self.queues.get(&queue)?.waiting.first_key_value()?;
        Some(Next { queue, seats: first.seats })
    }

    /// Lets through whoever is next. It gives its seats back even if it has just gone away.
    pub(super) fn serve(&mut self, next: Next) {
        let Some(queue) = self.queues.get_mut(&next.queue) else { return };
        let Some((_, waiting)) = queue.waiting.pop_first() else { return };
        self.order.remove(&(queue.used, next.queue));
        queue.seats -= u64::from(waiting.seats);
        self.waiting -= 1;
        self.clock = self.clock.max(queue.used);
        queue.served += 1;
        queue.used = queue.used.saturating_add(GUESS * u64::from(waiting.seats));
        self.used += waiting.seats;
        // Whoever does not hear of it any more gives the seats back.
        let _ = waiting.wake.send(());
        self.settle(next.queue);
    }

    /// Takes out somebody who waits no longer; whether it still did.
    pub(super) fn withdraw(&mut self, queue: u32, ticket: u64) -> bool {
        let Some(state) = self.queues.get_mut(&queue) else { return false };
        let Some(waiting) = state.waiting.remove(&ticket) else { return false };
        state.seats -= u64::from(waiting.seats);
        self.order.remove(&(state.used, queue));
        self.waiting -= 1;
        self.settle(queue);
        true
    }

    /// Gives back seats, and notes what those let through from a queue really used.
    pub(super) fn finish(&mut self, queue: Option<u32>, seats: u32, took: Duration) {
        self.used = self.used.saturating_sub(seats);
        let Some(number) = queue else { return };
        let Some(queue) = self.queues.get_mut(&number) else { return };
        self.order.remove(&(queue.used, number));
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let seats = u64::from(seats);
        queue.used = queue.used.saturating_add(seats.saturating_mul(took)).saturating_sub(GUESS * seats);
        queue.served = queue.served.saturating_sub(1);
        self.settle(number);
    }

    /// Puts a queue where it belongs after a change: among those that wait, or nowhere.
    fn settle(&mut self, number: u32) {
        let Some(queue) = self.queues.get(&number) else { return };
        if !queue.waiting.is_empty() {
            self.order.insert((queue.used, number));
        } else if queue.served == 0 {
            self.queues.remove(&number);
        }
    }
}
