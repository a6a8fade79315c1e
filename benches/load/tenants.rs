//! Logical clusters by the thousand: created, filled, deleted, and what that costs.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

use super::load::Phase;
use super::process::Server;
use super::report::Report;
use super::{Args, Failure};

/// How many requests are under way at a time.
const AT_A_TIME: usize = 64;
/// The most that anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(300);
const WORKSPACES: &str = "/apis/tenancy.kcp.io/v1alpha1/workspaces";
/// Over all clusters. What the controllers give every namespace last is this.
const ALL_MAPS: &str = "/clusters/*/api/v1/configmaps";

/// Creates clusters, fills them, deletes them, and reports times and memory on the way.
pub(super) async fn measure(args: &Args, root: &Client, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let (count, idle) = (args.tenants, server.resident_mib()?);
    let cpu = server.cpu_seconds()?;
    let created = create(root, count).await?;
    report.add(
        &format!("{count} logical clusters created, with their namespace"),
        format!("{:.1} s, {:.0}/s", created.took.as_secs_f64(), count as f64 / created.took.as_secs_f64()),
    );
    report.add_phase("  each creation, 64 clients", &created, None);
    // The maps of the clusters, and that of each of the system cluster's three namespaces.
    let furnished = until(root, ALL_MAPS, |maps| maps >= count + 3).await?;
    report.add(
        "  until each has its service account and CA",
        format!(
            "{:.1} s, {:.2} CPU s per 1,000",
            (created.took + furnished).as_secs_f64(),
            (server.cpu_seconds()? - cpu) * 1e3 / count as f64
        ),
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    let per_cluster = |now: f64, before: f64| format!("{:.1} KiB", (now - before) * 1024.0 / count.max(1) as f64);
    report.add("memory of one more logical cluster, right after", per_cluster(server.resident_mib()?, idle));
    tokio::time::sleep(args.settle()).await;
    let settled = server.resident_mib()?;
    report.add("memory of one more logical cluster, later", per_cluster(settled, idle));
    let cpu = server.cpu_seconds()?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let spent = (server.cpu_seconds()? - cpu) / 20.0;
    report
        .add(&format!("processor time of {count} idle logical clusters"), format!("{:.1} % of a core", spent * 100.0));

    fill(root, count, args.content).await?;
    let filled = server.resident_mib()?;
    let cpu = server.cpu_seconds()?;
    let deleted = delete(root, count).await?;
    report.add_phase(&format!("deletion of {count} logical clusters, 64 clients"), &deleted, None);
    let gone = until(root, WORKSPACES, |workspaces| workspaces == 0).await?;
    report.add(
        &format!("{count} logical clusters deleted, each with {} more objects", args.content),
        format!(
            "{:.1} s, {:.2} CPU s per 1,000",
            (deleted.took + gone).as_secs_f64(),
            (server.cpu_seconds()? - cpu) * 1e3 / count as f64
        ),
    );
    tokio::time::sleep(args.settle()).await;
    let after = server.resident_mib()?;
    report.add(
        "resident memory idle, with clusters, with content, after their deletion",
        format!("{idle:.1}, {settled:.1}, {filled:.1}, {after:.1} MiB"),
    );
    Ok(())
}

/// Creates a logical cluster.
pub(super) async fn create_one(client: &Client, name: &str) -> Result<(), Failure> {
    let workspace = json!({
        "apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace",
        "metadata": {"name": name}, "spec": {"resources": ["control-plane"]},
    });
    send(client, "POST", WORKSPACES.to_owned(), workspace.to_string()).await
}

async fn create(client: &Client, count: usize) -> Result<Phase, Failure> {
    at_once(count, |n| async move { create_one(client, &format!("tenant-{n}")).await }).await
}

/// Gives each cluster so many objects of 1 KiB.
async fn fill(client: &Client, clusters: usize, objects: usize) -> Result<Phase, Failure> {
    at_once(clusters * objects, |n| {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("content-{}", n / clusters)},
            "data": {"payload": "x".repeat(800)},
        });
        let path = format!("/clusters/tenant-{}/api/v1/namespaces/default/configmaps", n % clusters);
        send(client, "POST", path, map.to_string())
    })
    .await
}

async fn delete(client: &Client, count: usize) -> Result<Phase, Failure> {
    at_once(count, |n| send(client, "DELETE", format!("{WORKSPACES}/tenant-{n}"), String::new())).await
}

/// Waits until the number of objects in a collection is as wanted, and tells how long that took.
async fn until(client: &Client, path: &str, wanted: impl Fn(usize) -> bool) -> Result<Duration, Failure> {
    let started = Instant::now();
    loop {
        let text = client.request_text(Request::get(format!("{path}?limit=1")).body(Vec::new())?).await?;
        let page: Value = serde_json::from_str(&text)?;
        let shown = page["items"].as_array().map_or(0, Vec::len);
        let remaining = page["metadata"]["remainingItemCount"].as_u64().unwrap_or_default();
        if wanted(shown + usize::try_from(remaining)?) {
            return Ok(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{path} did not come to be as wanted").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn send(client: &Client, method: &str, path: String, body: String) -> Result<(), Failure> {
    let request = Request::builder().method(method).uri(path).header(http::header::CONTENT_TYPE, "application/json");
    client.request_text(request.body(body.into_bytes())?).await?;
    Ok(())
}

/// Sends so many requests, some of them at a time.
async fn at_once<Fut>(count: usize, request: impl Fn(usize) -> Fut) -> Result<Phase, Failure>
where
    Fut: Future<Output = Result<(), Failure>>,
{
    let started = Instant::now();
    let timed = stream::iter(0..count).map(|n| {
        let (sent, request) = (Instant::now(), request(n));
        async move { request.await.map(|()| sent.elapsed()) }
    });
    let mut latencies: Vec<Duration> = timed.buffer_unordered(AT_A_TIME).try_collect().await?;
    latencies.sort_unstable();
    Ok(Phase { took: started.elapsed(), latencies })
}
