//! At most so many at once in a place of a cluster; the others wait for their turn.
//!
//! Only for fairness and thrift: nothing is right because of this. Nothing is kept of a place where nobody is.

use std::collections::HashMap;
use std::sync::Arc;

use atoll_api::LogicalClusterName;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Place = (LogicalClusterName, String);

/// Who waits where.
pub(crate) struct Turns {
    at_once: usize,
    queues: Arc<Mutex<HashMap<Place, Queue>>>,
}

struct Queue {
    gate: Arc<Semaphore>,
    /// How many wait or have their turn.
    members: usize,
}

/// Somebody's turn; ends when dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    _membership: Membership,
}

/// Being in a queue; the last one to leave takes the queue away.
struct Membership {
    queues: Arc<Mutex<HashMap<Place, Queue>>>,
    place: Place,
}

impl Turns {
    /// So many at once in each place.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { at_once, queues: Arc::default() }
    }

    /// Waits for one's turn in a place.
    pub(crate) async fn wait(&self, cluster: &LogicalClusterName, place: &str) -> Turn {
        self.wait_unless(cluster, place, usize::MAX).await.expect("no place is crowded by so many")
    }

    /// Waits for one's turn in a place, unless so many are there already, with a turn or waiting.
    pub(crate) async fn wait_unless(&self, cluster: &LogicalClusterName, place: &str, crowd: usize) -> Option<Turn> {
        let place = (cluster.clone(), place.to_owned());
        let gate = {
            let mut queues = self.queues.lock();
            if queues.get(&place).is_some_and(|queue| queue.members >= crowd) {
                return None;
            }
            let new = || Queue { gate: Arc::new(Semaphore::new(self.at_once)), members: 0 };
            let queue = queues.entry(place.clone()).or_insert_with(new);
            queue.members += 1;
            queue.gate.clone()
        };
        let membership = Membership { queues: self.queues.clone(), place };
        let permit = gate.acquire_owned().await.expect("the gate is never closed");
        Some(Turn { _permit: permit, _membership: membership })
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
        let turns = Turns::new(1);
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

    #[tokio::test]
    async fn a_crowded_place_takes_nobody_more() {
        let turns = Turns::new(1);
        let (one, other) = (context("one").cluster, context("other").cluster);
        let first = turns.wait_unless(&one, "", 2).await.expect("a turn");
        let mut second = Box::pin(turns.wait_unless(&one, "", 2));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(turns.wait_unless(&one, "", 2).await.is_none());
        assert!(turns.wait_unless(&other, "", 2).await.is_some(), "another cluster's place is another");
        drop(first);
        assert!(second.await.is_some());
        assert!(turns.queues.lock().is_empty());
    }
}
