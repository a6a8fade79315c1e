//! Custom kinds from their definition to their end, in one logical cluster and not in the one beside it.

use std::sync::Arc;

use kube::core::Status;
use serde_json::{Value, json};

use crate::atoll_server::Atoll;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const THINGS: &str = "/apis/example.com/v1/namespaces/default/things";

fn version(name: &str, properties: Value) -> Value {
    json!({"name": name, "served": true, "storage": name == "v1",
           "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}})
}

fn definition(versions: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": versions,
        },
    })
}

fn thing(version: &str, name: &str, fields: Value) -> Value {
    let mut thing =
        json!({"apiVersion": format!("example.com/{version}"), "kind": "Thing", "metadata": {"name": name}});
    for (field, value) in fields.as_object().into_iter().flatten() {
        thing[field] = value.clone();
    }
    thing
}

fn refusal(answer: Result<Value, Box<Status>>) -> (u16, String) {
    answer.map_or_else(|status| (status.code, status.message), |object| (200, object.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_is_served_at_once_in_its_cluster_only_and_can_be_made_again() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    let versions = json!([version("v1", json!({"x": {"type": "integer", "maximum": 3}}))]);
    for round in 0..2 {
        atoll.post(&format!("{a}{DEFINITIONS}"), definition(versions.clone())).await;
        assert_eq!(atoll.names(&format!("{a}{THINGS}")).await, Vec::<String>::new(), "round {round}");
        assert_eq!(atoll.get(&format!("{b}{THINGS}")).await, None);
        atoll.post(&format!("{a}{THINGS}"), thing("v1", "small", json!({"x": 3}))).await;
        let large = Some(thing("v1", "large", json!({"x": 4})));
        let (code, told) = refusal(atoll.call("POST", &format!("{a}{THINGS}"), "application/json", large).await);
        assert!(code == 422 && told.contains("should be less than or equal to 3"), "{told}");
        atoll.delete(&format!("{a}{DEFINITIONS}/things.example.com")).await;
        atoll.until_gone(&format!("{a}{DEFINITIONS}/things.example.com")).await;
    }
    atoll.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_is_pruned_defaulted_and_checked_by_its_own_schema() {
    let atoll = Atoll::start().await;
    let a = atoll.cluster("a").await;
    let versions = json!([
        version("v1", json!({"old": {"type": "string", "maxLength": 3}, "both": {"type": "string"}})),
        version("v2", json!({"new": {"type": "string", "default": "n"}, "both": {"type": "string"}})),
    ]);
    atoll.post(&format!("{a}{DEFINITIONS}"), definition(versions)).await;
    let v2 = THINGS.replace("/v1/", "/v2/");
    let made = atoll.post(&format!("{a}{v2}"), thing("v2", "t", json!({"both": "b"}))).await;
    // What the storage version does not know is not stored, so the default of the other is gone again.
    assert_eq!((&made["both"], &made["new"]), (&json!("b"), &Value::Null));
    atoll.patch(&format!("{a}{THINGS}/t"), json!({"old": "abc"})).await;
    let seen = atoll.get(&format!("{a}{v2}/t")).await.expect("it is there");
    assert_eq!((&seen["apiVersion"], &seen["old"]), (&json!("example.com/v2"), &Value::Null));
    let long = Some(json!({"old": "abcd"}));
    let media = "application/merge-patch+json";
    let (code, told) = refusal(atoll.call("PATCH", &format!("{a}{THINGS}/t"), media, long).await);
    assert!(code == 422 && told.contains("may not be more than 3 bytes"), "{told}");
    atoll.stop().await;
}

/// Creations race with the deletion of their definition. One that slipped in behind it would come to light in a later
/// definition of the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_object_outlives_its_definition() {
    let atoll = Arc::new(Atoll::start().await);
    let a = atoll.cluster("a").await;
    let versions = json!([version("v1", json!({}))]);
    atoll.post(&format!("{a}{DEFINITIONS}"), definition(versions.clone())).await;
    let path = format!("{a}{THINGS}");
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (atoll, path) = (atoll.clone(), path.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let object = Some(thing("v1", &format!("t{writer}-{number}"), json!({})));
                    let (code, told) = refusal(atoll.call("POST", &path, "application/json", object).await);
                    match code {
                        200 | 429 => {}
                        403 | 404 => return,
                        _ => panic!("{code} {told}"),
                    }
                }
            })
        })
        .collect();
    atoll.delete(&format!("{a}{DEFINITIONS}/things.example.com")).await;
    for writer in writers {
        writer.await.expect("a writer that was refused in the end");
    }
    atoll.until_gone(&format!("{a}{DEFINITIONS}/things.example.com")).await;
    atoll.post(&format!("{a}{DEFINITIONS}"), definition(versions)).await;
    assert_eq!(atoll.names(&path).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_of_a_cluster_tells_of_its_own_kinds_and_no_others() {
    let atoll = Atoll::start().await;
    let (a, b) = (atoll.cluster("a").await, atoll.cluster("b").await);
    let versions = json!([version("v1", json!({"x": {"type": "integer"}}))]);
    atoll.post(&format!("{a}{DEFINITIONS}"), definition(versions)).await;
    for (cluster, knows) in [(a, true), (b, false)] {
        let document = atoll.get(&format!("{cluster}/openapi/v2")).await.expect("a document");
        assert_eq!(document["definitions"]["com.example.v1.Thing"].is_object(), knows, "{cluster}");
        assert!(document["definitions"]["io.k8s.api.core.v1.Secret"].is_object(), "{cluster}");
        assert_eq!(document["paths"]["/apis/example.com/v1/things"].is_object(), knows, "{cluster}");
    }
    atoll.stop().await;
}
