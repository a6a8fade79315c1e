//! Copies of large clusters, copies that are broken off by `kill -9`, and copies at several servers over one store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::binary::{Binary, admin, send};
use crate::copies::{content, copy_of, ready, renamed};
use crate::etcd::Etcd;
use crate::requests::{CONFIG_MAPS, WIDGETS, config_map, furnish, held};
use crate::server::{Atoll, Client, WORKSPACES, eventually, workspace};
use crate::snapshots::{SNAPSHOTS, back_to, snapshot_of};

const JSON: &str = "application/json";

fn large(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{number:05}"), "labels": {"n": number.to_string()}},
        "data": {"text": "x".repeat(900)},
    })
}

async fn fill(cluster: &Client, count: usize) {
    let posts = (0..count).map(|number| {
        let cluster = cluster.clone();
        tokio::spawn(async move { cluster.post(CONFIG_MAPS, large(number)).await.expect(201) })
    });
    stream::iter(posts)
        .buffer_unordered(64)
        .for_each(|done| {
            done.expect("it is created");
            std::future::ready(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_cluster_is_copied_while_others_go_on_writing() {
    let dir = tempfile::tempdir().expect("a directory");
    let atoll = Atoll::at(dir.path()).await;
    let (prod, other) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    fill(&prod, 3_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (writer, stopped) = (other.clone(), stop.clone());
    let writing = tokio::spawn(async move {
        let mut longest = Duration::ZERO;
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            let began = Instant::now();
            writer.post(CONFIG_MAPS, config_map(&format!("w{count}"), "x")).await.expect(201);
            longest = longest.max(began.elapsed());
            count += 1;
        }
        (count, longest)
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    atoll.root().post(WORKSPACES, copy_of("prod", "test")).await.expect(201);
    let test = ready(&atoll, "test").await;
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let (count, longest) = writing.await.expect("the writer ends");
    eprintln!("3,000 objects copied in {took:?}; a bystander wrote {count} objects, the slowest in {longest:?}");
    let list = test.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(3_001), "and kube-root-ca.crt");
    assert!(longest < Duration::from_secs(10), "a bystander waited {longest:?}");
}

/// The logical cluster of an object that was read over all clusters.
fn cluster_of(object: &Value) -> &str {
    object["metadata"]["annotations"]["kcp.io/cluster"].as_str().unwrap_or_default()
}

fn version_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse().ok()).expect("a version")
}

/// Lists over all clusters, until told to stop, that a cluster has nothing or all of so many objects.
async fn see_nothing_by_halves(all: Client, cluster: &'static str, count: usize, stop: Arc<AtomicBool>) -> usize {
    let mut lists = 0;
    while !stop.load(Ordering::Relaxed) {
        let list = all.get("/api/v1/configmaps?labelSelector=n").await.expect(200);
        let items = list["items"].as_array().expect("items");
        let found = items.iter().filter(|item| cluster_of(item) == cluster).count();
        assert!(found == 0 || found == count, "{found} of {count} objects are in sight");
        lists += 1;
    }
    lists
}

/// While a copy was made, lists and watches of all clusters had its objects one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_all_clusters_sees_a_copy_when_it_is_ready_and_misses_nothing() {
    const COUNT: usize = 2_000;
    let dir = tempfile::tempdir().expect("a directory");
    let atoll = Atoll::at(dir.path()).await;
    let (prod, other) = (atoll.cluster("prod").await, atoll.cluster("other").await);
    fill(&prod, COUNT).await;
    let all = atoll.root().below("/clusters/*");
    let path = "/api/v1/configmaps?labelSelector=n&allowWatchBookmarks=true";
    let from = version_of(&all.get(path).await.expect(200));
    let mut watch = all.watch(&format!("{path}&resourceVersion={from}")).await;
    let stop = Arc::new(AtomicBool::new(false));
    let lists = tokio::spawn(see_nothing_by_halves(all.clone(), "test", COUNT, stop.clone()));
    let (writer, stopped) = (other.clone(), stop.clone());
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            writer.post(CONFIG_MAPS, large(count)).await.expect(201);
            count += 1;
        }
        count
    });
    atoll.root().post(WORKSPACES, copy_of("prod", "test")).await.expect(201);
    let (mut seen, mut others, mut newest) = (BTreeSet::new(), 0, from);
    let bookmark = loop {
        let event = watch.next().await.expect("the watch goes on");
        let object = &event["object"];
        if event["type"] == "BOOKMARK" {
            if seen.len() == COUNT {
                break version_of(object);
            }
            continue;
        }
        assert_eq!(event["type"], "ADDED", "{event}");
        if cluster_of(object) == "test" {
            if seen.is_empty() {
                let workspace = atoll.root().get(&format!("{WORKSPACES}/test")).await.expect(200);
                assert_eq!(workspace["status"]["phase"], "Ready", "nothing is seen before");
            }
            let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
            assert!(seen.insert(name), "nothing is told twice: {object}");
        } else {
            assert_eq!(cluster_of(object), "other");
            assert!(version_of(object) > newest, "no event comes before its time");
            (others, newest) = (others + 1, version_of(object));
        }
    };
    stop.store(true, Ordering::Relaxed);
    let written: usize = writing.await.expect("the writer ends");
    assert!(lists.await.expect("what was listed was right") > 0 && others > 0 && written >= others);
    assert!(bookmark >= newest);
    // The versions that were told are those by which the objects are changed.
    let test = ready(&atoll, "test").await;
    let one = all.get("/api/v1/configmaps?labelSelector=n%3D7").await.expect(200);
    let one =
        one["items"].as_array().expect("items").iter().find(|item| cluster_of(item) == "test").expect("it is there");
    let mut changed = one.clone();
    changed["data"]["text"] = "changed".into();
    test.put(&format!("{CONFIG_MAPS}/m00007"), changed).await.expect(200);
    // Who goes on from the bookmark is told nothing of it twice.
    let mut resumed = all.watch(&format!("{path}&resourceVersion={bookmark}")).await;
    loop {
        let event = resumed.next().await.expect("the watch goes on");
        if cluster_of(&event["object"]) == "test" {
            assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&"MODIFIED".into(), &"m00007".into()));
            break;
        }
    }
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_are_broken_off_are_finished_and_never_seen_by_halves() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Binary::start(dir.path());
    let client = admin(dir.path()).await;
    for name in ["prod", "other"] {
        send(&client, "POST", WORKSPACES, JSON, &workspace(name)).await.expect("a cluster");
        let path = format!("/clusters/{name}{CONFIG_MAPS}");
        let path = path.as_str();
        let client = &client;
        stream::iter(0..600)
            .for_each_concurrent(32, |number| async move {
                send(client, "POST", path, JSON, &large(number)).await.expect("an object");
            })
            .await;
    }
    let mut source = "prod".to_owned();
    for round in 0..8_u64 {
        let client = admin(dir.path()).await;
        let name = format!("copy-{round}");
        let moves = round % 2 == 1;
        let asked = if moves { renamed(&source, &name) } else { copy_of(&source, &name) };
        send(&client, "POST", WORKSPACES, JSON, &asked).await.expect("it is begun");
        tokio::time::sleep(Duration::from_millis(round * 7)).await;
        server.kill();
        server = Binary::start(dir.path());
        let client = admin(dir.path()).await;
        let path = format!("/clusters/{name}{CONFIG_MAPS}?limit=10000");
        // At first it is not there, then all of it is.
        let list = eventually("the copy", || async {
            send(&client, "GET", &path, JSON, &Value::Null).await.ok().filter(|list| list["kind"] == "ConfigMapList")
        });
        let mut items = list.await["items"].take();
        let mut names: Vec<String> = items
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned))
            .filter(|name| name.starts_with('m'))
            .collect();
        names.sort();
        assert_eq!(names.len(), 600, "round {round}");
        assert!(names.iter().enumerate().all(|(number, name)| *name == format!("m{number:05}")));
        if moves {
            let old = format!("/clusters/{source}{CONFIG_MAPS}");
            assert!(send(&client, "GET", &old, JSON, &Value::Null).await.is_err(), "it is not there twice");
            source = name;
        }
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_are_copied_renamed_and_put_back_over_etcd_too() {
    let Some(etcd) = Etcd::single() else { return };
    let (url, other) = (etcd.url(""), etcd.url(""));
    let (first, second) = tokio::join!(Atoll::on(&url), Atoll::on(&other));
    let (prod, bystander) = (first.cluster("prod").await, second.cluster("other").await);
    furnish(&prod, "prod").await;
    furnish(&bystander, "other").await;
    fill(&prod, 1_000).await;
    let others = held(&bystander).await;
    second.root().post(WORKSPACES, copy_of("prod", "test")).await.expect(201);
    let test = ready(&first, "test").await;
    assert_eq!(content(held(&test).await), content(held(&prod).await));
    second.admin_of("test").get(WIDGETS).await.expect(200);

    second.root().post(SNAPSHOTS, snapshot_of("test", "kept")).await.expect(201);
    eventually("the snapshot to be complete", || async {
        let snapshot = first.root().get(&format!("{SNAPSHOTS}/kept")).await.json();
        (snapshot["status"]["phase"] == "Ready").then_some(())
    })
    .await;
    let mut watches =
        [first.admin_of("test").watch(CONFIG_MAPS).await, second.admin_of("test").watch(CONFIG_MAPS).await];
    second.admin_of("test").post(CONFIG_MAPS, config_map("later", "x")).await.expect(201);
    first.root().post(&format!("{WORKSPACES}/test/restore"), back_to("kept")).await.expect(201);
    for watch in &mut watches {
        while watch.next().await.is_some() {}
    }
    let test = ready(&second, "test").await;
    test.get(&format!("{CONFIG_MAPS}/later")).await.expect(404);
    assert_eq!(content(held(&test).await), content(held(&prod).await));

    first.root().post(WORKSPACES, renamed("test", "live")).await.expect(201);
    let live = ready(&second, "live").await;
    assert_eq!(content(held(&live).await), content(held(&prod).await));
    second.admin_of("test").get(CONFIG_MAPS).await.expect(404);
    assert_eq!(others, held(&bystander).await);
}
