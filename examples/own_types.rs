//! Types of your own and nothing else: a Rust struct becomes a resource, with the schema that is derived from it and hooks
//! that get the struct. There are no Kubernetes kinds, no CRDs, and no other clusters.
//!
//! With the derive macro of `kube`, `Typed::<Boat>::of(&Boat::crd())` says the same in one line.
//!
//! ```sh
//! cargo run --features examples --example own_types
//! ```

use atoll::resources::{DefinitionError, Typed};
use atoll::server::{Builder, Server};
use atoll_api::{FieldError, FieldPath};
use kube::core::Object;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What somebody wants of a boat.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BoatSpec {
    /// How many sails it has.
    #[schemars(range(min = 1, max = 40))]
    sails: u32,
    /// Where it belongs; where it was made, unless somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home_port: Option<String>,
}

/// A boat as clients see it: with metadata and a status that nobody has defined.
type Boat = Object<BoatSpec, Value>;

fn definition() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let spec = settings.into_generator().into_root_schema_for::<BoatSpec>();
    json!({
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "boats", "kind": "Boat", "shortNames": ["bo"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "additionalPrinterColumns": [{"name": "Sails", "type": "integer", "jsonPath": ".spec.sails"}],
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {"spec": spec}}},
            }],
        },
    })
}

/// A server of boats. Without a directory of its own it forgets them when it stops; `storage("file:///var/lib/boats")`
/// keeps them, and `storage("etcd://…")` shares them with others.
fn boats() -> Result<Builder, DefinitionError> {
    let boats = Typed::<Boat>::of(&definition())?
        .default_with(|boat| {
            boat.spec.home_port.get_or_insert_with(|| "Kiel".to_owned());
        })
        .validate_change(|boat, old, errors| {
            if old.is_some_and(|old| old.spec.sails > boat.spec.sails) {
                let path = FieldPath::new("spec").child("sails");
                errors.push(FieldError::invalid(&path, &boat.spec.sails.into(), "sails are not taken away"));
            }
        })
        .warn(|boat| if boat.spec.sails > 30 { vec!["that is a lot of sails".to_owned()] } else { Vec::new() });
    Ok(Server::builder().single_cluster().resources::<&str>([]).resource(boats))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = boats()?.data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into());
    let running = builder.build().await?.start().await?;
    println!("try: kubectl --kubeconfig .atoll/admin.kubeconfig explain boats.spec ({})", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
#[path = "tests/own_types.rs"]
mod tests;
