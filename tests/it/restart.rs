//! Stopping and starting again: what was written is found, what runs is ended in order.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binary::{self, Binary, admin, send};
use crate::requests::{CONFIG_MAPS, DEFINITIONS, WIDGETS, config_map, every_verb, everything, furnish, widget};
use crate::server::{Atoll, WORKSPACES, eventually, workspace};

#[tokio::test]
async fn a_restart_finds_everything_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let atoll = Atoll::at(dir.path()).await;
    for name in ["ours", "theirs"] {
        furnish(&atoll.cluster(name).await, name).await;
    }
    for call in every_verb() {
        call.send(&atoll.admin_of("theirs")).await;
    }
    // What the controllers still have to do is done first.
    let theirs = atoll.admin_of("theirs");
    for gone in ["/api/v1/namespaces/shared".to_owned(), format!("{DEFINITIONS}/widgets.it.example.com")] {
        eventually(&gone, || async { (theirs.get(&gone).await.status == 404).then_some(()) }).await;
    }
    theirs.settled().await;
    drop(theirs);
    let mut before = Vec::new();
    for cluster in [atoll.root(), atoll.admin_of("ours"), atoll.admin_of("theirs")] {
        before.push(everything(&cluster).await);
    }
    let version = |list: &Value| list["metadata"]["resourceVersion"].as_str().unwrap_or_default().parse::<u64>();
    let last = version(&atoll.root().get(WORKSPACES).await.expect(200)).expect("a number");
    atoll.stop().await;

    let atoll = Atoll::at(dir.path()).await;
    let ours = atoll.admin_of("ours");
    for (cluster, was) in [atoll.root(), ours.clone(), atoll.admin_of("theirs")].iter().zip(before) {
        assert_eq!(was, everything(cluster).await);
    }
    let made = ours.post(WIDGETS, widget("after", "restart")).await.expect(201);
    assert!(version(&made).expect("a number") > last, "{made}");
    ours.post(WIDGETS, widget("shared", "again")).await.refused(409, "AlreadyExists");
    atoll.root().post(WORKSPACES, workspace("ours")).await.refused(409, "AlreadyExists");
}

#[tokio::test]
async fn watches_end_when_the_server_stops() {
    let atoll = Atoll::start().await;
    let team = atoll.cluster("team").await;
    let mut watch = team.watch(CONFIG_MAPS).await;
    team.post(CONFIG_MAPS, config_map("a", "x")).await.expect(201);
    while watch.next_name().await != Some(("ADDED".to_owned(), "a".to_owned())) {}
    atoll.stop().await;
    while watch.next().await.is_some() {}
    let late = team.post(CONFIG_MAPS, config_map("b", "x")).await;
    assert!(late.status.is_server_error(), "{}: {}", late.asked, late.text());
}

#[tokio::test]
async fn sigterm_stops_the_server_within_its_grace_period_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Binary::start(dir.path());
    let client = admin(dir.path()).await;
    let request = http::Request::get(format!("{CONFIG_MAPS}?watch=1")).body(Vec::new()).expect("a request");
    let watch = client.request_stream(request).await.expect("the watch begins");
    for n in 0..20 {
        let body = config_map(&format!("map-{n}"), "x");
        send(&client, "POST", CONFIG_MAPS, "application/json", &body).await.expect("created");
    }
    let began = Instant::now();
    assert!(server.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(watch);

    let _server = Binary::start(dir.path());
    let client = admin(dir.path()).await;
    let list = send(&client, "GET", CONFIG_MAPS, "", &Value::Null).await.expect("listed");
    let ours = |item: &&Value| item["data"]["mark"] == "x";
    assert_eq!(list["items"].as_array().into_iter().flatten().filter(ours).count(), 20);
}

#[tokio::test]
async fn a_store_in_use_is_not_opened_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let _server = Binary::start(dir.path());
    let second = binary::serve(dir.path()).stdout(Stdio::null()).stderr(Stdio::piped()).output().expect("it runs");
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && told.contains("in use"), "{told}");
    let client = admin(dir.path()).await;
    send(&client, "POST", CONFIG_MAPS, "application/json", &json!({"metadata": {"name": "a"}})).await.expect("created");
}
