//! A resource that nobody stores: computed from others whenever it is read, as metrics are.
//!
//! Its objects can be read one by one or in lists, through selectors and as tables, and are in discovery and in
//! `kubectl explain`; they cannot be written. Since the view says what it is computed from, it can be watched too:
//! `kubectl get usages --watch` tells what changes, and nothing is done meanwhile.
//!
//! ```sh
//! cargo run --features examples --example view
//! ```

use std::collections::BTreeMap;

use atoll::resources::{DefinitionError, Reader, Typed, View};
use atoll::server::{Builder, Server};
use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

/// How much configuration there is in each namespace.
struct Usage;

impl View for Usage {
    fn sources(&self) -> &[(&str, &str)] {
        &[("v1", "configmaps"), ("v1", "secrets")]
    }

    fn list<'a>(&'a self, reader: Reader<'a>, _: &'a str) -> BoxFuture<'a, ApiResult<Vec<Object>>> {
        Box::pin(async move {
            let mut counted: BTreeMap<String, [u64; 2]> = BTreeMap::new();
            for (index, resource) in ["configmaps", "secrets"].into_iter().enumerate() {
                for object in reader.list("v1", resource, "").await? {
                    counted.entry(object.namespace().to_owned()).or_default()[index] += 1;
                }
            }
            let usage = |(namespace, [config_maps, secrets]): (String, [u64; 2])| {
                let value = json!({"metadata": {"name": namespace}, "configMaps": config_maps, "secrets": secrets});
                Object::from_value(value).unwrap_or_default()
            };
            Ok(counted.into_iter().map(usage).collect())
        })
    }
}

/// What clients are told of the resource: its names, its schema, and the columns of its tables.
fn definition() -> Value {
    let column = |name, path| json!({"name": name, "type": "integer", "jsonPath": path});
    json!({
        "metadata": {"name": "usages.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "usages", "kind": "Usage"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "additionalPrinterColumns": [column("Config Maps", ".configMaps"), column("Secrets", ".secrets")],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "configMaps": {"type": "integer"}, "secrets": {"type": "integer"},
                }}},
            }],
        },
    })
}

/// A server that computes usage.
fn with_usage() -> Result<Builder, DefinitionError> {
    Ok(Server::builder().view(Typed::<Value>::of(&definition())?, Usage))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = with_usage()?.data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into());
    let running = builder.build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig get usages ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/view.rs"]
mod tests;
