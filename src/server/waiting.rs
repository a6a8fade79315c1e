//! Waiting for a store that cannot be reached yet: a server may be started while its etcd is, or while a member of it dies.
//!
//! Only what may pass by itself is waited for. What is wrong with a URL, a certificate or a password is told at once.

use std::time::{Duration, Instant};

use super::{Error, bootstrap, shared};
use crate::storage::cache::LoadError;
use crate::storage::{Backend, BackendError, CommitError, OpenError, SubscribeError, Writers};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is told that the store is still not there.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How long a store is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    all: Duration,
    until: Instant,
}

// === impl Patience ===

impl Patience {
    /// Patience that begins to run out now.
    pub(super) fn of(all: Duration) -> Self {
        Self { all, until: Instant::now() + all }
    }

    /// None at all, where there is no server that the store could be waiting for.
    pub(super) fn with(self, backend: &dyn Backend) -> Self {
        match backend.writers() {
            Writers::Others => self,
            Writers::ThisProcess => Self::of(Duration::ZERO),
        }
    }

    /// Does again what failed because the store could not be reached, until it succeeds or patience is at an end.
    pub(super) async fn with_attempts<T, A>(self, mut attempt: impl FnMut() -> A) -> Result<T, Error>
    where
        A: Future<Output = Result<T, Error>>,
    {
        let mut told: Option<Instant> = None;
        loop {
            let error = match attempt().await {
                Err(error) if may_pass(&error) && Instant::now() + PAUSE < self.until => error,
                done => return done,
            };
            if told.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
                let left = self.until.saturating_duration_since(Instant::now());
                tracing::warn!(
                    why = %why(&error), patience_seconds = self.all.as_secs(), seconds_left = left.as_secs(),
                    "the store cannot be reached; waiting for it"
                );
                told = Some(Instant::now());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether what went wrong may be well by itself a little later.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Storage(OpenError::NotReached { .. })
        | Error::Load(
            LoadError::Load(BackendError::Unavailable { .. })
            | LoadError::Subscribe(SubscribeError::Unavailable { .. } | SubscribeError::Compacted { .. }),
        ) => true,
        Error::Shared(shared::Error::Commit(error)) | Error::Bootstrap(bootstrap::Error::Commit(error)) => {
            // Whoever tries again finds what was in the way, which was perhaps its own attempt.
            use CommitError::{Conflict, Unavailable, Unreachable};
            matches!(error, Unreachable { .. } | Unavailable { .. } | Conflict { .. })
        }
        _ => false,
    }
}

/// An error with its causes, in one line.
fn why(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
