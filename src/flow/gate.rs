//! The seats of the process, and who gets them: shared between logical clusters first.
//!
//! A cluster may have seats as long as it has no more than a few times what is still free. So one cluster alone never has
//! all of them, each further one finds some, and many that want more than there is have equally many. Nothing is kept
//! for a cluster in which nothing goes on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_api::LogicalClusterName;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::policy::{Level, Policy};
use super::settings::{Settings, part_of_one};
use super::tenant::Tenant;

/// Which cluster a request counts for; all that are not there count as one, so that nobody can make up more.
pub(super) type Name = Option<LogicalClusterName>;

/// As long after a request somebody else's may still be about to come.
const BUSY: Duration = Duration::from_micros(200);

/// The seats of a process.
pub(super) struct Gate {
    settings: Settings,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_use: u32,
    held: u32,
    waiting: usize,
    tenants: HashMap<Name, Tenant>,
    /// Clusters that could use a seat: least seats first, then who has waited longest for a turn.
    ready: BTreeSet<(u32, u64, Name)>,
    /// Clusters in which somebody waits.
    crowded: usize,
    ticket: u64,
    /// When seats were last given back, since the gate was opened.
    last: Duration,
}

/// A request that asks for seats.
pub(super) struct Ask<'a> {
    pub(super) name: Name,
    pub(super) policy: &'a Arc<Policy>,
    pub(super) level: &'a Arc<Level>,
    /// The hash of its flow.
    pub(super) flow: &'a (dyn Fn() -> u64 + Sync),
    pub(super) seats: u32,
}

/// Why a request gets no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// After how many seconds the client may try again.
    pub retry_after: u64,
    /// Why, in a word for metrics.
    pub reason: &'static str,
}

/// Seats of a request; they are free again when this is dropped.
pub(super) struct Seats {
    gate: Arc<Gate>,
    name: Name,
    level: Arc<Level>,
    queue: Option<u32>,
    seats: u32,
    began: Instant,
}

/// A place in a queue; given up when this is dropped.
struct Place {
    gate: Arc<Gate>,
    name: Name,
    level: Arc<Level>,
    queue: u32,
    ticket: u64,
    seats: u32,
    seated: bool,
}

/// A long-running request; it counts until this is dropped.
pub(super) struct Held {
    gate: Arc<Gate>,
    name: Name,
}

/// What becomes of a request that arrives.
enum Arrived {
    Seated {
        /// Whether nobody else has seats, nor had some a moment ago.
        alone: bool,
    },
    Waits {
        queue: u32,
        ticket: u64,
        woken: oneshot::Receiver<()>,
    },
    Refused(Refusal),
}

/// Where requests are, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Seats in use.
    pub seats: u32,
    /// Requests that wait.
    pub waiting: usize,
    /// Clusters in which something goes on.
    pub clusters: usize,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, started: Instant::now(), state: Mutex::default() })
    }

    /// Waits for seats, for a while.
    pub(super) async fn enter(self: &Arc<Self>, ask: Ask<'_>) -> Result<Seats, Refusal> {
        let arrived = self.state.lock().arrive(&self.settings, &ask, self.started.elapsed());
        let (queue, ticket, woken) = match arrived {
            Arrived::Seated { alone } => {
                let seats = self.seats(ask.name, ask.level.clone(), None, ask.seats);
                if !alone {
                    // Most requests are answered in one go. Were they to begin at once, whoever comes later would wait
                    // for all of them in the runtime, where nobody sees to it that clusters take turns.
                    tokio::task::yield_now().await;
                }
                return Ok(seats);
            }
            Arrived::Refused(refusal) => return Err(refusal),
            Arrived::Waits { queue, ticket, woken } => (queue, ticket, woken),
        };
        let (name, level) = (ask.name, ask.level.clone());
        let mut place = Place { gate: self.clone(), name, level, queue, ticket, seats: ask.seats, seated: false };
        match tokio::time::timeout(self.settings.patience, woken).await {
            Ok(Ok(())) => {
                place.seated = true;
                Ok(self.seats(place.name.clone(), place.level.clone(), Some(queue), place.seats))
            }
            Ok(Err(_)) | Err(_) => {
                let refusal = self.state.lock().refuse(&place.name, &place.level, "time-out", self.second());
                Err(refusal)
            }
        }
    }

    /// Counts a long-running request, unless its cluster has too many.
    pub(super) fn hold(self: &Arc<Self>, name: Name, policy: &Arc<Policy>) -> Result<Held, Refusal> {
        let mut state = self.state.lock();
        let free = self.settings.long_running.saturating_sub(state.held);
        let tenant = state.tenants.entry(name.clone()).or_insert_with(|| Tenant::new(policy.clone()));
        if !has_room(tenant.held, 1, free) {
            state.forget_if_idle(&name);
            return Err(Refusal { retry_after: 1, reason: "long-running" });
        }
        tenant.held += 1;
        state.held += 1;
        drop(state);
        Ok(Held { gate: self.clone(), name })
    }

    pub(super) fn load(&self) -> Load {
        let state = self.state.lock();
        Load { seats: state.in_use, waiting: state.waiting, clusters: state.tenants.len() }
    }

    fn seats(self: &Arc<Self>, name: Name, level: Arc<Level>, queue: Option<u32>, seats: u32) -> Seats {
        Seats { gate: self.clone(), name, level, queue, seats, began: Instant::now() }
    }

    /// Seconds since the process began to serve; refusals are counted by them.
    fn second(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

/// Whether somebody who has so many may have more, with so many free. Whoever has none may have any that there are.
fn has_room(has: u32, wants: u32, free: u32) -> bool {
    free > 0 && (has == 0 || u64::from(has) + u64::from(wants) <= part_of_one(free))
}

// === impl State ===

impl State {
    fn arrive(&mut self, settings: &Settings, ask: &Ask<'_>, now: Duration) -> Arrived {
        let free = settings.seats.saturating_sub(self.in_use);
        let crowded = self.crowded;
        let tenant = self.tenants.entry(ask.name.clone()).or_insert_with(|| Tenant::new(ask.policy.clone()));
        tenant.adopt(ask.policy);
        if has_room(tenant.in_use, ask.seats, free) && tenant.may_go(ask.level, ask.seats) {
            tenant.start(ask.level, ask.seats);
            self.in_use += ask.seats;
            self.settle(&ask.name);
            let idle = now.saturating_sub(self.last) > BUSY || self.last.is_zero();
            return Arrived::Seated { alone: idle && self.in_use == ask.seats };
        }
        self.ticket += 1;
        let ticket = self.ticket;
        let most = settings.waiting / (crowded + usize::from(tenant.waiting == 0)).max(1);
        let queue = tenant.line(ask.level).queue_for(ask.flow, ticket).filter(|_| tenant.waiting < most);
        let Some(queue) = queue else {
            return Arrived::Refused(self.refuse(&ask.name, ask.level, "queue-full", now.as_secs()));
        };
        if tenant.waiting == 0 {
            self.crowded += 1;
        }
        let woken = tenant.enqueue(ask.level, queue, ticket, ask.seats);
        self.waiting += 1;
        self.settle(&ask.name);
        Arrived::Waits { queue, ticket, woken }
    }

    fn refuse(&mut self, name: &Name, level: &Arc<Level>, reason: &'static str, second: u64) -> Refusal {
        let retry_after = match self.tenants.get_mut(name) {
            Some(tenant) => tenant.line(level).refusals.note(second),
            None => 1,
        };
        self.forget_if_idle(name);
        Refusal { retry_after, reason }
    }

    /// Lets in whoever may go now.
    fn dispatch(&mut self, settings: &Settings) {
        while let Some((_, _, name)) = self.ready.first().cloned() {
            let Some(tenant) = self.tenants.get_mut(&name) else {
                self.ready.pop_first();
                continue;
            };
            let free = settings.seats.saturating_sub(self.in_use);
            let turn = tenant.turn();
            match turn {
                // Others have as many or more: none of them may go if this one may not.
                Some(turn) if !has_room(tenant.in_use, turn.next.seats, free) => return,
                Some(turn) => {
                    tenant.serve(turn);
                    self.in_use += turn.next.seats;
                    self.left_queue(&name);
                }
                None => {}
            }
            self.settle(&name);
        }
    }

    /// Counts one less that waits in a cluster.
    fn left_queue(&mut self, name: &Name) {
        self.waiting -= 1;
        if self.tenants.get(name).is_some_and(|tenant| tenant.waiting == 0) {
            self.crowded -= 1;
        }
    }

    /// Puts a cluster where it belongs after a change: among those that could use a seat, aside, or away.
    fn settle(&mut self, name: &Name) {
        let Some(tenant) = self.tenants.get_mut(name) else { return };
        let was = tenant.place.take();
        let wants = tenant.turn().is_some();
        let place = match was {
            _ if !wants => None,
            // Whoever is at the same number of seats as before keeps its place among its equals.
            Some((seats, since)) if seats == tenant.in_use => Some((seats, since)),
            _ => {
                self.ticket += 1;
                Some((tenant.in_use, self.ticket))
            }
        };
        tenant.place = place;
        if was != place {
            if let Some((seats, since)) = was {
                self.ready.remove(&(seats, since, name.clone()));
            }
            if let Some((seats, since)) = place {
                self.ready.insert((seats, since, name.clone()));
            }
        }
        self.forget_if_idle(name);
    }

    fn forget_if_idle(&mut self, name: &Name) {
        if self.tenants.get(name).is_some_and(Tenant::is_idle) {
            self.tenants.remove(name);
        }
        // Memory of a crowd is given back when it has gone.
        if self.tenants.capacity() > 1024 && self.tenants.len() < self.tenants.capacity() / 8 {
            self.tenants.shrink_to(self.tenants.len() * 2);
        }
    }

    fn finish(&mut self, seats: &Seats, settings: &Settings, took: Duration) {
        self.in_use = self.in_use.saturating_sub(seats.seats);
        if let Some(tenant) = self.tenants.get_mut(&seats.name) {
            tenant.finish(&seats.level, seats.queue, seats.seats, took);
        }
        self.settle(&seats.name);
        self.dispatch(settings);
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let gate = self.gate.clone();
        let mut state = gate.state.lock();
        state.last = gate.started.elapsed();
        state.finish(self, &gate.settings, took);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.seated {
            return;
        }
        let gate = self.gate.clone();
        let mut state = gate.state.lock();
        let Some(tenant) = state.tenants.get_mut(&self.name) else { return };
        if tenant.withdraw(&self.level, self.queue, self.ticket) {
            state.left_queue(&self.name);
            state.settle(&self.name);
            state.dispatch(&gate.settings);
            return;
        }
        drop(state);
        // It was let in while it was going away.
        drop(gate.seats(self.name.clone(), self.level.clone(), Some(self.queue), self.seats));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.held = state.held.saturating_sub(1);
        if let Some(tenant) = state.tenants.get_mut(&self.name) {
            tenant.held = tenant.held.saturating_sub(1);
        }
        state.forget_if_idle(&self.name);
    }
}

#[cfg(test)]
mod tests;
