//! Custom resource definitions: how long until each is served, and what they cost.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::Failure;
use super::client::Client;
use super::process::Server;
use super::report::{Better, Report};

/// How long a definition may take to be served.
const PATIENCE: Duration = Duration::from_secs(60);

/// Installs definitions, one after the other as `kubectl apply` does, until the last is served; `prefix` is the tenant's path.
pub(super) async fn measure(
    client: &Client,
    prefix: &str,
    count: usize,
    server: Option<&Server>,
    report: &mut Report,
) -> Result<(), Failure> {
    let (memory, cpu) = (server.map(Server::resident_mib), server.map(Server::cpu_seconds));
    let started = Instant::now();
    let path = format!("{prefix}/apis/apiextensions.k8s.io/v1/customresourcedefinitions");
    for number in 0..count {
        client.expect("POST", &path, "application/json", definition(number).to_string()).await?;
    }
    for number in 0..count {
        let served = format!("{prefix}/apis/bench{number}.example.com/v1/widgets");
        while client.send("GET", &served, "", bytes::Bytes::new()).await?.status != 200 {
            if started.elapsed() > PATIENCE + Duration::from_millis(200 * count as u64) {
                return Err(format!("{served} is not served").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    report.add(&format!("{count} definitions until served"), "s", Better::Less, started.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(2)).await;
    if let Some((now, then)) = server.map(Server::cpu_seconds).zip(cpu) {
        report.add("  each definition", "CPU ms", Better::Less, (now - then) * 1e3 / count as f64);
    }
    if let Some((now, then)) = server.map(Server::resident_mib).zip(memory) {
        report.add("  each definition, memory", "KiB", Better::Less, (now - then).max(0.0) * 1024.0 / count as f64);
    }
    Ok(())
}

/// A definition of about 6 KiB, as operators have them.
fn definition(number: usize) -> Value {
    let field = |field: usize| {
        let described = format!("What the part number {field} of a widget is to be like, as its users wish it.");
        let value = json!({"type": "object", "description": described, "properties": {
            "name": {"type": "string", "maxLength": 63, "pattern": "^[a-z]+$"},
            "replicas": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }});
        (format!("part{field}"), value)
    };
    let spec = json!({"type": "object", "properties": (0..16).map(field).collect::<Map<_, _>>()});
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
