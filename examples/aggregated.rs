//! An API server that serves a group behind another one: Atoll, or a kube-apiserver. To users the group is part of that
//! server's API, with its users and its rights; the objects are kept here.
//!
//! The server in front is told by a Service and an APIService (see `registration`). It passes requests on and names their
//! users; this server believes it by its certificate, and asks it what those users may do.
//!
//! It goes on serving, so what it prints is applied while it runs. Atoll in front must be permitted to call this machine:
//!
//! ```sh
//! atoll serve --outbound-addresses any &
//! atoll cluster create port && atoll kubeconfig port > port.kubeconfig
//! cargo run --features examples --example aggregated -- port.kubeconfig > registration.yaml &
//! kubectl --kubeconfig port.kubeconfig apply -f registration.yaml   # as soon as there is something in it
//! ```

use atoll::resources::{DefinitionError, Typed};
use atoll::server::{Builder, Running, Server};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// The service under whose name the server in front knows this one.
const SERVICE: &str = "harbour";

/// Boats, each with a number of sails.
fn boats() -> Result<Typed<Value>, DefinitionError> {
    let spec = json!({"type": "object", "properties": {"sails": {"type": "integer", "minimum": 1}}});
    Typed::of(&json!({
        "metadata": {"name": "boats.harbour.example.com"},
        "spec": {
            "group": "harbour.example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "additionalPrinterColumns": [{"name": "Sails", "type": "integer", "jsonPath": ".spec.sails"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
            }],
        },
    }))
}

/// A server of boats behind the one that `front` is a client of.
async fn harbour(front: Client) -> Result<Builder, Box<dyn std::error::Error>> {
    let builder = Server::builder()
        .single_cluster()
        .resources::<&str>([])
        .resource(boats()?)
        // Namespaces are the other server's; it deletes what is in them, here too.
        .without_admission(["NamespaceLifecycle"])
        .serving_names([format!("{SERVICE}.default.svc")]);
    Ok(builder.behind(front).await?)
}

/// What the server in front must know: where this one is, whom to take for it, and what it serves.
fn registration(running: &Running) -> Vec<Value> {
    let port: u16 = running.url().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(443);
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE, "namespace": "default"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.harbour.example.com"},
            "spec": {
                "group": "harbour.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
                "service": {"namespace": "default", "name": SERVICE, "port": port},
                "caBundle": STANDARD.encode(running.certificate_authority()),
            },
        }),
    ]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("give the kubeconfig of the server in front")?;
    let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &KubeConfigOptions::default()).await?;
    let builder = harbour(Client::try_from(config)?).await?;
    let running = builder.listen(([127, 0, 0, 1], 0).into()).build().await?.start().await?;
    for object in registration(&running) {
        println!("---\n{object}");
    }
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/aggregated.rs"]
mod tests;
