//! What fairness costs those who need not wait: requests a second that a server in this process answers, with it and without.
//!
//! `cargo bench --bench fairness`; no socket, no TLS, everything in memory. Rounds take turns, so that whatever else the
//! machine does weighs on both alike, and medians of rounds are told.

use std::time::{Duration, Instant};

use atoll::authz::AlwaysAllow;
use atoll::flow::{FlowControl, Settings};
use atoll::server::{Controllers, Running, Server};
use atoll_api::{LogicalClusterName, UserInfo};
use http::Request;
use kube::Client;

/// How many rounds each sort of server runs.
const ROUNDS: usize = 15;
/// How long a round lasts.
const LASTS: Duration = Duration::from_millis(300);
/// What is read: the smallest answer there is that names an object.
const PATH: &str = "/api/v1/namespaces/default";

#[tokio::main]
async fn main() {
    let (fair, unlimited) = (start(FlowControl::Fair(Settings::default())).await, start(FlowControl::Unlimited).await);
    for at_once in [1, 8] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(round(&unlimited, at_once).await);
            with.push(round(&fair, at_once).await);
        }
        let (with, without) = (median(with), median(without));
        println!(
            "{at_once} at once: {without:.0} requests/s without fairness, {with:.0} with it ({:+.1} %)",
            100.0 * (with - without) / without
        );
    }
    for server in [fair, unlimited] {
        server.stop().await;
    }
}

async fn start(control: FlowControl) -> Running {
    // The user must be somebody ordinary: administrators are exempt.
    let builder = Server::builder().single_cluster().controllers(Controllers::ApiServer).authorizer(AlwaysAllow);
    let server = builder.flow_control(control).grace_period(Duration::ZERO).build().await.expect("it can be built");
    server.start().await.expect("it starts")
}

/// Requests a second of one round.
async fn round(server: &Running, at_once: usize) -> f64 {
    let user = UserInfo::named("alice", ["system:authenticated"]);
    let client = server.client(&LogicalClusterName::root(), user);
    let began = Instant::now();
    let clients = (0..at_once).map(|_| tokio::spawn(ask(client.clone(), began + LASTS)));
    let answered: usize = futures::future::join_all(clients).await.into_iter().map(|n| n.expect("no panic")).sum();
    answered as f64 / began.elapsed().as_secs_f64()
}

/// Asks until then; how often there was an answer.
async fn ask(client: Client, until: Instant) -> usize {
    let mut answered = 0;
    while Instant::now() < until {
        let request = Request::get(PATH).body(Vec::new()).expect("a request");
        client.request_text(request).await.expect("an answer");
        answered += 1;
    }
    answered
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
