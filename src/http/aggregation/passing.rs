//! How many requests of one cluster are with other servers at a time.
//!
//! Each holds a stream, buffers, and a place at a server that may answer as slowly as it likes. What a cluster's own
//! servers keep waiting keeps nobody else waiting.

use std::time::Duration;

use atoll_api::{ApiError, ApiResult, LogicalClusterName};
use tokio::time::timeout;

use crate::admission::turns::{Turn, Turns};

/// How many requests of a cluster are passed on at once, as for webhooks.
const AT_ONCE: usize = 32;
/// How many more of them wait for one of those to be answered.
const WAITING: usize = 128;
/// For how long they wait at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many watches and changed protocols of a cluster go on at once.
const LASTING: usize = 512;
/// When those who are refused may try again, in seconds.
const RETRY: u32 = 1;

/// How long something that is passed on goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasts {
    /// Until it is answered.
    Shortly,
    /// As long as both ends like.
    On,
}

/// The requests that are with other servers.
pub(super) struct Passing {
    short: Turns,
    lasting: Turns,
}

// === impl Passing ===

impl Default for Passing {
    fn default() -> Self {
        Self { short: Turns::new(AT_ONCE), lasting: Turns::new(LASTING) }
    }
}

impl Passing {
    /// The leave to pass a request of a cluster on; it ends when what is given is dropped.
    pub(super) async fn enter(&self, cluster: &LogicalClusterName, lasts: Lasts) -> ApiResult<Turn> {
        let turn = match lasts {
            Lasts::Shortly => self.short.wait_unless(cluster, "", AT_ONCE + WAITING),
            Lasts::On => {
                return self.lasting.wait_unless(cluster, "", LASTING).await.ok_or_else(|| too_many("watches"));
            }
        };
        timeout(PATIENCE, turn).await.ok().flatten().ok_or_else(|| too_many("requests"))
    }
}

fn too_many(what: &str) -> ApiError {
    let message =
        format!("too many {what} of this logical cluster are with aggregated API servers, please try again later");
    ApiError::too_many_requests(&message, RETRY)
}

#[cfg(test)]
mod tests {
    use atoll_api::Reason;
    use futures::FutureExt;

    use super::*;

    fn cluster(name: &str) -> LogicalClusterName {
        LogicalClusterName::parse(name).expect("a name")
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_cluster_has_under_way_is_bounded_and_keeps_no_other_waiting() {
        let passing = Passing::default();
        let (one, other) = (cluster("one"), cluster("other"));
        let mut under_way = Vec::new();
        for _ in 0..AT_ONCE {
            under_way.push(passing.enter(&one, Lasts::Shortly).await.expect("a turn"));
        }
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(passing.enter(&one, Lasts::Shortly))).collect();
        assert!(waiting.iter_mut().all(|waits| waits.now_or_never().is_none()));
        let refused = passing.enter(&one, Lasts::Shortly).await.map(drop).expect_err("refused");
        assert_eq!(refused.reason(), Reason::TooManyRequests, "{refused}");
        passing.enter(&other, Lasts::Shortly).await.expect("another cluster is not concerned");
        passing.enter(&one, Lasts::On).await.expect("watches are counted apart");
        under_way.pop();
        under_way.push(waiting.remove(0).await.expect("its turn"));
        assert!(waiting.remove(0).await.is_err(), "nobody waits for ever");
    }

    #[tokio::test]
    async fn what_goes_on_is_bounded_too() {
        let passing = Passing::default();
        let mut lasting = Vec::new();
        for _ in 0..LASTING {
            lasting.push(passing.enter(&cluster("one"), Lasts::On).await.expect("a turn"));
        }
        assert!(passing.enter(&cluster("one"), Lasts::On).await.is_err());
        passing.enter(&cluster("other"), Lasts::On).await.expect("another cluster is not concerned");
        lasting.pop();
        passing.enter(&cluster("one"), Lasts::On).await.expect("there is room again");
    }
}
