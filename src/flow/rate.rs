//! How many requests a second somebody may make.
//!
//! Only those are remembered who have used some of their burst and not got it back yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_api::LogicalClusterName;
use parking_lot::Mutex;

/// A limit on how often requests are made, which an embedder sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Who has a rate of its own.
    pub each: Each,
    /// Requests a second, in the long run.
    pub per_second: f64,
    /// How many may come at once.
    pub burst: u32,
}

/// Who has a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// Each logical cluster, whoever uses it.
    Cluster,
    /// Each user of each logical cluster.
    User,
}

/// Keeps a rate limit.
pub(super) struct Limiter {
    limit: RateLimit,
    /// The time a request takes off the rate.
    cost: Duration,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Until when each has used up its rate, since the beginning.
    until: HashMap<(Option<LogicalClusterName>, Arc<str>), Duration>,
    /// When so many are remembered, those are forgotten who need not be.
    sweep_at: usize,
}

// === impl RateLimit ===

impl RateLimit {
    /// A rate that each logical cluster has.
    pub fn per_cluster(per_second: f64, burst: u32) -> Self {
        Self { each: Each::Cluster, per_second, burst }
    }

    /// A rate that each user has in each logical cluster.
    pub fn per_user(per_second: f64, burst: u32) -> Self {
        Self { each: Each::User, per_second, burst }
    }
}

// === impl Limiter ===

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let cost = Duration::try_from_secs_f64(1.0 / limit.per_second.max(1e-6)).unwrap_or(Duration::MAX / 4);
        Self { limit, cost, began: Instant::now(), state: Mutex::default() }
    }

    /// Counts a request; if there are too many, after how many seconds one may be made.
    pub(super) fn count(&self, cluster: Option<&LogicalClusterName>, user: &str) -> Result<(), u64> {
        self.count_at(self.began.elapsed(), cluster, user)
    }

    fn count_at(&self, now: Duration, cluster: Option<&LogicalClusterName>, user: &str) -> Result<(), u64> {
        let who = match self.limit.each {
            Each::Cluster => "",
            Each::User => user,
        };
        let mut state = self.state.lock();
        let key = (cluster.cloned(), Arc::from(who));
        let until = state.until.get(&key).copied().unwrap_or_default().max(now);
        let ahead = until - now;
        // A burst of one is one request at a time.
        let allowed = self.cost.saturating_mul(self.limit.burst.max(1) - 1);
        if ahead > allowed {
            return Err((ahead - allowed).as_secs_f64().ceil().max(1.0) as u64);
        }
        state.until.insert(key, until.saturating_add(self.cost));
        if state.until.len() > state.sweep_at.max(1024) {
            state.until.retain(|_, until| *until > now);
            state.until.shrink_to(1024);
            state.sweep_at = state.until.len() * 2;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limiter = Limiter::new(RateLimit::per_cluster(10.0, 5));
        let root = LogicalClusterName::root();
        let passed = |now| (0..20).filter(|_| limiter.count_at(now, Some(&root), "alice").is_ok()).count();
        assert_eq!(passed(SECOND), 5);
        assert_eq!(passed(SECOND), 0);
        assert_eq!(passed(SECOND * 6 / 5), 2);
        assert_eq!(limiter.count_at(SECOND * 6 / 5, Some(&root), "bob"), Err(1));
    }

    #[test]
    fn each_has_a_rate_of_its_own() {
        let limiter = Limiter::new(RateLimit::per_user(1.0, 1));
        let (a, b) = (LogicalClusterName::parse("a").expect("name"), LogicalClusterName::parse("b").expect("name"));
        for (cluster, user) in [(&a, "alice"), (&a, "bob"), (&b, "alice")] {
            assert_eq!(limiter.count_at(SECOND, Some(cluster), user), Ok(()));
            assert_eq!(limiter.count_at(SECOND, Some(cluster), user), Err(1));
        }
    }

    #[test]
    fn who_is_at_rest_is_forgotten() {
        let limiter = Limiter::new(RateLimit::per_user(1000.0, 1));
        for number in 0_u32..5000 {
            let _ = limiter.count_at(SECOND * number, None, &number.to_string());
        }
        assert!(limiter.state.lock().until.len() <= 1025);
    }
}
