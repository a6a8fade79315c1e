//! From which revision on the history of a logical cluster is its own: a name may have belonged to another one before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use atoll_api::{ClusterScope, LogicalClusterName};
use parking_lot::RwLock;

/// The revisions at which clusters were last deleted, for as long as history may reach back behind them.
#[derive(Default)]
pub(super) struct Floors(RwLock<HashMap<LogicalClusterName, (u64, Instant)>>);

impl Floors {
    /// Hides what happened in a cluster up to `revision`. What is older than `age` history has let go by itself.
    pub(super) fn raise(&self, cluster: &LogicalClusterName, revision: u64, age: Duration) {
        let mut floors = self.0.write();
        // Twice the age: history is swept now and then, not at every moment.
        floors.retain(|_, (_, raised)| raised.elapsed() < age * 2);
        floors.insert(cluster.clone(), (revision, Instant::now()));
    }

    /// The revision before which nothing is shown to those who read this scope.
    pub(super) fn of(&self, scope: &ClusterScope) -> u64 {
        match scope {
            ClusterScope::All => 0,
            ClusterScope::One(cluster) => self.0.read().get(cluster).map_or(0, |(revision, _)| *revision),
        }
    }
}
