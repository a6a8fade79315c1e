//! Custom resource definitions: how long until each is served, what they cost, also in many clusters, and how soon a client
//! knows them all.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::Failure;
use super::client::Client;
use super::process::Server;
use super::report::{Better, Report};

/// How long a definition may take to be served.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often each document of discovery is fetched.
const FETCHES: usize = 9;
/// What clients know a server by, as they ask for it.
const DOCUMENTS: [(&str, &str, &str); 3] = [
    ("discovery", "/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ("legacy discovery", "/apis", "application/json"),
    ("OpenAPI root", "/openapi/v3", "application/json"),
];

/// What is installed.
pub(super) struct Plan {
    /// How many definitions.
    pub(super) count: usize,
    /// How many fields the spec of each has.
    pub(super) fields: usize,
    /// Whether an object of each is created, for which its schema is compiled.
    pub(super) used: Use,
    /// How long the server is left alone before memory is measured.
    pub(super) settle: Duration,
}

/// What becomes of definitions once they are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing.
    Idle,
    /// An object of each is created.
    Objects,
}

/// Installs definitions in each tenant, whose paths these are, and reports what the first cost and all together.
pub(super) async fn measure(
    client: &Client,
    prefixes: &[String],
    plan: &Plan,
    server: Option<&Server>,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some((first, others)) = prefixes.split_first() else { return Ok(()) };
    let count = plan.count;
    let (memory, cpu) = (server.map(Server::resident_mib), server.map(Server::cpu_seconds));
    let kib = definition(0, plan.fields).to_string().len() as f64 / 1024.0;
    report.add("a definition, as JSON", "KiB", Better::Less, kib);
    let took = install(client, first, plan).await?;
    report.add(&format!("{count} definitions until served"), "s", Better::Less, took.as_secs_f64());
    for (what, [first, again]) in discover(client, first).await? {
        report.add(&format!("  {what}, first"), "ms", Better::Less, first);
        report.add(&format!("  {what}, again"), "ms", Better::Less, again);
    }
    tokio::time::sleep(plan.settle).await;
    if let Some((now, then)) = server.map(Server::cpu_seconds).zip(cpu) {
        report.add("  each definition", "CPU ms", Better::Less, (now - then) * 1e3 / count as f64);
    }
    let Some((then, now)) = memory.zip(server.map(Server::resident_mib)) else { return Ok(()) };
    let one = (now - then).max(0.0);
    report.add("  each definition, memory", "KiB", Better::Less, one * 1024.0 / count as f64);
    if others.is_empty() {
        return Ok(());
    }
    for prefix in others {
        install(client, prefix, plan).await?;
        discover(client, prefix).await?;
    }
    tokio::time::sleep(plan.settle).await;
    if let Some(now) = server.map(Server::resident_mib) {
        let what = format!("the same in {} clusters, memory", prefixes.len());
        report.add(&what, "of one's", Better::Less, (now - then).max(0.0) / one);
    }
    Ok(())
}

/// Creates definitions, one after the other as `kubectl apply` does, until the last is served.
async fn install(client: &Client, prefix: &str, plan: &Plan) -> Result<Duration, Failure> {
    let started = Instant::now();
    let path = format!("{prefix}/apis/apiextensions.k8s.io/v1/customresourcedefinitions");
    for number in 0..plan.count {
        client.expect("POST", &path, "application/json", definition(number, plan.fields).to_string()).await?;
    }
    let objects = |number: usize| format!("{prefix}/apis/bench{number}.example.com/v1/namespaces/default/widgets");
    for number in 0..plan.count {
        let served = objects(number);
        while client.send("GET", &served, "", bytes::Bytes::new()).await?.status != 200 {
            if started.elapsed() > PATIENCE + Duration::from_millis(200 * plan.count as u64) {
                return Err(format!("{served} is not served").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let took = started.elapsed();
    for number in (0..plan.count).filter(|_| plan.used == Use::Objects) {
        let object = json!({
            "apiVersion": format!("bench{number}.example.com/v1"), "kind": "Widget", "metadata": {"name": "one"},
            "spec": {"part0": {"name": "a"}},
        });
        client.expect("POST", &objects(number), "application/json", object.to_string()).await?;
    }
    Ok(took)
}

/// Fetches what clients know the server by; tells how many milliseconds the first time took, and the median of the next.
async fn discover(client: &Client, prefix: &str) -> Result<Vec<(&'static str, [f64; 2])>, Failure> {
    let mut documents = Vec::with_capacity(DOCUMENTS.len());
    for (what, path, media) in DOCUMENTS {
        let mut took = Vec::with_capacity(FETCHES);
        for _ in 0..FETCHES {
            let started = Instant::now();
            let answer = client.send("GET", &format!("{prefix}{path}"), media, bytes::Bytes::new()).await?;
            if answer.status != 200 {
                return Err(format!("{path}: {}", answer.status).into());
            }
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
        took[1..].sort_by(f64::total_cmp);
        documents.push((what, [took[0], took[1 + FETCHES / 2]]));
    }
    Ok(documents)
}

/// A definition whose spec has so many fields: with 16 of them it is of about 6 KiB, as those of small operators; with 100 of 40, as
/// those of cloud providers are on average.
fn definition(number: usize, fields: usize) -> Value {
    let field = |field: usize| {
        let described = format!("What the part number {field} of a widget is to be like, as its users wish it.");
        let value = json!({"type": "object", "description": described, "properties": {
            "name": {"type": "string", "maxLength": 63, "pattern": "^[a-z]+$"},
            "replicas": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }});
        (format!("part{field}"), value)
    };
    let spec = json!({"type": "object", "properties": (0..fields).map(field).collect::<Map<_, _>>()});
    let group = format!("bench{number}.example.com");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": spec, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                }}}}],
        },
    })
}
