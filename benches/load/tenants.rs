//! Tenants by the thousand: created, filled, deleted, and what that costs. Where a server has logical clusters, a tenant is one;
//! elsewhere a namespace stands in for it, which isolates far less.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Client;
use super::load::{Phase, at_once, paced};
use super::process::Server;
use super::report::{Better, Report};
use super::{Args, Failure};

/// How many requests are under way at a time.
const AT_A_TIME: usize = 64;
/// The most that anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(300);
const WORKSPACES: &str = "/apis/tenancy.kcp.io/v1alpha1/workspaces";
/// Over all clusters. What the controllers give every namespace last is this.
const ALL_MAPS: &str = "/clusters/*/api/v1/configmaps";
const NAMESPACES: &str = "/api/v1/namespaces";

/// What a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cluster,
    Namespace,
}

impl Kind {
    /// What this server has.
    pub(super) async fn of(admin: &Client) -> Result<Self, Failure> {
        let answer = admin.send("GET", "/apis/tenancy.kcp.io/v1alpha1", "", bytes::Bytes::new()).await?;
        Ok(if answer.status == 200 { Self::Cluster } else { Self::Namespace })
    }

    /// Creates a tenant in which the user `bench` may do everything, and gives the path of its `ConfigMap`s.
    pub(super) async fn create_for_bench(self, admin: &Client, name: &str) -> Result<String, Failure> {
        self.create(admin, name).await?;
        let (prefix, namespace) = match self {
            Self::Cluster => (format!("/clusters/{name}"), "default"),
            Self::Namespace => (String::new(), name),
        };
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bench"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bench"}],
        });
        let path = format!("{prefix}/apis/rbac.authorization.k8s.io/v1/clusterrolebindings");
        let bound = admin.send("POST", &path, "application/json", binding.to_string().into()).await?;
        if !matches!(bound.status, 201 | 409) {
            return Err(format!("bench was not bound: {}", String::from_utf8_lossy(&bound.body)).into());
        }
        Ok(format!("{prefix}/api/v1/namespaces/{namespace}/configmaps"))
    }

    async fn create(self, admin: &Client, name: &str) -> Result<(), Failure> {
        let (path, tenant) = match self {
            Self::Cluster => {
                let spec = json!({"resources": ["control-plane"]});
                (WORKSPACES, json!({"apiVersion": "tenancy.kcp.io/v1alpha1", "kind": "Workspace", "spec": spec}))
            }
            Self::Namespace => ("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace"})),
        };
        let mut tenant = tenant;
        tenant["metadata"] = json!({"name": name});
        admin.expect("POST", path, "application/json", tenant.to_string()).await.map(drop)
    }
}

/// Creates tenants and reports what that takes; where they are clusters, fills and deletes them, too.
pub(super) async fn measure(
    args: &Args,
    admin: Arc<Client>,
    server: Option<&Server>,
    report: &mut Report,
) -> Result<(), Failure> {
    let (kind, count) = (Kind::of(&admin).await?, args.tenants);
    let (idle, cpu) = (server.map(Server::resident_mib), server.map(Server::cpu_seconds));
    let create = |first: usize| {
        let client = admin.clone();
        move |n: usize| {
            let client = client.clone();
            async move { kind.create(&client, &format!("tenant-{}", first + n)).await }
        }
    };
    // The first of them at a rate at which nothing need wait.
    let first = if kind == Kind::Cluster { (5 * args.tenant_rate).min(count / 2) } else { 0 };
    if first > 0 {
        let phase = paced(first, args.tenant_rate, create(0)).await?;
        report_phase(report, &format!("tenants created, {} asked for a second", args.tenant_rate), &phase);
    }
    let phase = at_once(count - first, AT_A_TIME, create(first)).await?;
    report_phase(report, &format!("tenants created, {AT_A_TIME} clients"), &phase);
    if kind == Kind::Cluster {
        // The maps of the clusters, and that of each of the system cluster's namespaces.
        let own = items(&admin, NAMESPACES).await?;
        until(&admin, ALL_MAPS, |maps| maps >= count + own).await?;
    }
    if let Some((now, then)) = server.map(Server::cpu_seconds).zip(cpu) {
        let each = (now - then) * 1e3 / count as f64;
        report.add("  until all is in place", "CPU s per 1,000", Better::Less, each);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    report_memory(report, "  memory of one more tenant", (server.map(Server::resident_mib), idle), count);
    if kind == Kind::Cluster && args.deletes {
        grow_and_shrink(args, admin, server, idle, report).await?;
    }
    Ok(())
}

/// Leaves the clusters alone, fills them, deletes them, and tells the memory on the way.
async fn grow_and_shrink(
    args: &Args,
    admin: Arc<Client>,
    server: Option<&Server>,
    idle: Option<f64>,
    report: &mut Report,
) -> Result<(), Failure> {
    let count = args.tenants;
    if let Some(idle) = idle {
        report.add("  memory before", "MiB", Better::Less, idle);
    }
    let memory = |report: &mut Report, what: &str| {
        if let Some(server) = server {
            report.add(what, "MiB", Better::Less, server.resident_mib());
            report.add(&format!("{what}, anonymous"), "MiB", Better::Less, server.anonymous_mib());
        }
    };
    tokio::time::sleep(args.settle()).await;
    report_memory(report, "  the same, later", (server.map(Server::resident_mib), idle), count);
    if let Some(before) = server.map(Server::cpu_seconds) {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let spent = server.map_or(0.0, Server::cpu_seconds) - before;
        report.add(&format!("{count} idle tenants"), "% of a core", Better::Less, spent * 5.0);
    }
    memory(report, "  memory with tenants");
    let content = args.content;
    let client = admin.clone();
    at_once(count * content, AT_A_TIME, move |n| {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("content-{}", n / count)},
            "data": {"payload": "x".repeat(800)},
        });
        let path = format!("/clusters/tenant-{}/api/v1/namespaces/default/configmaps", n % count);
        let client = client.clone();
        async move { client.expect("POST", &path, "application/json", map.to_string()).await.map(drop) }
    })
    .await?;
    memory(report, "  memory with tenants and their content");
    let (client, cpu) = (admin.clone(), server.map(Server::cpu_seconds));
    let deleted = at_once(count, AT_A_TIME, move |n| {
        let client = client.clone();
        async move { client.expect("DELETE", &format!("{WORKSPACES}/tenant-{n}"), "", String::new()).await.map(drop) }
    })
    .await?;
    let asked = deleted.took.as_secs_f64();
    let gone = until(&admin, WORKSPACES, |workspaces| workspaces == 0).await?;
    // The objects are gone before the workspace is; this says so in the objects' words.
    let own = items(&admin, NAMESPACES).await?;
    let emptied = until(&admin, ALL_MAPS, |maps| maps <= own).await?;
    let took = (deleted.took + gone + emptied).as_secs_f64();
    let what = format!("{count} tenants deleted, each with {content} more objects");
    report.add(&what, "s", Better::Less, took);
    report.add("  until the last deletion was answered", "s", Better::Less, asked);
    if let Some((now, then)) = server.map(Server::cpu_seconds).zip(cpu) {
        report.add("  deletion, server", "CPU s per 1,000", Better::Less, (now - then) * 1e3 / count.max(1) as f64);
    }
    memory(report, "  memory right after their deletion");
    let soon = Duration::from_secs(30).min(args.settle());
    tokio::time::sleep(soon).await;
    memory(report, &format!("  memory {} s later", soon.as_secs()));
    tokio::time::sleep(args.settle() - soon).await;
    memory(report, "  memory after their deletion");
    Ok(())
}

fn report_phase(report: &mut Report, what: &str, phase: &Phase) {
    report.add(what, "/s", Better::More, phase.rate());
    report.add(&format!("  {what}, p99"), "ms", Better::Less, phase.quantile_ms(0.99));
}

fn report_memory(report: &mut Report, what: &str, (now, before): (Option<f64>, Option<f64>), count: usize) {
    if let Some((now, before)) = now.zip(before) {
        report.add(what, "KiB", Better::Less, (now - before) * 1024.0 / count.max(1) as f64);
    }
}

/// Waits until the number of objects in a collection is as wanted, and tells how long that took.
async fn until(client: &Client, path: &str, wanted: impl Fn(usize) -> bool) -> Result<Duration, Failure> {
    let started = Instant::now();
    loop {
        if wanted(items(client, path).await?) {
            return Ok(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("{path} did not come to be as wanted").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many objects a collection has.
pub(super) async fn items(client: &Client, path: &str) -> Result<usize, Failure> {
    let page = client.get_json(&format!("{path}?limit=1")).await?;
    let shown = page["items"].as_array().map_or(0, Vec::len);
    Ok(shown + usize::try_from(page["metadata"]["remainingItemCount"].as_u64().unwrap_or_default())?)
}
