//! Catching up with what other processes wrote: one question to the engine serves all who ask meanwhile.
//!
//! With an engine that only this process writes to there is nothing to ask.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch as latest};

use super::Store;
use crate::storage::Writers;

/// How long the changes up to the engine's revision may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many questions are under way at once: with two, who comes a moment too late for one waits for half a round only.
const AT_ONCE: usize = 2;

/// The cache cannot tell what others wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what others wrote is not known: {reason}")]
pub struct Behind {
    /// What happened, for the log.
    pub reason: Arc<str>,
}

/// What a round's question brought; none while it is not answered.
type Outcome = Option<Result<u64, Arc<str>>>;

/// The questions to the engine.
pub(super) struct Rounds {
    /// The next one, which is not asked yet.
    next: Mutex<Option<latest::Receiver<Outcome>>>,
    gate: Semaphore,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { next: Mutex::new(None), gate: Semaphore::new(AT_ONCE) }
    }
}

impl Store {
    /// Waits until reads see everything that was committed, by whomever, before this was called.
    pub async fn catch_up(self: &Arc<Self>) -> Result<(), Behind> {
        if self.backend.writers() == Writers::ThisProcess {
            return Ok(());
        }
        let mut round = self.join_round();
        let answered = round.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        let revision = match answered {
            Ok(Some(Ok(revision))) => revision,
            Ok(Some(Err(reason))) => return Err(Behind { reason }),
            Ok(None) | Err(_) => return Err(Behind { reason: "the question was not asked".into() }),
        };
        match self.wait_for(revision, PATIENCE).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Behind { reason: format!("revision {revision} does not come; {error}").into() }),
        }
    }

    /// Who writes to the store.
    pub fn writers(&self) -> Writers {
        self.backend.writers()
    }

    /// For how long nothing was heard of the store. What is read then may be as old as that.
    pub fn silence(&self) -> Duration {
        self.backend.silence()
    }

    /// The round that begins after this call.
    fn join_round(self: &Arc<Self>) -> latest::Receiver<Outcome> {
        let mut next = self.rounds.next.lock();
        if let Some(round) = &*next {
            return round.clone();
        }
        let (answer, round) = latest::channel(None);
        *next = Some(round.clone());
        // A task of its own, so that a client who goes away takes nobody else's answer along.
        tokio::spawn(ask(self.clone(), answer));
        round
    }
}

async fn ask(store: Arc<Store>, answer: latest::Sender<Outcome>) {
    let permit = store.rounds.gate.acquire().await;
    // Who comes from here on may have seen a write that this round does not know of.
    *store.rounds.next.lock() = None;
    let outcome = store.backend.revision().await.map_err(|error| error.to_string().into());
    drop(permit);
    // Nobody waits any more, or is told.
    drop(answer.send(Some(outcome)));
}
