//! Several servers over one etcd: any of them serves any request, and none of them is missed.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use crate::binary::{Binary, admin, send, serve_on};
use crate::etcd::Etcd;
use crate::requests::{CONFIG_MAPS, DEFINITIONS, WIDGETS, config_map, definition, widget};
use crate::server::{Answer, Atoll, Client, MERGE_PATCH, WORKSPACES, eventually, workspace};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/atoll-controllers";

/// Two servers over a fresh etcd.
async fn two() -> Option<(Etcd, Atoll, Atoll)> {
    let etcd = Etcd::single()?;
    // At the same time, so that they also race for what only the first one writes.
    let (url, other) = (etcd.url(""), etcd.url(""));
    let (first, second) = tokio::join!(Atoll::on(&url), Atoll::on(&other));
    Some((etcd, first, second))
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_wrote_the_other_serves_at_once() {
    let Some((_etcd, first, second)) = two().await else { return };
    for round in 0..10 {
        let name = format!("team{round}");
        first.root().post(WORKSPACES, workspace(&name)).await.expect(201);
        let (here, there) = (first.admin_of(&name), second.admin_of(&name));
        there.post(CONFIG_MAPS, config_map("a", "1")).await.expect(201);
        let read = here.get(&format!("{CONFIG_MAPS}/a")).await.expect(200);
        assert_eq!(here.get(CONFIG_MAPS).await.expect(200)["items"].as_array().map_or(0, Vec::len), 1);
        let patched =
            here.patch(&format!("{CONFIG_MAPS}/a"), MERGE_PATCH, json!({"data": {"k": "2"}})).await.expect(200);
        there.put(&format!("{CONFIG_MAPS}/a"), read).await.refused(409, "Conflict");
        there.put(&format!("{CONFIG_MAPS}/a"), patched).await.expect(200);
        there.post(DEFINITIONS, definition("string")).await.expect(201);
        here.post(WIDGETS, widget("w", "1")).await.expect(201);
        there.delete(&format!("{WIDGETS}/w")).await.expect(200);
        here.get(&format!("{WIDGETS}/w")).await.refused(404, "NotFound");
        let newest = version(&there.get(CONFIG_MAPS).await.expect(200));
        // A version seen at one server may be named to the other, in reads and in watches.
        let path = format!("{CONFIG_MAPS}?resourceVersion={newest}&resourceVersionMatch=NotOlderThan");
        here.get(&path).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_at_one_server_tells_everything_written_at_both() {
    let Some((_etcd, first, second)) = two().await else { return };
    first.root().post(WORKSPACES, workspace("team")).await.expect(201);
    let clients = [first.admin_of("team"), second.admin_of("team")];
    let start = version(&clients[0].get(CONFIG_MAPS).await.expect(200));
    let mut watch = clients[1]
        .watch(&format!("{CONFIG_MAPS}?resourceVersion={start}&fieldSelector=metadata.name!=kube-root-ca.crt"))
        .await;
    for number in 0..60 {
        clients[number % 2].post(CONFIG_MAPS, config_map(&format!("n{number:02}"), "x")).await.expect(201);
    }
    let mut last = 0;
    for number in 0..60 {
        let event = watch.next().await.expect("an event");
        assert_eq!(
            (&event["type"], &event["object"]["metadata"]["name"]),
            (&json!("ADDED"), &json!(format!("n{number:02}")))
        );
        let at = version(&event["object"]).parse::<u64>().expect("a number");
        assert!(at > last, "no event comes before its time");
        last = at;
    }
    // Where a watch ended at one server, it goes on at the other.
    let middle = version(&clients[0].get(&format!("{CONFIG_MAPS}/n29")).await.expect(200));
    let mut resumed = clients[0].watch(&format!("{CONFIG_MAPS}?resourceVersion={middle}")).await;
    for number in 30..60 {
        assert_eq!(resumed.next_name().await, Some(("ADDED".to_owned(), format!("n{number:02}"))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_at_two_servers_each_update_counts() {
    let Some((_etcd, first, second)) = two().await else { return };
    first.root().post(WORKSPACES, workspace("team")).await.expect(201);
    let clients = [first.admin_of("team"), second.admin_of("team")];
    clients[0].post(CONFIG_MAPS, config_map("counter", "0")).await.expect(201);
    let count = |client: Client| async move {
        let mut conflicts = 0;
        for _ in 0..15 {
            loop {
                let mut object = client.get(&format!("{CONFIG_MAPS}/counter")).await.expect(200);
                let count = object["data"]["count"].as_str().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
                object["data"]["count"] = (count + 1).to_string().into();
                let answer = client.put(&format!("{CONFIG_MAPS}/counter"), object).await;
                match answer.status.as_u16() {
                    200 => break,
                    409 => conflicts += 1,
                    _ => panic!("{}", answer.text()),
                }
            }
        }
        conflicts
    };
    let counting: Vec<_> = (0..4).map(|number| tokio::spawn(count(clients[number % 2].clone()))).collect();
    for counter in counting {
        counter.await.expect("it counts");
    }
    let counted = clients[1].get(&format!("{CONFIG_MAPS}/counter")).await.expect(200);
    assert_eq!(counted["data"]["count"], "60");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_server_opens_the_other() {
    let Some((_etcd, first, second)) = two().await else { return };
    let here = first.cluster("team").await;
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let given = here.post(path, asked).await.expect(201);
    let token = given["status"]["token"].as_str().expect("a token");
    let ask = |path: &str| {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        request.body(Body::empty()).expect("a request")
    };
    let there = second.admin_of("team").anonymous();
    // Known, though without rights; in another cluster it is nobody's.
    assert_eq!(there.call(ask("/clusters/team/api/v1/namespaces/default/configmaps")).await.status(), 403);
    assert_eq!(there.call(ask("/clusters/team/apis")).await.status(), 200);
    assert_eq!(there.call(ask("/apis")).await.status(), 401);
    assert_eq!(first.certificate_authority(), second.certificate_authority());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_deleted_at_one_server_leaves_nothing_at_the_other() {
    let Some((_etcd, first, second)) = two().await else { return };
    for round in 0..5 {
        let here = first.cluster("team").await;
        let there = second.admin_of("team");
        let old = here.post(CONFIG_MAPS, config_map("old", "secret")).await.expect(201);
        let mut watch = there.watch(CONFIG_MAPS).await;
        let deleter = if round % 2 == 0 { &first } else { &second };
        deleter.root().delete(&format!("{WORKSPACES}/team")).await;
        eventually("the cluster to be gone", || async {
            (first.root().get(&format!("{WORKSPACES}/team")).await.status == 404).then_some(())
        })
        .await;
        // It ends, and tells nothing of a later cluster of that name.
        while let Some((_, name)) = watch.next_name().await {
            assert!(name == "old" || name == "kube-root-ca.crt", "{name}");
        }
        second.root().post(WORKSPACES, workspace("team")).await.expect(201);
        there.post(CONFIG_MAPS, config_map("new", "x")).await.expect(201);
        for client in [&here, &there] {
            client.get(&format!("{CONFIG_MAPS}/old")).await.refused(404, "NotFound");
            let past = format!("{CONFIG_MAPS}?resourceVersion={}&resourceVersionMatch=Exact", version(&old));
            client.get(&past).await.refused(410, "Expired");
            client.get(&format!("{CONFIG_MAPS}/new")).await.expect(200);
        }
        // Neither server's controllers take the new one for the old.
        tokio::time::sleep(Duration::from_millis(300)).await;
        here.get(&format!("{CONFIG_MAPS}/new")).await.expect(200);
        first.root().delete(&format!("{WORKSPACES}/team")).await;
        eventually("the cluster to be gone", || async {
            (second.root().get(&format!("{WORKSPACES}/team")).await.status == 404).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_runs_the_controllers_and_the_other_takes_over() {
    let Some((_etcd, first, second)) = two().await else { return };
    let holder = || async {
        let lease = second.root().get(LEASE).await.json();
        lease["spec"]["holderIdentity"].as_str().map(str::to_owned).filter(|holder| !holder.is_empty())
    };
    let before = eventually("somebody to lead", holder).await;
    first.cluster("team").await;
    assert_eq!(holder().await.as_ref(), Some(&before), "who leads goes on leading");
    first.stop().await;
    // Whoever led, the server that is left does soon.
    let began = Instant::now();
    second.cluster("other").await;
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_cut_off_writes_nothing_says_so_and_comes_back() {
    let Some((etcd, first, _second)) = two().await else { return };
    let team = first.cluster("team").await;
    team.post(CONFIG_MAPS, config_map("a", "1")).await.expect(201);
    etcd.signal(0, "STOP");
    for _ in 0..2 {
        let began = Instant::now();
        let refused = |answer: Answer| assert!(matches!(answer.status.as_u16(), 503 | 504), "{}", answer.text());
        refused(team.post(CONFIG_MAPS, config_map("b", "1")).await);
        refused(team.get(&format!("{CONFIG_MAPS}/a")).await);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        // What need not be new is still told, for a while.
        team.get(&format!("{CONFIG_MAPS}?resourceVersion=0")).await.expect(200);
    }
    eventually("the server to be unready", || async {
        (first.root().get("/readyz").await.status == 500).then_some(())
    })
    .await;
    etcd.signal(0, "CONT");
    eventually("the server to be ready", || async { (first.root().get("/readyz").await.status == 200).then_some(()) })
        .await;
    eventually("writes to be taken", || async {
        (team.post(CONFIG_MAPS, config_map("c", "1")).await.status == 201).then_some(())
    })
    .await;
}

/// Waits until a server that is starting says that its store is not there.
async fn says_that_it_waits(log: &Path) {
    eventually("it to say that it waits", || async {
        std::fs::read_to_string(log).is_ok_and(|said| said.contains("waiting for it")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_started_while_the_store_has_no_majority_waits_for_it() {
    let Some(mut etcd) = Etcd::start(3, "http", &["--unsafe-no-fsync"]) else { return };
    etcd.kill(0);
    etcd.kill(1);
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let mut command = serve_on(dir.path(), &etcd.url(""));
    command.stderr(File::create(&log).expect("a file"));
    let starting = tokio::task::spawn_blocking(move || Binary::spawn(command));
    says_that_it_waits(&log).await;
    assert!(!starting.is_finished());
    etcd.restart(0);
    etcd.restart(1);
    let server = starting.await.expect("it starts");
    let client = admin(dir.path()).await;
    send(&client, "POST", WORKSPACES, "application/json", &workspace("team")).await.expect("a cluster");
    server.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_waits_for_its_store_ends_at_once_when_told_to_and_by_itself_in_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let (log, nobody) = (dir.path().join("log"), "etcd://127.0.0.1:1");
    let mut command = serve_on(dir.path(), nobody);
    command.stderr(File::create(&log).expect("a file"));
    let mut server = command.spawn().expect("the binary can be started");
    says_that_it_waits(&log).await;
    let told = Instant::now();
    let sent = Command::new("kill").args(["-INT", &server.id().to_string()]).status().expect("kill can be run");
    assert!(sent.success() && server.wait().expect("it ends").success());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());

    let mut impatient = serve_on(dir.path(), nobody);
    let began = Instant::now();
    let ended = impatient.args(["--wait-for-store", "1s"]).output().expect("the binary can be started");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("the etcd at http://127.0.0.1:1 cannot be used"), "{said}");
}

/// Creates objects until the server is gone; gives the names that were acknowledged.
async fn create(client: kube::Client, mark: &'static str) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    for number in 0.. {
        let name = format!("{mark}{number}");
        let path = format!("/clusters/team{CONFIG_MAPS}");
        match send(&client, "POST", &path, "application/json", &config_map(&name, "x")).await {
            Ok(_) => drop(acknowledged.insert(name)),
            // The store was between two leaders: the write may have happened or not.
            Err(kube::Error::Api(status)) if status.code >= 500 => {}
            Err(_) => return acknowledged,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_and_etcd_members_killed_under_load_take_no_acknowledged_write_along() {
    let Some(mut etcd) = Etcd::start(3, "http", &[]) else { return };
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let url = etcd.url("");
    let start = |number: usize| Binary::spawn(serve_on(dirs[number].path(), &url));
    let survivor = start(0);
    let survivors = admin(dirs[0].path()).await;
    send(&survivors, "POST", WORKSPACES, "application/json", &workspace("team")).await.expect("a cluster");
    let mut acknowledged = BTreeSet::new();
    for (round, mark) in ["a", "b", "c"].into_iter().enumerate() {
        let victim = start(1);
        // The administrator of one server is that of the other: they have one CA.
        let client = admin(dirs[1].path()).await;
        let writers: Vec<_> = ["w", "x", "y", "z"]
            .into_iter()
            .map(|writer| tokio::spawn(create(client.clone(), [mark, writer].concat().leak())))
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        // One of the store's members too, so that its leader is among the victims once.
        etcd.kill(round);
        tokio::time::sleep(Duration::from_millis(2000 + 300 * round as u64)).await;
        victim.kill();
        etcd.restart_and_wait(round);
        for writer in writers {
            acknowledged.extend(writer.await.expect("a writer ends when its server does"));
        }
        let path = format!("/clusters/team{CONFIG_MAPS}");
        let list = send(&survivors, "GET", &path, "application/json", &Value::Null).await.expect("a list");
        let found: BTreeSet<String> = list["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        let lost: Vec<&String> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    }
    assert!(acknowledged.len() > 50, "only {} writes: this tested nothing", acknowledged.len());
    survivor.terminate();
}
