//! How long a control plane for tests takes to start, in the process that asks for it: the first one, further ones, and until a
//! fresh logical cluster in one has answered a request.
//!
//! `cargo bench --bench start`; in memory, no socket. `cargo bench --profile dev --bench start` measures what tests see.

use std::time::{Duration, Instant};

use atoll::test::ControlPlane;
use http::Request;

/// How many control planes are started after the first.
const FURTHER: usize = 20;

#[tokio::main]
async fn main() {
    let (first, first_answer) = start().await;
    let (mut starts, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..FURTHER {
        let (started, answered) = start().await;
        starts.push(started);
        answers.push(answered);
    }
    println!(
        "first start of the process: {} ms; then a cluster and its first answer: {} ms",
        ms(first),
        ms(first_answer)
    );
    println!(
        "median of {FURTHER} further ones: {} ms; then a cluster and its first answer: {} ms",
        ms(median(starts)),
        ms(median(answers))
    );
}

/// Starts one and asks it something; how long both took.
async fn start() -> (Duration, Duration) {
    let began = Instant::now();
    let plane = ControlPlane::start().await.expect("it starts");
    let started = began.elapsed();
    let began = Instant::now();
    let cluster = plane.cluster().await.expect("a cluster");
    let request = Request::get("/api/v1/namespaces/default").body(Vec::new()).expect("a request");
    cluster.client().request_text(request).await.expect("an answer");
    let answered = began.elapsed();
    plane.stop().await;
    (started, answered)
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}
