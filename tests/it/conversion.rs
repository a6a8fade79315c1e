//! Conversion webhooks: custom objects in the versions clients ask for, and their owners' fields in the versions they know.

use atoll::outbound::{Addresses, Outbound};
use serde_json::{Value, json};

use crate::requests::{DEFINITIONS, definition};
use crate::server::{APPLY_PATCH, Atoll, Client, MERGE_PATCH};
use crate::webhook::Webhook;

const V1: &str = "/apis/it.example.com/v1/namespaces/default/widgets";
const V2: &str = "/apis/it.example.com/v2/namespaces/default/widgets";

/// A server with two clusters whose widgets have an address in one piece in v1, and in two in v2.
async fn two(webhook: &Webhook) -> (Atoll, Client, Client) {
    let outbound = Outbound { addresses: Addresses::Any, services: None };
    let atoll = Atoll::start_with(|builder| builder.outbound(outbound)).await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    let text = json!({"type": "string"});
    let version = |name: &str, spec: Value, is_stored: bool| {
        let spec = json!({"type": "object", "properties": spec});
        json!({"name": name, "served": true, "storage": is_stored,
               "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}})
    };
    let versions =
        json!([version("v1", json!({"at": text}), true), version("v2", json!({"host": text, "port": text}), false)]);
    let mut definition = definition("string");
    definition["spec"]["versions"] = versions;
    definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "clientConfig": webhook.client_config(), "conversionReviewVersions": ["v1"]}});
    for cluster in [&ours, &theirs] {
        cluster.post(DEFINITIONS, definition.clone()).await.expect(201);
    }
    (atoll, ours, theirs)
}

/// What the webhook answers.
fn convert(request: &Value) -> Value {
    let wanted = request["desiredAPIVersion"].as_str().unwrap_or_default();
    let objects = request["objects"].as_array().cloned().unwrap_or_default();
    let converted = objects.into_iter().map(|mut object| {
        let spec = object["spec"].as_object().cloned().unwrap_or_default();
        let text = |field: &str| spec.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        if wanted.ends_with("v2") && spec.contains_key("at") {
            let at = text("at");
            let (host, port) = at.split_once(':').unwrap_or((&at, ""));
            object["spec"] = json!({"host": host, "port": port});
        } else if wanted.ends_with("v1") && (spec.contains_key("host") || spec.contains_key("port")) {
            object["spec"] = json!({"at": format!("{}:{}", text("host"), text("port"))});
        }
        object["apiVersion"] = wanted.into();
        object
    });
    json!({"result": {"status": "Success"}, "convertedObjects": converted.collect::<Vec<_>>()})
}

fn widget(version: &str, name: &str, spec: Value) -> Value {
    let version = format!("it.example.com/{version}");
    json!({"apiVersion": version, "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn objects_are_read_listed_and_watched_in_the_version_asked_for_in_their_own_cluster() {
    let webhook = Webhook::start(convert).await;
    let (_atoll, ours, theirs) = two(&webhook).await;
    ours.post(V1, widget("v1", "one", json!({"at": "h:1"}))).await.expect(201);
    let made = ours.post(V2, widget("v2", "two", json!({"host": "g", "port": "2"}))).await.expect(201);
    assert_eq!(made["spec"], json!({"host": "g", "port": "2"}));
    assert_eq!(ours.get(&format!("{V1}/two")).await.expect(200)["spec"], json!({"at": "g:2"}));
    let list = ours.get(V2).await.expect(200);
    let specs: Vec<_> = list["items"].as_array().into_iter().flatten().map(|item| &item["spec"]["port"]).collect();
    assert_eq!(specs, ["1", "2"]);
    let mut watch = ours.watch(&format!("{V2}?resourceVersion=0&timeoutSeconds=1")).await;
    let event = watch.next().await.expect("what there is");
    assert_eq!(event["object"]["spec"], json!({"host": "h", "port": "1"}));
    assert_eq!(theirs.get(V2).await.expect(200)["items"], json!([]));
    theirs.get(&format!("{V1}/one")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_change_in_one_version_takes_fields_from_their_owners_in_another() {
    let webhook = Webhook::start(convert).await;
    let (_atoll, ours, _theirs) = two(&webhook).await;
    ours.post(&format!("{V1}?fieldManager=first"), widget("v1", "w", json!({"at": "h:1"}))).await.expect(201);
    let changed = json!({"spec": {"port": "9"}});
    let path = format!("{V2}/w?fieldManager=second");
    let object = ours.patch(&path, MERGE_PATCH, changed).await.expect(200);
    let owned = |object: &Value| -> Vec<Value> {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        entries.map(|entry| json!([entry["manager"], entry["fieldsV1"]])).collect()
    };
    let expected = [json!(["first", {"f:spec": {}}]), json!(["second", {"f:spec": {"f:port": {}}}])];
    assert_eq!(owned(&object), expected);

    let both = |version: &str, spec: Value| widget(version, "w", spec);
    let apply = |version: &str| {
        format!("/apis/it.example.com/{version}/namespaces/default/widgets/w?fieldManager=third&force=true")
    };
    let applied =
        ours.patch(&apply("v2"), APPLY_PATCH, both("v2", json!({"host": "q", "port": "7"}))).await.expect(200);
    assert_eq!(applied["spec"], json!({"host": "q", "port": "7"}));
    // What was applied in v2 stays, since it is what is applied in v1 now.
    let applied = ours.patch(&apply("v1"), APPLY_PATCH, both("v1", json!({"at": "q:7"}))).await.expect(200);
    assert_eq!(applied["spec"], json!({"at": "q:7"}));
    let read = ours.get(&format!("{V2}/w")).await.expect(200);
    assert_eq!(read["spec"], json!({"host": "q", "port": "7"}));
}

#[tokio::test]
async fn a_webhook_that_fails_is_named_and_nothing_is_written() {
    let webhook = Webhook::start(|_| json!({"result": {"status": "Failed", "message": "no way"}})).await;
    let (_atoll, ours, _theirs) = two(&webhook).await;
    let refusal = ours.post(V2, widget("v2", "w", json!({"host": "g"}))).await.expect(500);
    let told = "conversion webhook for it.example.com/v2, Kind=Widget failed: no way";
    assert_eq!(refusal["message"], told);
    ours.get(&format!("{V1}/w")).await.refused(404, "NotFound");
    // Its own version needs nobody.
    ours.post(V1, widget("v1", "w", json!({"at": "h:1"}))).await.expect(201);
    assert_eq!(
        ours.get(&format!("{V2}/w")).await.expect(500)["message"].as_str().map(|m| m.contains("no way")),
        Some(true)
    );
}
