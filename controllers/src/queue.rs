//! Work to be done, by key: each key once, fair between tenants, again after a while if it failed.
//!
//! A key says what to look at, never what happened to it: whoever works on it reads the state anew.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster_api::Failure;

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How many keys may be remembered for having been undone before those that were left alone since are looked for.
const UNDONE_REMEMBERED: usize = 256;

/// What is to be looked at.
pub(crate) trait Key: Clone + Eq + Hash + Debug + Send {
    /// Whose it is. Keys of different lanes take turns, so that one tenant's many keys do not delay another's few.
    fn lane(&self) -> &str;
}

/// What comes after a key has been worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until it is added again.
    Done,
    /// It is looked at again after this long.
    After(Duration),
    /// It is looked at again soon, then less and less often: something else has to happen first.
    Waiting,
}

/// Keys waiting for their turn.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    longest_pause: Duration,
    jitter: RandomState,
}

struct State<K> {
    lanes: HashMap<String, VecDeque<K>>,
    /// The lanes with keys, in the order of their turns.
    turns: VecDeque<String>,
    ready: HashSet<K>,
    running: HashSet<K>,
    /// Running keys that were added again meanwhile.
    again: HashSet<K>,
    later: BTreeMap<(Instant, u64), K>,
    due: HashMap<K, (Instant, u64)>,
    failures: HashMap<K, u32>,
    /// When a key is due that somebody undid, and how often in a row that happened.
    undone: HashMap<K, (Instant, u32)>,
    counter: u64,
}

// === impl Queue ===

impl<K: Key> Queue<K> {
    /// An empty queue; keys that keep failing are tried at least this often.
    pub(crate) fn new(longest_pause: Duration) -> Self {
        let state = State {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            ready: HashSet::new(),
            running: HashSet::new(),
            again: HashSet::new(),
            later: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            undone: HashMap::new(),
            counter: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), longest_pause, jitter: RandomState::new() }
    }

    /// Adds a key, to be worked on as soon as it is its turn.
    pub(crate) fn add(&self, key: K) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// Adds a key since somebody undid what was done for it: to be worked on at once, but later and later if it is undone time and
    /// again. Two who want different things and see each other's writes would not rest otherwise.
    pub(crate) fn add_undone(&self, key: K) {
        let mut state = self.lock();
        let now = Instant::now();
        let times = match state.undone.get(&key).copied() {
            Some((due, _)) if due > now => return state.add_at(key, due),
            Some((due, times)) if now.duration_since(due) < self.longest_pause.saturating_mul(2) => times + 1,
            _ => 0,
        };
        let pause = if times == 0 { Duration::ZERO } else { self.pause(times) };
        state.forget_what_was_left_alone(now, self.longest_pause.saturating_mul(2));
        state.undone.insert(key.clone(), (now + pause, times));
        state.add_at(key, now + pause);
        drop(state);
        self.changed.notify_one();
    }

    /// Adds a key, to be worked on after a while unless it is added before.
    pub(crate) fn add_after(&self, key: K, pause: Duration) {
        self.lock().add_at(key, Instant::now() + pause);
        self.changed.notify_one();
    }

    /// Works on keys, so many at a time, until told to stop. Work under way is dropped then: it can be at any point,
    /// and the next run begins by looking at the state.
    pub(crate) async fn work<F, Fut>(&self, at_a_time: usize, stop: &CancellationToken, work: F)
    where
        F: Fn(K) -> Fut,
        Fut: Future<Output = Result<Next, Failure>>,
    {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some((key, done)) = running.next(), if !running.is_empty() => self.finish(key, done),
                key = self.take(), if running.len() < at_a_time => {
                    let worked = AssertUnwindSafe(work(key.clone())).catch_unwind();
                    running.push(worked.map(move |done| (key, done.ok())));
                }
            }
        }
    }

    /// The next key whose turn it is.
    async fn take(&self) -> K {
        loop {
            let changed = self.changed.notified();
            let earliest = {
                let mut state = self.lock();
                state.wake(Instant::now());
                if let Some(key) = state.take() {
                    if !state.turns.is_empty() {
                        self.changed.notify_one();
                    }
                    return key;
                }
                state.later.first_key_value().map(|((due, _), _)| *due)
            };
            match earliest {
                Some(due) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(due) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Notes what came of a key; `None` if the work panicked.
    fn finish(&self, key: K, done: Option<Result<Next, Failure>>) {
        let mut state = self.lock();
        let failures = state.failures.get(&key).copied().unwrap_or_default().saturating_add(1);
        match &done {
            Some(Ok(_) | Err(Failure::Conflict(_))) => {}
            // Told less and less often, as it is tried.
            Some(Err(failure)) if failures.is_power_of_two() => {
                tracing::warn!(?key, failures, error = failure.chain(), "failed; trying again later");
            }
            Some(Err(_)) => {}
            None => tracing::error!(?key, "panicked; trying again later"),
        }
        state.running.remove(&key);
        let added_again = state.again.remove(&key);
        match done {
            Some(Ok(Next::Done)) => {
                state.failures.remove(&key);
            }
            Some(Ok(Next::After(pause))) => {
                state.failures.remove(&key);
                state.add_at(key.clone(), Instant::now() + pause);
            }
            Some(Ok(Next::Waiting) | Err(_)) | None => {
                state.failures.insert(key.clone(), failures);
                let pause = self.pause(failures);
                state.add_at(key.clone(), Instant::now() + pause);
            }
        }
        if added_again {
            state.add(key);
        }
        state.give_memory_back();
        drop(state);
        self.changed.notify_one();
    }

    /// How long to wait after so many failures in a row: twice as long each time, a little varied.
    fn pause(&self, failures: u32) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.longest_pause);
        let percent = 90 + self.jitter.hash_one(Instant::now()) % 20;
        pause.mul_f64(percent as f64 / 100.0)
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl<K: Key> State<K> {
    fn add(&mut self, key: K) {
        if self.running.contains(&key) {
            self.again.insert(key);
            return;
        }
        if let Some(due) = self.due.remove(&key) {
            self.later.remove(&due);
        }
        if !self.ready.insert(key.clone()) {
            return;
        }
        let lane = self.lanes.entry(key.lane().to_owned()).or_default();
        if lane.is_empty() {
            self.turns.push_back(key.lane().to_owned());
        }
        lane.push_back(key);
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if self.ready.contains(&key) {
            return;
        }
        if let Some(due) = self.due.get(&key).copied() {
            if due.0 <= at {
                return;
            }
            self.later.remove(&due);
        }
        self.counter += 1;
        let due = (at, self.counter);
        self.due.insert(key.clone(), due);
        self.later.insert(due, key);
    }

    /// Makes ready what is due.
    fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
    }

    /// Before one more is remembered: those that nobody touched for so long need not be.
    fn forget_what_was_left_alone(&mut self, now: Instant, long: Duration) {
        if self.undone.len() >= UNDONE_REMEMBERED && self.undone.len() == self.undone.capacity() {
            self.undone.retain(|_, (due, _)| now.saturating_duration_since(*due) < long);
        }
    }

    /// After much work, what held its keys is of no use any more.
    fn give_memory_back(&mut self) {
        const SMALL: usize = 256;
        if self.ready.is_empty() && self.ready.capacity().max(self.lanes.capacity()) > SMALL {
            self.ready.shrink_to_fit();
            self.lanes.shrink_to_fit();
            self.turns.shrink_to_fit();
        }
        if self.due.capacity() > SMALL.max(self.due.len() * 8) {
            self.due.shrink_to_fit();
        }
        if self.failures.capacity() > SMALL.max(self.failures.len() * 8) {
            self.failures.shrink_to_fit();
        }
    }

    fn take(&mut self) -> Option<K> {
        let name = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&name)?;
        let key = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.remove(&name);
        } else {
            self.turns.push_back(name);
        }
        self.ready.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    struct Item(&'static str, u32);

    impl Key for Item {
        fn lane(&self) -> &str {
            self.0
        }
    }

    fn queue() -> Queue<Item> {
        Queue::new(Duration::from_secs(60))
    }

    async fn taken(queue: &Queue<Item>, count: usize) -> Vec<Item> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(queue.take().await);
        }
        items
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_take_turns_however_much_one_has_to_do() {
        let queue = queue();
        for n in 0..100 {
            queue.add(Item("busy", n));
        }
        queue.add(Item("quiet", 0));
        assert_eq!(taken(&queue, 3).await, [Item("busy", 0), Item("quiet", 0), Item("busy", 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_worked_on_once() {
        let queue = queue();
        queue.add(Item("a", 1));
        queue.add(Item("a", 1));
        queue.add(Item("a", 2));
        assert_eq!(taken(&queue, 2).await, [Item("a", 1), Item("a", 2)]);
        assert!(queue.lock().ready.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_it_is_worked_on_is_worked_on_again() {
        let queue = queue();
        queue.add(Item("a", 1));
        let key = queue.take().await;
        queue.add(key.clone());
        assert!(queue.lock().take().is_none(), "never twice at a time");
        queue.finish(key, Some(Ok(Next::Done)));
        assert_eq!(queue.take().await, Item("a", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_tried_again_after_longer_and_longer_pauses() {
        let queue = queue();
        queue.add(Item("a", 1));
        let mut pauses = Vec::new();
        for _ in 0..14 {
            let before = Instant::now();
            let key = queue.take().await;
            pauses.push(before.elapsed());
            queue.finish(key, Some(Err(Failure::NotServed)));
        }
        assert!(pauses[1] >= Duration::from_millis(40) && pauses[1] < Duration::from_millis(100), "{pauses:?}");
        assert!(pauses[5] > pauses[3] && pauses[3] > pauses[1], "{pauses:?}");
        assert!(pauses[13] > Duration::from_secs(50) && pauses[13] < Duration::from_secs(70), "{pauses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_undone_time_and_again_is_done_less_and_less_often() {
        let queue = queue();
        let (start, mut pauses) = (Instant::now(), Vec::new());
        for _ in 0..14 {
            let before = Instant::now();
            queue.add_undone(Item("a", 1));
            queue.add_undone(Item("a", 1));
            let key = queue.take().await;
            pauses.push(before.elapsed());
            queue.finish(key, Some(Ok(Next::Done)));
        }
        assert_eq!(pauses[0], Duration::ZERO);
        assert!(pauses[1] >= Duration::from_millis(40) && pauses[1] < Duration::from_millis(100), "{pauses:?}");
        assert!(pauses[13] > Duration::from_secs(50) && pauses[13] < Duration::from_secs(70), "{pauses:?}");
        assert!(start.elapsed() > Duration::from_secs(100), "{pauses:?}");
        tokio::time::sleep(Duration::from_secs(300)).await;
        let before = Instant::now();
        queue.add_undone(Item("a", 1));
        queue.take().await;
        assert_eq!(before.elapsed(), Duration::ZERO, "what was left alone is begun anew");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_later_comes_at_once_if_added() {
        let queue = queue();
        queue.add_after(Item("a", 1), Duration::from_secs(3600));
        queue.add(Item("a", 1));
        let before = Instant::now();
        assert_eq!(queue.take().await, Item("a", 1));
        assert!(before.elapsed() < Duration::from_secs(1));
        assert!(queue.lock().later.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_was_long_holds_no_memory_when_it_is_empty() {
        let queue = queue();
        for n in 0..10_000 {
            queue.add(Item(["a", "b", "c"][n as usize % 3], n));
        }
        assert!(queue.lock().ready.capacity() >= 10_000);
        for failing in [true, false] {
            for _ in 0..10_000 {
                let key = queue.take().await;
                queue.finish(key, Some(if failing { Err(Failure::NotServed) } else { Ok(Next::Done) }));
            }
        }
        let state = queue.lock();
        for capacity in
            [state.ready.capacity(), state.turns.capacity(), state.due.capacity(), state.failures.capacity()]
        {
            assert!(capacity <= 1000, "{capacity}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_its_key_alone() {
        let queue = Arc::new(queue());
        let stop = CancellationToken::new();
        queue.add(Item("a", 1));
        queue.add(Item("a", 2));
        let seen = Mutex::new(Vec::new());
        let work = |key: Item| {
            let mut seen = seen.lock().unwrap();
            seen.push(key.1);
            let (first, done) = (seen.len() == 1, seen.len() == 3);
            if done {
                stop.cancel();
            }
            async move { if first { panic!("a fault") } else { Ok(Next::Done) } }
        };
        queue.work(1, &stop, work).await;
        assert_eq!(*seen.lock().unwrap(), [1, 2, 1]);
    }
}
