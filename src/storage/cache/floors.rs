//! From which revision on the history of a logical cluster is its own: a name may have belonged to another one before.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use atoll_api::{ClusterScope, LogicalClusterName};
use parking_lot::RwLock;

/// The revisions at which clusters were last deleted, for as long as history may reach back behind them.
#[derive(Default)]
pub(super) struct Floors(RwLock<State>);

#[derive(Default)]
struct State {
    revisions: HashMap<LogicalClusterName, u64>,
    /// When they were raised, the oldest first. A name that was raised again stands here twice.
    raised: VecDeque<(Instant, LogicalClusterName, u64)>,
}

impl Floors {
    /// Hides what happened in a cluster up to `revision`.
    pub(super) fn raise(&self, cluster: &LogicalClusterName, revision: u64, now: Instant) {
        let mut state = self.0.write();
        state.revisions.insert(cluster.clone(), revision);
        state.raised.push_back((now, cluster.clone(), revision));
    }

    /// Whether nothing is hidden.
    pub(super) fn is_empty(&self) -> bool {
        self.0.read().raised.is_empty()
    }

    /// Forgets floors that history, which is let go at this age, no longer reaches.
    pub(super) fn sweep(&self, age: Duration, now: Instant) {
        if self.is_empty() {
            return;
        }
        let mut state = self.0.write();
        // Twice the age: history is swept now and then, not at every moment.
        while state.raised.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) > age * 2) {
            let Some((_, cluster, revision)) = state.raised.pop_front() else { break };
            if state.revisions.get(&cluster) == Some(&revision) {
                state.revisions.remove(&cluster);
            }
        }
        if state.raised.len() < state.raised.capacity() / 4 {
            let kept = state.raised.len() * 2;
            state.raised.shrink_to(kept);
            state.revisions.shrink_to(kept);
        }
    }

    /// The revision before which nothing is shown to those who read this scope.
    pub(super) fn of(&self, scope: &ClusterScope) -> u64 {
        match scope {
            ClusterScope::All => 0,
            ClusterScope::One(cluster) => self.0.read().revisions.get(cluster).copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_forgotten_once_history_does_not_reach_them_and_not_before() {
        let scope = |name| ClusterScope::One(LogicalClusterName::parse(name).unwrap());
        let name = |name| LogicalClusterName::parse(name).unwrap();
        let (floors, age, start) = (Floors::default(), Duration::from_secs(90), Instant::now());
        floors.raise(&name("a"), 5, start);
        floors.raise(&name("b"), 6, start);
        floors.raise(&name("a"), 9, start + age);
        floors.sweep(age, start + age);
        assert_eq!((floors.of(&scope("a")), floors.of(&scope("b"))), (9, 6));
        floors.sweep(age, start + age * 5 / 2);
        assert_eq!((floors.of(&scope("a")), floors.of(&scope("b"))), (9, 0), "the second one of that name stays");
        floors.sweep(age, start + age * 4);
        assert_eq!((floors.of(&scope("a")), floors.of(&ClusterScope::All)), (0, 0));
        assert_eq!(floors.0.read().revisions.capacity(), 0);
    }
}
