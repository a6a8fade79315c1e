//! Events delivered to many who watch the same objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;

use super::Failure;
use super::client::{Client, Target};
use super::load::{Load, Verb};

/// How many watches share a connection.
const PER_CONNECTION: usize = 100;
/// The longest that is waited for all events to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a fan-out showed.
pub(super) struct Delivered {
    /// Events delivered a second.
    pub(super) rate: f64,
    /// How many were delivered.
    pub(super) events: u64,
    /// Processor time of the server for each delivery, in microseconds, and its memory for each watcher, in KiB.
    pub(super) cpu_us: Option<f64>,
    pub(super) kib: Option<f64>,
}

/// Lets so many watchers see about so many deliveries.
pub(super) async fn fan_out(
    load: &Load,
    target: &Target,
    server: Option<&super::process::Server>,
    (watchers, deliveries): (usize, usize),
) -> Result<Delivered, Failure> {
    let page = load.client.get_json(&format!("{}?limit=1", load.path)).await?;
    let from = page["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
    let before = server.map(super::process::Server::resident_mib);
    let seen = Arc::new(AtomicU64::new(0));
    let mut watches = tokio::task::JoinSet::new();
    let path = format!("{}?watch=true&resourceVersion={from}", load.path);
    for first in (0..watchers).step_by(PER_CONNECTION) {
        let client = Arc::new(target.connect(1).await?);
        for _ in first..watchers.min(first + PER_CONNECTION) {
            // Each is open before the next, so that no server is asked for thousands at a moment.
            let response = client.begin("GET", &path, "", Bytes::new()).await?;
            if response.status() != 200 {
                return Err(format!("a watch was refused: {}", response.status()).into());
            }
            watches.spawn(count(client.clone(), response, seen.clone()));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = server.map(super::process::Server::resident_mib);
    let events = (deliveries / watchers).clamp(20, 2_000);
    let (cpu, started) = (server.map(super::process::Server::cpu_seconds), Instant::now());
    for _ in 0..events {
        load.send(Verb::Update).await?;
    }
    let wanted = (watchers * events) as u64;
    while seen.load(Ordering::Relaxed) < wanted && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (events, took) = (seen.load(Ordering::Relaxed), started.elapsed());
    let spent = server.map(super::process::Server::cpu_seconds).zip(cpu).map(|(now, then)| now - then);
    let grown = after.zip(before).map(|(now, then)| now - then);
    watches.shutdown().await;
    Ok(Delivered {
        rate: events as f64 / took.as_secs_f64(),
        events,
        cpu_us: spent.map(|seconds| seconds * 1e6 / events.max(1) as f64),
        kib: grown.map(|mib| mib * 1024.0 / watchers as f64),
    })
}

/// Counts the lines of a watch's answer.
async fn count(_connection: Arc<Client>, response: http::Response<hyper::body::Incoming>, seen: Arc<AtomicU64>) {
    let mut body = response.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            let lines = data.iter().filter(|byte| **byte == b'\n').count();
            seen.fetch_add(lines as u64, Ordering::Relaxed);
        }
    }
}
