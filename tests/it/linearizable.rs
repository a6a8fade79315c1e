//! Clients that read and write the same objects while servers and members of etcd are killed: what they saw could have come from
//! one copy, changed by one operation after the other. The check is `atoll::storage::conformance::linear`.
//!
//! `ATOLL_LINEAR_SECONDS` makes each of these tests go on for so long; `tools/linearizability.sh` does that for all engines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use atoll::storage::conformance::Random;
use atoll::storage::conformance::linear::{self, Deed, Operation, Outcome, Verdict};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{Binary, send, serve, serve_on};
use crate::etcd::Etcd;
use crate::server::{MERGE_PATCH, WORKSPACES, workspace};

/// How many rounds there are at least; each has objects of its own and one disturbance.
const ROUNDS: usize = 3;
const CLIENTS: usize = 6;
const OBJECTS: usize = 3;
/// The most that a client does in a round: the search for an order is to stay short.
const EACH: usize = 250;
const MAPS: &str = "/clusters/team/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

/// Where clients find a server; it moves when it is started again, and is nowhere meanwhile.
type Door = Arc<RwLock<Option<kube::Client>>>;

/// A server that is killed and started again on the same data.
struct Site {
    dir: TempDir,
    storage: Option<String>,
    door: Door,
    running: Option<Binary>,
}

/// What is disturbed.
struct Scene {
    sites: Vec<Site>,
    etcd: Option<Etcd>,
    /// Whether servers may be killed: whether they keep anything.
    keeps: bool,
}

/// One client, and what it saw last of each object: its number, and its version.
struct Client {
    doors: Vec<Door>,
    clock: Arc<AtomicU64>,
    random: Random,
    prefix: String,
    seen: Vec<Option<(u64, String)>>,
}

/// An answer, as far as it matters.
enum Answer {
    Object(Value),
    Refused,
    /// The request was not done, for a reason that says nothing of the object.
    NotDone,
    Unknown,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_over_the_memory_engine_are_linearizable() {
    explore(Scene { sites: vec![Site::new(Some("memory://".to_owned()))], etcd: None, keeps: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_over_the_embedded_engine_are_linearizable_across_kills() {
    explore(Scene { sites: vec![Site::new(None)], etcd: None, keeps: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_over_sqlite_are_linearizable_across_kills() {
    let mut site = Site::new(None);
    site.storage = Some(format!("sqlite://{}", site.dir.path().join("atoll.db").display()));
    explore(Scene { sites: vec![site], etcd: None, keeps: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_over_two_servers_and_three_etcd_members_are_linearizable_across_kills() {
    let Some(etcd) = Etcd::start(3, "http", &[]) else { return };
    let sites = (0..2).map(|_| Site::new(Some(etcd.url("")))).collect();
    explore(Scene { sites, etcd: Some(etcd), keeps: true }).await;
}

async fn explore(mut scene: Scene) {
    let lasts = std::env::var("ATOLL_LINEAR_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let lasts = Duration::from_secs(lasts.unwrap_or_default());
    let began = Instant::now();
    for site in &mut scene.sites {
        site.start().await;
    }
    let first = scene.sites[0].door.read().clone().expect("it was started");
    send(&first, "POST", WORKSPACES, JSON, &workspace("team")).await.expect("a cluster");
    let (mut round, mut operations, mut unknown) = (0, 0, 0);
    while round < ROUNDS || began.elapsed() < lasts {
        let over = Arc::new(AtomicBool::new(false));
        let clock = Arc::new(AtomicU64::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scene.client(round, number, clock.clone()))
            .map(|client| tokio::spawn(client.work(over.clone())))
            .collect();
        // Each round is disturbed at another moment, in the midst of operations.
        progress(&clock, 80 + (round as u64 * 37) % 60).await;
        scene.disturb(round).await;
        progress(&clock, 80).await;
        over.store(true, Ordering::Relaxed);
        let mut histories = vec![Vec::new(); OBJECTS];
        for client in clients {
            for (object, operation) in client.await.expect("a client ends when it is told to") {
                histories[object].push(operation);
            }
        }
        for history in &histories {
            operations += history.len();
            unknown += history.iter().filter(|operation| operation.outcome == Outcome::Unknown).count();
            let verdict = linear::check(history);
            assert_eq!(verdict, Verdict::Linearizable, "round {round}: {history:#?}");
        }
        round += 1;
    }
    let took = began.elapsed().as_secs();
    eprintln!("linearizable: {operations} operations in {round} rounds and {took} s, {unknown} of unknown outcome");
    assert!(operations > ROUNDS * 50, "only {operations} operations: this tested nothing");
}

/// Waits until clients have called and been answered so many times more, or seem to be done.
async fn progress(clock: &AtomicU64, moments: u64) {
    let (until, patience) = (clock.load(Ordering::SeqCst) + moments, Instant::now() + Duration::from_secs(15));
    while clock.load(Ordering::SeqCst) < until && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// === impl Scene ===

impl Scene {
    fn client(&self, round: usize, number: usize, clock: Arc<AtomicU64>) -> Client {
        let mut doors: Vec<Door> = self.sites.iter().map(|site| site.door.clone()).collect();
        doors.rotate_left(number % self.sites.len());
        let random = Random::new((round * CLIENTS + number) as u64);
        Client { doors, clock, random, prefix: format!("r{round}"), seen: vec![None; OBJECTS] }
    }

    /// Kills what can be killed, and starts it again.
    async fn disturb(&mut self, round: usize) {
        let victim = self.sites.len() - 1;
        let Some(etcd) = &mut self.etcd else {
            if self.keeps {
                self.sites[victim].kill();
                self.sites[victim].start().await;
            }
            return;
        };
        // Each member in turn, so that the leader is among the victims, and every other time a server with it.
        let member = round % 3;
        etcd.kill(member);
        tokio::time::sleep(Duration::from_millis(700)).await;
        if round % 2 == 1 {
            self.sites[victim].kill();
            self.sites[victim].start().await;
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        tokio::task::block_in_place(|| etcd.restart_and_wait(member));
    }
}

/// A client that does not try again by itself: a write of unknown outcome that is tried again, and refused since it was done, looks
/// as if it was never done.
async fn patient(data_dir: &Path) -> kube::Client {
    let file = Kubeconfig::read_from(data_dir.join("admin.kubeconfig")).expect("the server wrote a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("it can be used");
    config.default_retry = false;
    kube::Client::try_from(config).expect("it names usable credentials")
}

// === impl Site ===

impl Site {
    fn new(storage: Option<String>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir, storage, door: Door::default(), running: None }
    }

    async fn start(&mut self) {
        // One that finds no majority of etcd waits for it.
        let command = match &self.storage {
            Some(url) => serve_on(self.dir.path(), url),
            None => serve(self.dir.path()),
        };
        let running = tokio::task::block_in_place(|| Binary::spawn(command));
        self.running = Some(running);
        let client = patient(self.dir.path()).await;
        *self.door.write() = Some(client);
    }

    fn kill(&mut self) {
        *self.door.write() = None;
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }
}

// === impl Client ===

impl Client {
    async fn work(mut self, over: Arc<AtomicBool>) -> Vec<(usize, Operation)> {
        let mut history = Vec::new();
        while history.len() < EACH && !over.load(Ordering::Relaxed) {
            let object = self.random.below(OBJECTS as u64) as usize;
            let Some(client) = self.reach().await else { continue };
            history.extend(self.act(&client, object).await.map(|operation| (object, operation)));
            tokio::time::sleep(Duration::from_millis(self.random.below(4))).await;
        }
        history
    }

    /// One of the servers, if that one is there.
    async fn reach(&mut self) -> Option<kube::Client> {
        self.doors.rotate_left(1);
        let found = self.doors[0].read().clone();
        if found.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        found
    }

    async fn act(&mut self, client: &kube::Client, object: usize) -> Option<Operation> {
        let name = format!("{}-{object}", self.prefix);
        let path = format!("{MAPS}/{name}");
        let called = self.clock.fetch_add(1, Ordering::SeqCst);
        // Moments are never the same, so they are numbers for values, too.
        let map = |version: Option<&str>| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "resourceVersion": version},
                "data": {"n": called.to_string()},
            })
        };
        let seen = self.seen[object].clone();
        let (deed, answer) = match (self.random.below(12), seen) {
            (0, Some((from, version))) => {
                let precondition = json!({"preconditions": {"resourceVersion": version}});
                (Deed::Swap { from, to: None }, ask(client, "DELETE", &path, JSON, &precondition).await)
            }
            (1..5, Some((from, version))) => {
                let deed = Deed::Swap { from, to: Some(called) };
                (deed, ask(client, "PUT", &path, JSON, &map(Some(&version))).await)
            }
            (0..3, None) => (Deed::Create(called), ask(client, "POST", MAPS, JSON, &map(None)).await),
            (5, _) => {
                let patch = json!({"data": {"n": called.to_string()}});
                (Deed::Replace(called), ask(client, "PATCH", &path, MERGE_PATCH, &patch).await)
            }
            (6, _) => (Deed::Delete, ask(client, "DELETE", &path, JSON, &Value::Null).await),
            (dice, _) => {
                let selected = format!("{MAPS}?fieldSelector=metadata.name={name}");
                let path = if dice % 2 == 0 { &path } else { &selected };
                return self.read(object, called, ask(client, "GET", path, JSON, &Value::Null).await);
            }
        };
        let (outcome, version) = match answer {
            Answer::NotDone => return None,
            Answer::Unknown => (Outcome::Unknown, None),
            Answer::Refused => (Outcome::Refused, None),
            Answer::Object(_) if matches!(deed, Deed::Delete | Deed::Swap { to: None, .. }) => (Outcome::Done, None),
            Answer::Object(written) => {
                let version = text(&written["metadata"]["resourceVersion"]);
                self.seen[object] = Some((called, version.to_owned()));
                (Outcome::Done, version.parse().ok())
            }
        };
        if version.is_none() {
            self.seen[object] = None;
        }
        Some(self.answered(called, deed, outcome, version))
    }

    /// Notes what was read, in an object or a list of at most one.
    fn read(&mut self, object: usize, called: u64, answer: Answer) -> Option<Operation> {
        let found = match answer {
            Answer::Object(list) if list["items"].is_array() => list["items"].get(0).cloned(),
            Answer::Object(found) => Some(found),
            Answer::Refused => None,
            Answer::NotDone | Answer::Unknown => return None,
        };
        self.seen[object] = found.map(|found| {
            let number = text(&found["data"]["n"]).parse().expect("each has a number");
            (number, text(&found["metadata"]["resourceVersion"]).to_owned())
        });
        let seen = self.seen[object].as_ref();
        let version = seen.and_then(|(_, version)| version.parse().ok());
        Some(self.answered(called, Deed::Read(seen.map(|(number, _)| *number)), Outcome::Done, version))
    }

    fn answered(&self, called: u64, deed: Deed, outcome: Outcome, version: Option<u64>) -> Operation {
        Operation { called, answered: self.clock.fetch_add(1, Ordering::SeqCst), deed, outcome, version }
    }
}

async fn ask(client: &kube::Client, method: &str, path: &str, media_type: &str, body: &Value) -> Answer {
    let asked = send(client, method, path, media_type, body);
    match tokio::time::timeout(Duration::from_secs(15), asked).await {
        Ok(Ok(object)) => Answer::Object(object),
        // A patch that met too many others says so, and was not done.
        Ok(Err(kube::Error::Api(status))) if method == "PATCH" && status.code == 409 => Answer::NotDone,
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Answer::Refused,
        Ok(Err(kube::Error::Api(status))) => {
            assert!(status.code == 429 || status.code >= 500, "{method} {path}: {status:?}");
            Answer::Unknown
        }
        Ok(Err(_)) | Err(_) => Answer::Unknown,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
