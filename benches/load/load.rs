//! The load itself: requests of some clients, each waiting for its answer, or at a rate that does not wait; with their latencies.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

use super::Failure;
use super::client::Client;

/// What a phase showed.
pub(super) struct Phase {
    /// How long it lasted.
    pub(super) took: Duration,
    /// The latency of each request that was done, sorted.
    pub(super) latencies: Vec<Duration>,
    /// How many were refused: too much at once.
    pub(super) refused: usize,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Get,
    Update,
    MergePatch,
    Apply,
    Delete,
}

/// `ConfigMap`s of 1 KiB in one namespace.
pub(super) struct Load {
    pub(super) client: Client,
    pub(super) path: String,
    /// How names begin.
    prefix: &'static str,
    /// The next name to create.
    next: AtomicUsize,
    /// Names below this are deleted.
    deleted: AtomicUsize,
    /// How many requests were sent: what each writes is new, since writing what is there already changes nothing.
    turn: AtomicUsize,
    payload: String,
}

// === impl Load ===

impl Load {
    pub(super) fn new(client: Client, path: &str) -> Self {
        Self::named("load", client, path)
    }

    /// One beside another in the same place.
    pub(super) fn named(prefix: &'static str, client: Client, path: &str) -> Self {
        let counts = || AtomicUsize::new(0);
        Self {
            client,
            path: path.to_owned(),
            prefix,
            next: counts(),
            deleted: counts(),
            turn: counts(),
            payload: "x".repeat(800),
        }
    }

    /// So many clients, each of which sends its next request when the last was answered.
    pub(super) async fn run(&self, verb: Verb, clients: usize, lasts: Duration) -> Result<Phase, Failure> {
        let started = Instant::now();
        let refused = AtomicUsize::new(0);
        let client = || async {
            let mut latencies = Vec::new();
            while started.elapsed() < lasts {
                if verb == Verb::Delete && self.deleted.load(Ordering::Relaxed) >= self.created() {
                    break;
                }
                let sent = Instant::now();
                match self.send(verb).await? {
                    Sent::Done => latencies.push(sent.elapsed()),
                    Sent::Refused => drop(refused.fetch_add(1, Ordering::Relaxed)),
                }
            }
            Ok::<_, Failure>(latencies)
        };
        let all = futures::future::try_join_all((0..clients).map(|_| client())).await?;
        let latencies = all.into_iter().flatten().collect();
        Ok(Phase::new(started.elapsed(), latencies, refused.into_inner()))
    }

    /// Requests at a rate, whether those before them are answered or not; latencies count from when each was due.
    pub(super) async fn at_rate(&self, verb: Verb, per_second: usize, lasts: Duration) -> Result<Phase, Failure> {
        let (started, refused) = (tokio::time::Instant::now(), AtomicUsize::new(0));
        let count = (per_second as f64 * lasts.as_secs_f64()) as usize;
        let refused_here = &refused;
        let one = |number: usize| async move {
            let due = started + Duration::from_secs_f64(number as f64 / per_second as f64);
            tokio::time::sleep_until(due).await;
            match self.send(verb).await? {
                Sent::Done => Ok::<_, Failure>(Some(due.elapsed())),
                Sent::Refused => {
                    refused_here.fetch_add(1, Ordering::Relaxed);
                    Ok(None)
                }
            }
        };
        let all = futures::future::try_join_all((0..count).map(one)).await?;
        let latencies = all.into_iter().flatten().collect();
        Ok(Phase::new(started.elapsed(), latencies, refused.into_inner()))
    }

    /// Makes sure that there are so many objects; every hundredth has a label of its own.
    pub(super) async fn fill(&self, objects: usize) -> Result<(), Failure> {
        let client = || async {
            while self.created() - self.deleted.load(Ordering::Relaxed).min(self.created()) < objects {
                self.send(Verb::Create).await?;
            }
            Ok::<_, Failure>(())
        };
        futures::future::try_join_all((0..64).map(|_| client())).await?;
        Ok(())
    }

    /// How many objects were created so far.
    pub(super) fn created(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// The middle one of the times that so many equal reads take, one after the other.
    pub(super) async fn read(&self, path: &str, media: &str, rounds: usize) -> Result<Duration, Failure> {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let started = Instant::now();
            self.client.expect("GET", path, media, String::new()).await?;
            took.push(started.elapsed());
        }
        took.sort_unstable();
        Ok(took[took.len() / 2])
    }

    pub(super) async fn send(&self, verb: Verb) -> Result<Sent, Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let existing = || {
            let (first, created) = (self.deleted.load(Ordering::Relaxed), self.created());
            first + turn.wrapping_mul(7919) % created.saturating_sub(first).max(1)
        };
        let at = |name: usize| format!("{}/{}-{name}", self.path, self.prefix);
        let (method, path, media, body) = match verb {
            Verb::Create => {
                let name = self.next.fetch_add(1, Ordering::Relaxed);
                ("POST", self.path.clone(), "application/json", self.object(name, "created"))
            }
            Verb::Get => ("GET", at(existing()), "", String::new()),
            Verb::Update => {
                let name = existing();
                ("PUT", at(name), "application/json", self.object(name, &format!("updated {turn}")))
            }
            Verb::MergePatch => {
                let patch = json!({"data": {"patched": turn.to_string()}}).to_string();
                ("PATCH", at(existing()), "application/merge-patch+json", patch)
            }
            Verb::Apply => {
                let name = existing();
                let applied = json!({
                    "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{}-{name}", self.prefix)},
                    "data": {"applied": turn.to_string()},
                });
                let path = format!("{}?fieldManager=load&force=true", at(name));
                ("PATCH", path, "application/apply-patch+yaml", applied.to_string())
            }
            Verb::Delete => ("DELETE", at(self.deleted.fetch_add(1, Ordering::Relaxed)), "", String::new()),
        };
        let answer = self.client.send(method, &path, media, Bytes::from(body)).await?;
        match answer.status {
            200..300 => Ok(Sent::Done),
            // What meets another write, or is not there yet, is no fault of the server.
            404 | 409 | 429 | 500.. => Ok(Sent::Refused),
            status => Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer.body)).into()),
        }
    }

    fn object(&self, name: usize, state: &str) -> String {
        let part = if name.is_multiple_of(100) { "hundredth" } else { "other" };
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("{}-{name}", self.prefix), "labels": {"app": "load", "part": part}},
            "data": {"state": state, "payload": self.payload},
        })
        .to_string()
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Done,
    Refused,
}

/// Sends so many requests, some of them at a time.
pub(super) async fn at_once<Fut>(
    count: usize,
    at_a_time: usize,
    request: impl Fn(usize) -> Fut,
) -> Result<Phase, Failure>
where
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let started = Instant::now();
    let (mut running, mut latencies, mut next) = (JoinSet::new(), Vec::with_capacity(count), 0);
    while next < count || !running.is_empty() {
        while next < count && running.len() < at_a_time {
            let (sent, request) = (Instant::now(), request(next));
            running.spawn(async move { request.await.map(|()| sent.elapsed()) });
            next += 1;
        }
        if let Some(done) = running.join_next().await {
            latencies.push(done??);
        }
    }
    Ok(Phase::new(started.elapsed(), latencies, 0))
}

/// Sends so many requests at a rate, whether those before them are answered or not; latencies count from when each was due.
pub(super) async fn paced<Fut>(
    count: usize,
    per_second: usize,
    request: impl Fn(usize) -> Fut,
) -> Result<Phase, Failure>
where
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let started = tokio::time::Instant::now();
    let mut running = JoinSet::new();
    for number in 0..count {
        let due = started + Duration::from_secs_f64(number as f64 / per_second as f64);
        tokio::time::sleep_until(due).await;
        let request = request(number);
        running.spawn(async move { request.await.map(|()| due.elapsed()) });
    }
    let latencies = running.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Phase::new(started.elapsed(), latencies, 0))
}

// === impl Phase ===

impl Phase {
    pub(super) fn new(took: Duration, mut latencies: Vec<Duration>, refused: usize) -> Self {
        latencies.sort_unstable();
        Self { took, latencies, refused }
    }

    /// Requests done a second.
    pub(super) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency that this share of the requests did not exceed, in milliseconds.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let index = ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}
