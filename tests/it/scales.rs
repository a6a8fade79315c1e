//! The `scale` subresource of built-in and custom kinds, compared with a real kube-apiserver 1.36 beyond what is recorded.

use http::Method;
use serde_json::{Value, json};

use crate::requests::{DEFINITIONS, things};
use crate::server::{APPLY_PATCH, Atoll, Client, MERGE_PATCH};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const THINGS: &str = "/apis/scaled.example.com/v1/namespaces/default/things";
const UNREGISTERED: &str = "no kind is registered for the type v1.Scale in scheme \"pkg/runtime/scheme.go:111\"";

/// A cluster with a deployment and a thing, both called `a`, whose replicas nobody owns.
async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    let subresources = json!({"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}});
    client.post(DEFINITIONS, things("scaled.example.com", subresources)).await.expect(201);
    let thing = json!({"apiVersion": "scaled.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {}});
    client.post(THINGS, thing).await.expect(201);
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    client.patch(&format!("{DEPLOYMENTS}/a?fieldManager=app"), APPLY_PATCH, deployment).await.expect(201);
    (atoll, client)
}

fn scale(replicas: u32) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": replicas}})
}

fn scalers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let of_scale = entries.filter(|entry| entry["subresource"] == "scale");
    of_scale.filter_map(|entry| entry["manager"].as_str()).collect()
}

#[tokio::test]
async fn who_scales_owns_the_replicas_if_somebody_did_before() {
    let (_atoll, client) = team().await;
    for (things, field) in [(DEPLOYMENTS, "replicas"), (THINGS, "n")] {
        let path = format!("{things}/a/scale?fieldManager=scaler");
        client.put(&path, scale(3)).await.expect(200);
        let object = client.get(&format!("{things}/a")).await.expect(200);
        assert_eq!((scalers(&object), &object["spec"][field]), (vec![], &json!(3)), "{things}");
        client.patch(&format!("{things}/a"), MERGE_PATCH, json!({"spec": {field: 4}})).await.expect(200);
        client.put(&path, scale(5)).await.expect(200);
        let object = client.get(&format!("{things}/a")).await.expect(200);
        assert_eq!((scalers(&object), &object["spec"][field]), (vec!["scaler"], &json!(5)), "{things}");
    }
}

#[tokio::test]
async fn a_scale_is_read_as_what_it_is() {
    let (_atoll, client) = team().await;
    let path = format!("{DEPLOYMENTS}/a/scale");
    // It need not say what it is.
    let bare = json!({"metadata": {"name": "a"}, "spec": {"replicas": 2}});
    assert_eq!(client.put(&path, bare.clone()).await.expect(200)["spec"]["replicas"], 2);
    client.put(&format!("{THINGS}/a/scale"), bare).await.expect(200);
    let with = |pointer: &str, value: Value| {
        let mut scale = scale(1);
        *scale.pointer_mut(pointer).expect("a field of a Scale") = value;
        scale
    };
    let cannot = |why: &str| format!("Scale in version \"v1\" cannot be handled as a Scale: {why}");
    for (body, told) in [
        (
            with("/spec/replicas", "x".into()),
            cannot("json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32"),
        ),
        (with("/spec", json!([])), cannot("json: cannot unmarshal array into Go struct field Scale.spec of type v1.ScaleSpec")),
        (
            with("/metadata/name", 5.into()),
            cannot("json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"),
        ),
        (
            with("/apiVersion", "autoscaling/v2".into()),
            "Scale in version \"v2\" cannot be handled as a Scale: no kind \"Scale\" is registered for version \"autoscaling/v2\" in scheme \"pkg/runtime/scheme.go:111\"".to_owned(),
        ),
    ] {
        let refused = client.put(&path, body.clone()).await.refused(400, "BadRequest");
        assert_eq!(refused["message"], told);
        let refused = client.put(&format!("{THINGS}/a/scale"), body).await.refused(400, "BadRequest");
        assert_eq!(refused["message"], UNREGISTERED);
    }
    let unknown = with("/spec", json!({"replicas": 1, "extra": 1}));
    let refused =
        client.put(&format!("{path}?fieldValidation=Strict"), unknown.clone()).await.refused(400, "BadRequest");
    assert_eq!(refused["message"], cannot("strict decoding error: unknown field \"spec.extra\""));
    client.put(&path, unknown).await.expect(200);
    let refused = client.send(Method::PUT, &path, "application/json", "{\"a\"").await.refused(400, "BadRequest");
    let told = refused["message"].as_str().unwrap_or_default();
    assert!(told.starts_with("the object provided is unrecognized (must be of type Scale)"), "{told}");
}

#[tokio::test]
async fn a_scale_must_be_that_of_the_object_in_the_url() {
    let (_atoll, client) = team().await;
    let otherwise = "the namespace of the provided object does not match the namespace sent on the request";
    for things in [DEPLOYMENTS, THINGS] {
        let path = format!("{things}/a/scale");
        client.put(&path, scale(1)).await.expect(200);
        for (metadata, status, reason, told) in [
            (
                json!({"name": "b"}),
                400,
                "BadRequest",
                "the name of the object (b) does not match the name on the URL (a)",
            ),
            (
                json!({"name": ""}),
                400,
                "BadRequest",
                "the name of the object (a based on URL) was undeterminable: name must be provided",
            ),
            (json!({"name": "a", "namespace": "other"}), 400, "BadRequest", otherwise),
            (json!({"name": "a", "uid": "other"}), 409, "Conflict", "Precondition failed: UID in precondition: other"),
        ] {
            let body = json!({"metadata": metadata, "spec": {"replicas": 2}});
            let refused = client.put(&path, body.clone()).await.refused(status, reason);
            assert!(refused["message"].as_str().unwrap_or_default().contains(told), "{refused}");
            if status == 400 {
                client.patch(&path, MERGE_PATCH, body).await.refused(status, reason);
            }
        }
    }
    let nonsense = json!({"spec": []});
    let refused = client.patch(&format!("{THINGS}/a/scale"), MERGE_PATCH, nonsense).await.refused(422, "Invalid");
    assert_eq!(refused["details"]["causes"][0]["field"], "patch");
}

#[tokio::test]
async fn scales_are_shown_as_tables() {
    let (_atoll, client) = team().await;
    for (things, name_format, age_type) in [(DEPLOYMENTS, "", "string"), (THINGS, "name", "date")] {
        let path = format!("{things}/a/scale");
        client.put(&path, scale(3)).await.expect(200);
        let table = client.get_as(&path, "application/json;as=Table;g=meta.k8s.io;v=v1").await.expect(200);
        let told = |column: usize, field: &str| &table["columnDefinitions"][column][field];
        let names: Vec<&Value> = (0..4).map(|column| told(column, "name")).collect();
        assert_eq!(names, ["Name", "Desired", "Available", "Age"]);
        assert_eq!((told(0, "format"), told(3, "type")), (&name_format.into(), &age_type.into()));
        assert_eq!(table["rows"][0]["cells"].as_array().expect("cells")[..3], [json!("a"), json!(3), json!(0)]);
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        let whole = format!("{path}?includeObject=Object");
        let whole = client.get_as(&whole, "application/json;as=Table;g=meta.k8s.io;v=v1").await.expect(200);
        assert_eq!(whole["rows"][0]["object"]["kind"], "Scale");
        let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        client.get_as(&path, list).await.refused(406, "NotAcceptable");
    }
    let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let whole = client.get_as(&format!("{THINGS}/a"), list).await.expect(500);
    assert_eq!(whole["message"], "content is not a list", "the object itself is taken for a list");
}

/// Applies replicas to the Scale of what is at `path`, as a manager with a query of its own.
async fn apply(client: &Client, path: &str, query: &str, config: Value) -> (u16, Value) {
    let answer = client.patch(&format!("{path}/scale?{query}"), APPLY_PATCH, config).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn replicas_are_applied_to_a_scale_with_its_owners() {
    let (_atoll, client) = team().await;
    let path = format!("{DEPLOYMENTS}/a");
    client.patch(&path, MERGE_PATCH, json!({"spec": {"replicas": 2}})).await.expect(200);
    let (code, refused) = apply(&client, &path, "fieldManager=m", scale(5)).await;
    let cause = json!({"reason": "FieldManagerConflict", "field": ".spec.replicas",
        "message": "conflict with \"it\" using autoscaling/v1"});
    assert_eq!((code, &refused["details"]["causes"]), (409, &json!([cause])));
    let owners = [
        ("fieldManager=m&force=true", scale(5), vec!["m"]),
        ("fieldManager=n", scale(5), vec!["m", "n"]),
        (
            "fieldManager=n",
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}}),
            vec!["m"],
        ),
    ];
    for (query, config, expected) in owners {
        let (code, scale) = apply(&client, &path, query, config).await;
        assert_eq!((code, &scale["spec"]["replicas"]), (200, &json!(5)), "{query}: {scale}");
        assert_eq!(scalers(&client.get(&path).await.expect(200)), expected, "{query}");
    }
    apply(&client, &path, "fieldManager=n", scale(5)).await;
    let (code, refused) = apply(&client, &path, "fieldManager=n", scale(6)).await;
    let told = &refused["details"]["causes"][0]["message"];
    assert_eq!((code, told), (409, &json!("conflict with \"m\" with subresource \"scale\"")));
}

#[tokio::test]
async fn a_configuration_that_is_no_scale_or_conflicts_is_not_applied() {
    let (_atoll, client) = team().await;
    let config = |name: &str, spec: Value| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name}, "spec": spec});
    let untyped = "failed to create typed patch object (/a; autoscaling/v1, Kind=Scale)";
    for (body, code, message) in [
        (
            config("a", json!({"replicas": "x"})),
            500,
            format!("{untyped}: .spec.replicas: expected numeric (int or float), got string"),
        ),
        (config("a", json!({"replicas": 5, "y": 1})), 500, format!("{untyped}: .spec.y: field not declared in schema")),
        (
            config("b", json!({"replicas": 1})),
            400,
            "the name of the object (b) does not match the name on the URL (a)".to_owned(),
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}),
            400,
            "invalid object type: apps/v1, Kind=Deployment".to_owned(),
        ),
    ] {
        let (told, refused) = apply(&client, &format!("{DEPLOYMENTS}/a"), "fieldManager=n", body).await;
        assert_eq!((told, &refused["message"]), (code, &json!(message)));
    }
}

#[tokio::test]
async fn the_scale_of_a_custom_resource_is_applied_where_it_changes_nothing() {
    let (_atoll, client) = team().await;
    let path = format!("{THINGS}/a");
    let why = "to proper version: request to convert CR to an invalid group/version: autoscaling/v1";
    client.patch(&path, MERGE_PATCH, json!({"spec": {"n": 2}})).await.expect(200);
    let (code, refused) = apply(&client, &path, "fieldManager=m", scale(5)).await;
    let told = &refused["message"];
    let conflict = "Apply failed with 1 conflict: conflict with \"it\" using autoscaling/v1: .spec.replicas";
    assert_eq!((code, told), (409, &json!(conflict)));
    let (code, refused) = apply(&client, &path, "fieldManager=m&force=true", scale(5)).await;
    let expected = format!("failed to convert new object (/a; autoscaling/v1, Kind=Scale) {why}");
    assert_eq!((code, &refused["message"]), (500, &json!(expected)));
    let (code, shared) = apply(&client, &path, "fieldManager=m", scale(2)).await;
    assert_eq!((code, &shared["spec"]["replicas"]), (200, &json!(2)));
    assert_eq!(scalers(&client.get(&path).await.expect(200)), ["m"]);
}
