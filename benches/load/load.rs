//! The load itself: requests in a closed loop, each phase by its latencies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

use super::Failure;

/// What a phase showed.
pub(super) struct Phase {
    /// How long it lasted.
    pub(super) took: Duration,
    /// The latency of each request, sorted.
    pub(super) latencies: Vec<Duration>,
}

/// One namespace under load.
pub(super) struct Load {
    client: Client,
    path: String,
    /// The next name to create.
    next: AtomicUsize,
    /// Names below this exist.
    payload: String,
}

impl Load {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        Self { client, path, next: AtomicUsize::new(0), payload: "x".repeat(800) }
    }

    pub(super) async fn create(&self, clients: usize, lasts: Duration) -> Result<Phase, Failure> {
        self.run(clients, lasts, |n| {
            let _ = n;
            let name = self.next.fetch_add(1, Ordering::Relaxed);
            ("POST", self.path.clone(), "application/json", self.object(name, "created"))
        })
        .await
    }

    pub(super) async fn get(&self, clients: usize, lasts: Duration) -> Result<Phase, Failure> {
        self.run(clients, lasts, |n| ("GET", self.existing(n), "", String::new())).await
    }

    pub(super) async fn update(&self, clients: usize, lasts: Duration) -> Result<Phase, Failure> {
        self.run(clients, lasts, |n| {
            ("PUT", self.existing(n), "application/json", self.object(self.name(n), "updated"))
        })
        .await
    }

    pub(super) async fn merge_patch(&self, clients: usize, lasts: Duration) -> Result<Phase, Failure> {
        let patch = |n: usize| json!({"data": {"patched": n.to_string()}}).to_string();
        self.run(clients, lasts, |n| ("PATCH", self.existing(n), "application/merge-patch+json", patch(n))).await
    }

    pub(super) async fn apply(&self, clients: usize, lasts: Duration) -> Result<Phase, Failure> {
        let config = |n: usize| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("load-{}", self.name(n))},
                "data": {"applied": n.to_string()},
            })
            .to_string()
        };
        self.run(clients, lasts, |n| {
            let path = format!("{}?fieldManager=load&force=true", self.existing(n));
            ("PATCH", path, "application/apply-patch+yaml", config(n))
        })
        .await
    }

    /// Makes sure that there are so many objects.
    pub(super) async fn fill(&self, objects: usize) -> Result<(), Failure> {
        while self.next.load(Ordering::Relaxed) < objects {
            self.create(64, Duration::from_millis(500)).await?;
        }
        Ok(())
    }

    pub(super) async fn list(&self, query: &str) -> Result<(), Failure> {
        let request = Request::get(format!("{}?resourceVersion=0{query}", self.path)).body(Vec::new())?;
        self.client.request_text(request).await?;
        Ok(())
    }

    /// Events delivered a second while so many watchers see so many changes.
    pub(super) async fn fan_out(&self, watchers: usize, events: usize) -> Result<f64, Failure> {
        let seen = Arc::new(AtomicU64::new(0));
        let list = Request::get(format!("{}?limit=1", self.path)).body(Vec::new())?;
        let page: Value = serde_json::from_str(&self.client.request_text(list).await?)?;
        let from = page["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..watchers {
            let path = format!("{}?watch=true&resourceVersion={from}", self.path);
            let (client, seen) = (self.client.clone(), seen.clone());
            tasks.spawn(async move {
                let Ok(request) = Request::get(path).body(Vec::new()) else { return };
                let Ok(body) = client.request_stream(request).await else { return };
                let mut lines = body.lines();
                while let Ok(Some(_)) = lines.try_next().await {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let started = Instant::now();
        for n in 0..events {
            self.send("PUT", &self.existing(n), "application/json", self.object(self.name(n), "watched")).await?;
        }
        let wanted = (watchers * events) as u64;
        while seen.load(Ordering::Relaxed) < wanted && started.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(seen.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
    }

    fn name(&self, n: usize) -> usize {
        n.wrapping_mul(7919) % self.next.load(Ordering::Relaxed).max(1)
    }

    fn existing(&self, n: usize) -> String {
        format!("{}/load-{}", self.path, self.name(n))
    }

    fn object(&self, name: usize, state: &str) -> String {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("load-{name}"), "labels": {"app": "load"}},
            "data": {"state": state, "payload": self.payload},
        })
        .to_string()
    }

    async fn send(&self, method: &str, path: &str, media: &str, body: String) -> Result<(), Failure> {
        let mut request = Request::builder().method(method).uri(path);
        if !media.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, media);
        }
        self.client.request_text(request.body(body.into_bytes())?).await?;
        Ok(())
    }

    async fn run(
        &self,
        clients: usize,
        lasts: Duration,
        make: impl Fn(usize) -> (&'static str, String, &'static str, String),
    ) -> Result<Phase, Failure> {
        let started = Instant::now();
        let counter = AtomicUsize::new(0);
        let client = || async {
            let mut latencies = Vec::new();
            while started.elapsed() < lasts {
                let (method, path, media, body) = make(counter.fetch_add(1, Ordering::Relaxed));
                let sent = Instant::now();
                self.send(method, &path, media, body).await?;
                latencies.push(sent.elapsed());
            }
            Ok::<_, Failure>(latencies)
        };
        let all: Vec<Vec<Duration>> = futures::future::try_join_all((0..clients).map(|_| client())).await?;
        let mut latencies: Vec<Duration> = all.into_iter().flatten().collect();
        latencies.sort_unstable();
        Ok(Phase { took: started.elapsed(), latencies })
    }
}
