//! Many logical clusters in one process, each with its own version of a definition: a playground for migrations, in a test.
//!
//! A cluster costs a few kilobytes, so a test can have one for each release that was ever made of an API, and see what
//! each makes of the same object.
//!
//! ```sh
//! cargo run --features examples --example playground
//! ```

use atoll::test::ControlPlane;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

/// What became of an object: what was stored of it, or why it was refused.
type Outcome = Result<Value, String>;

/// The definition of boats as one release had it.
fn release(boat: Value) -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": boat}},
            }}}],
        },
    }))
    .expect("a definition")
}

/// Gives the same boat to every release, all at the same time, each in a cluster of its own.
async fn try_everywhere(plane: &ControlPlane, spec: &Value) -> Result<Vec<Outcome>, Box<dyn std::error::Error>> {
    let releases = [
        release(json!({"sails": {"type": "integer"}})),
        release(json!({"sails": {"type": "integer", "maximum": 3}, "colour": {"type": "string", "default": "white"}})),
        release(json!({"sails": {"type": "string"}, "engine": {"type": "boolean"}})),
    ];
    let trials = releases.iter().map(|definition| trial(plane, definition, spec));
    futures::future::join_all(trials).await.into_iter().collect()
}

async fn trial(
    plane: &ControlPlane,
    definition: &CustomResourceDefinition,
    spec: &Value,
) -> Result<Outcome, Box<dyn std::error::Error>> {
    let client = plane.cluster().await?.client();
    Api::all(client.clone()).create(&Default::default(), definition).await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Boat"));
    let boats: Api<DynamicObject> = Api::namespaced_with(client, "default", &kind);
    let boat = DynamicObject::new("dinghy", &kind).data(json!({"spec": spec}));
    Ok(match boats.create(&Default::default(), &boat).await {
        Ok(made) => Ok(made.data["spec"].clone()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(other) => return Err(other.into()),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plane = ControlPlane::start().await?;
    for (release, outcome) in (1..).zip(try_everywhere(&plane, &json!({"sails": 4})).await?) {
        println!("release {release}: {outcome:?}");
    }
    plane.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_cluster_has_its_own_idea_of_a_boat() {
        let plane = ControlPlane::shared().await.expect("a control plane");
        let outcomes = try_everywhere(plane, &json!({"sails": 3, "engine": true})).await.expect("tried");
        assert_eq!(outcomes[0], Ok(json!({"sails": 3})), "what a release does not know is dropped");
        assert_eq!(outcomes[1], Ok(json!({"sails": 3, "colour": "white"})));
        let refusal = outcomes[2].clone().expect_err("sails were text once");
        assert!(refusal.contains("spec.sails"), "{refusal}");
    }
}
