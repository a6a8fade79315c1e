//! `kill -9` during a write load, again and again: no acknowledged write is lost, none is half applied.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};

use crate::binary::{Binary, admin, send};
use crate::server::{APPLY_PATCH, MERGE_PATCH, WORKSPACES, workspace};

const ROUNDS: usize = 50;
const WRITERS: usize = 16;
/// The names each writer works on.
const OBJECTS: usize = 4;
const MAPS: &str = "/clusters/team/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

/// What a writer knows of one object: its number as last acknowledged (none if it is not there), and what was sent since.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    acknowledged: Option<u64>,
    sent: Option<Option<u64>>,
}

/// All that the writers know, by the objects' names.
type Knowledge = BTreeMap<String, Known>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_none_half_applied() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Binary::start(dir.path());
    send(&admin(dir.path()).await, "POST", WORKSPACES, JSON, &workspace("team")).await.expect("a cluster");
    server.kill();

    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut known: Vec<Knowledge> = vec![Knowledge::new(); WRITERS];
    let mut created = Vec::new();
    for round in 0..ROUNDS {
        let server = Binary::start(dir.path());
        let client = admin(dir.path()).await;
        check(&client, &mut known, &created).await;
        let before = acknowledged.load(Ordering::Relaxed);
        let writers: Vec<_> = known
            .drain(..)
            .enumerate()
            .map(|(writer, known)| tokio::spawn(write(client.clone(), writer, known, acknowledged.clone())))
            .collect();
        let creator = tokio::spawn(create_clusters(client.clone(), round));
        // Each round ends at another moment, in the midst of writes.
        let enough = before + WRITERS + (round * 37) % 120;
        while acknowledged.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        for writer in writers {
            known.push(writer.await.expect("a writer ends when the server does"));
        }
        created.extend(creator.await.expect("the creator ends when the server does"));
    }
    let _server = Binary::start(dir.path());
    check(&admin(dir.path()).await, &mut known, &created).await;
    let written = acknowledged.load(Ordering::Relaxed);
    eprintln!("{written} writes and {} logical clusters were acknowledged in {ROUNDS} rounds", created.len());
    assert!(written > ROUNDS * WRITERS, "only {written} writes: this tested nothing");
    check_disk(dir.path());
}

/// Writes until the server is gone.
async fn write(client: Client, writer: usize, mut known: Knowledge, acknowledged: Arc<AtomicUsize>) -> Knowledge {
    for turn in 0.. {
        let name = format!("w{writer}-{}", turn % OBJECTS);
        let object = known.entry(name.clone()).or_default();
        let next = match object.acknowledged {
            None => Some(turn as u64 + 1),
            Some(n) if n % 7 == 0 => None,
            Some(n) => Some(n + 1),
        };
        object.sent = Some(next);
        if put(&client, &name, object.acknowledged, next).await.is_err() {
            break;
        }
        *object = Known { acknowledged: next, sent: None };
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    known
}

/// Brings one object from one number to the next, by a verb that depends on the number.
async fn put(client: &Client, name: &str, from: Option<u64>, to: Option<u64>) -> kube::Result<Value> {
    let path = format!("{MAPS}/{name}");
    match (from, to) {
        (_, None) => send(client, "DELETE", &path, JSON, &Value::Null).await,
        (None, Some(n)) => send(client, "POST", MAPS, JSON, &numbered(name, n)).await,
        (Some(_), Some(n)) if n % 3 == 0 => send(client, "PUT", &path, JSON, &numbered(name, n)).await,
        (Some(_), Some(n)) if n % 3 == 1 => send(client, "PATCH", &path, MERGE_PATCH, &numbered(name, n)).await,
        (Some(_), Some(n)) => {
            let path = format!("{path}?fieldManager=it&force=true");
            send(client, "PATCH", &path, APPLY_PATCH, &numbered(name, n)).await
        }
    }
}

/// An object that says its number in several places, far from each other.
fn numbered(name: &str, n: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"n": n.to_string()}},
        "data": {"a": n.to_string(), "m": "x".repeat(500 + (n as usize % 7) * 300), "z": n.to_string()},
    })
}

/// Creates logical clusters, each with its namespace in one transaction, until the server is gone.
async fn create_clusters(client: Client, round: usize) -> Vec<String> {
    let mut created = Vec::new();
    for turn in 0.. {
        let name = format!("c{round}-{turn}");
        if send(&client, "POST", WORKSPACES, JSON, &workspace(&name)).await.is_err() {
            break;
        }
        created.push(name);
    }
    created
}

/// Compares what is there with what is known, and takes over what the last moment left.
async fn check(client: &Client, known: &mut [Knowledge], created: &[String]) {
    let list = send(client, "GET", MAPS, "", &Value::Null).await.expect("the maps can be listed");
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for item in list["items"].as_array().into_iter().flatten() {
        let name = item["metadata"]["name"].as_str().unwrap_or_default();
        let numbers = [&item["metadata"]["labels"]["n"], &item["data"]["a"], &item["data"]["z"]];
        assert!(numbers.iter().all(|n| *n == numbers[0]), "half applied: {item}");
        if let Some(n) = numbers[0].as_str().and_then(|n| n.parse().ok()) {
            found.insert(name.to_owned(), n);
        }
    }
    for (name, object) in known.iter_mut().flatten() {
        let is = found.get(name).copied();
        let may_be = is == object.acknowledged || object.sent == Some(is);
        assert!(may_be, "{name} is at {is:?}; acknowledged was {:?}, sent {:?}", object.acknowledged, object.sent);
        *object = Known { acknowledged: is, sent: None };
    }
    check_clusters(client, created).await;
}

/// Every acknowledged cluster is there; each that is there has its namespace, and none has a namespace without being there.
async fn check_clusters(client: &Client, created: &[String]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |path: &'static str| async move {
        let list = send(client, "GET", path, "", &Value::Null).await.expect("it can be listed");
        list["items"].as_array().cloned().unwrap_or_default()
    };
    let mut there: Vec<String> = list(WORKSPACES).await.iter().map(|item| text(&item["metadata"]["name"])).collect();
    there.sort();
    for name in created {
        assert!(there.binary_search(name).is_ok(), "the acknowledged cluster {name} is lost");
    }
    let namespaces = list("/clusters/*/api/v1/namespaces?fieldSelector=metadata.name=default").await;
    let cluster = |item: &Value| text(&item["metadata"]["annotations"]["kcp.io/cluster"]);
    let mut owners: Vec<String> = namespaces.iter().map(cluster).filter(|name| name != "root").collect();
    owners.sort();
    assert_eq!(there, owners, "clusters and their namespaces are written together");
}

/// Fifty kills leave no heap of files behind.
fn check_disk(dir: &Path) {
    let files = std::fs::read_dir(dir.join("store")).map(Iterator::count).unwrap_or(1);
    assert!(files < 20, "{files} files in the store");
}
