//! Writers of one namespace that has quotas take turns, so that they do not fail each other.
//!
//! What they write is right without this: the store compares and sets. Nothing is kept of a namespace nobody waits for.

use std::collections::HashMap;
use std::sync::Arc;

use atoll_api::LogicalClusterName;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Place = (LogicalClusterName, String);

/// Who waits where.
#[derive(Default)]
pub(super) struct Turns {
    queues: Arc<Mutex<HashMap<Place, Queue>>>,
}

struct Queue {
    /// Has one permit.
    gate: Arc<Semaphore>,
    /// How many wait or have their turn.
    members: usize,
}

/// Somebody's turn; ends when dropped.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
    _membership: Membership,
}

/// Being in a queue; the last one to leave takes the queue away.
struct Membership {
    queues: Arc<Mutex<HashMap<Place, Queue>>>,
    place: Place,
}

impl Turns {
    /// Waits for one's turn.
    pub(super) async fn wait(&self, cluster: &LogicalClusterName, namespace: &str) -> Turn {
        let place = (cluster.clone(), namespace.to_owned());
        let gate = {
            let mut queues = self.queues.lock();
            let new = || Queue { gate: Arc::new(Semaphore::new(1)), members: 0 };
            let queue = queues.entry(place.clone()).or_insert_with(new);
            queue.members += 1;
            queue.gate.clone()
        };
        let membership = Membership { queues: self.queues.clone(), place };
        let permit = gate.acquire_owned().await.expect("the gate is never closed");
        Turn { _permit: permit, _membership: membership }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get_mut(&self.place) {
            queue.members -= 1;
            if queue.members == 0 {
                queues.remove(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::context;

    #[tokio::test]
    async fn turns_are_taken_in_order_and_nothing_is_kept_of_them() {
        let turns = Turns::default();
        let cluster = context("one").cluster;
        let first = turns.wait(&cluster, "n").await;
        let mut second = Box::pin(turns.wait(&cluster, "n"));
        assert!(futures::poll!(&mut second).is_pending());
        drop(turns.wait(&cluster, "other").await);
        drop(first);
        assert!(futures::poll!(&mut second).is_ready());
        // One that gives up while it waits leaves as well.
        let turn = turns.wait(&cluster, "n").await;
        let mut third = Box::pin(turns.wait(&cluster, "n"));
        assert!(futures::poll!(&mut third).is_pending());
        drop((third, turn));
        assert!(turns.queues.lock().is_empty());
    }
}
