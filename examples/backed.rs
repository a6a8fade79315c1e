//! A resource for end users that is kept as another: users say how large a database should be, and platform engineers see
//! and change what that comes to, in a resource that only they may touch.
//!
//! The two have the same plural name and kind, in different groups. Every verb works on both, watches and patches included,
//! since an object is converted whenever it is read or written.
//!
//! ```sh
//! cargo run --features examples --example backed
//! ```

use atoll::resources::{DefinitionError, Typed};
use atoll::server::{Builder, Server};
use atoll_api::{FieldError, FieldPath};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What users see and write.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Database {
    spec: Wish,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Wish {
    size: String,
    #[serde(default)]
    replicas: u32,
}

/// What is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Machines {
    spec: Machine,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Machine {
    cpus: u32,
    count: u32,
}

/// The definition of what users write, and of what is kept.
fn definition(group: &str, properties: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("databases.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": "databases", "kind": "Database"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": properties}},
            }}}],
        },
    })
}

const CPUS: [(&str, u32); 3] = [("small", 1), ("medium", 4), ("large", 16)];

/// A server on which `databases.example.com` are kept as `databases.platform.example.com`.
fn platform() -> Result<Builder, DefinitionError> {
    let properties = json!({"size": {"type": "string"}, "replicas": {"type": "integer", "minimum": 1, "default": 1}});
    let databases = Typed::<Database>::of(&definition("example.com", properties))?
        .validate(|database, errors| {
            if !CPUS.iter().any(|(size, _)| *size == database.spec.size) {
                let (path, size) = (FieldPath::new("spec").child("size"), database.spec.size.clone());
                errors.push(FieldError::not_supported(&path, &size.into(), &CPUS.map(|(size, _)| size)));
            }
        })
        .backed_by("platform.example.com/v1", to_machines, from_machines)?;
    Ok(Server::builder().resource(databases))
}

fn to_machines(database: Database) -> Result<Machines, String> {
    let found = CPUS.iter().find(|(size, _)| *size == database.spec.size);
    let (_, cpus) = found.ok_or("there is no such size")?;
    Ok(Machines { spec: Machine { cpus: *cpus, count: database.spec.replicas } })
}

fn from_machines(machines: Machines) -> Result<Database, String> {
    let size = CPUS.iter().rev().find(|(_, cpus)| *cpus <= machines.spec.cpus).map_or("small", |(size, _)| size);
    Ok(Database { spec: Wish { size: size.to_owned(), replicas: machines.spec.count } })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = platform()?.data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into());
    let running = builder.build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig explain databases.spec ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/backed.rs"]
mod tests;
