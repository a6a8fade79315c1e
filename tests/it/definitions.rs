//! What definitions tell of themselves and what their schemas take, compared with a real kube-apiserver 1.36 beyond what is
//! recorded.

use http::Method;
use serde_json::{Value, json};

use crate::requests::DEFINITIONS;
use crate::server::{APPLY_PATCH, Atoll, Client, MERGE_PATCH};

async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    (atoll, client)
}

/// A definition of things in a group, whose `spec.a` has this schema.
fn definition(group: &str, a: Value) -> Value {
    let spec = json!({"type": "object", "properties": {"a": a}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}]},
    })
}

fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a Value> {
    definition["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn owners(object: &Value) -> String {
    object["metadata"]["managedFields"].to_string()
}

#[tokio::test]
async fn names_that_are_taken_from_a_status_are_granted_again() {
    let (_atoll, client) = team().await;
    client.post(DEFINITIONS, definition("a.example.com", json!({"type": "string"}))).await.expect(201);
    let path = format!("{DEFINITIONS}/things.a.example.com");
    let status = format!("{path}/status");
    let change = json!({"status": {"acceptedNames": {"kind": "Other"}}});
    client.patch(&status, MERGE_PATCH, change).await.expect(200);
    let told = client.get(&path).await.expect(200);
    assert_eq!(told["status"]["acceptedNames"]["kind"], "Thing");
    // Conditions are not, as long as the names are what they should be.
    let change = json!({"status": {"conditions": []}});
    assert_eq!(client.patch(&status, MERGE_PATCH, change).await.expect(200)["status"]["conditions"], json!([]));
    assert_eq!(client.get(&path).await.expect(200)["status"]["conditions"], json!([]));
    let accepted = json!({"type": "NamesAccepted", "status": "True", "reason": "R", "message": "m"});
    client.patch(&status, MERGE_PATCH, json!({"status": {"conditions": [accepted]}})).await.expect(200);
    let told = client.get(&path).await.expect(200);
    assert_eq!(condition(&told, "Established").expect("told")["status"], "True", "{told}");
}

#[tokio::test]
async fn approvals_of_protected_groups_are_told() {
    let (_atoll, client) = team().await;
    let mut wanted = definition("a.k8s.io", json!({"type": "string"}));
    wanted["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, a test"});
    client.post(DEFINITIONS, wanted).await.expect(201);
    let path = format!("{DEFINITIONS}/things.a.k8s.io");
    for (annotation, status, reason, message) in [
        ("unapproved, a test", "False", "UnapprovedAnnotation", "not approved: \"unapproved, a test\""),
        ("https://example.com/1", "True", "ApprovedAnnotation", "approved in https://example.com/1"),
        ("unapproved", "False", "UnapprovedAnnotation", "not approved: \"unapproved\""),
    ] {
        let change = json!({"metadata": {"annotations": {"api-approved.kubernetes.io": annotation}}});
        client.patch(&path, MERGE_PATCH, change).await.expect(200);
        let told = client.get(&path).await.expect(200);
        let told = condition(&told, "KubernetesAPIApprovalPolicyConformant").expect("told");
        assert_eq!(
            (&told["status"], &told["reason"], &told["message"]),
            (&status.into(), &reason.into(), &message.into())
        );
    }
    client.post(DEFINITIONS, definition("a.example.com", json!({"type": "string"}))).await.expect(201);
    let told = client.get(&format!("{DEFINITIONS}/things.a.example.com")).await.expect(200);
    assert!(condition(&told, "KubernetesAPIApprovalPolicyConformant").is_none(), "{told}");
}

#[tokio::test]
async fn owners_in_a_version_that_is_not_served_any_more_are_kept() {
    let (_atoll, client) = team().await;
    let mut wanted = definition("a.example.com", json!({"type": "string"}));
    let mut second = wanted["spec"]["versions"][0].clone();
    (second["name"], second["storage"]) = ("v2".into(), false.into());
    wanted["spec"]["versions"].as_array_mut().expect("versions").push(second);
    client.post(DEFINITIONS, wanted).await.expect(201);
    let thing = |version: &str| {
        json!({"apiVersion": format!("a.example.com/{version}"), "kind": "Thing", "metadata": {"name": "t"},
            "spec": {"a": version}})
    };
    let path =
        |version: &str| format!("/apis/a.example.com/{version}/namespaces/default/things/t?fieldManager={version}");
    client.patch(&path("v2"), APPLY_PATCH, thing("v2")).await.expect(201);
    let unserve = json!([{"op": "replace", "path": "/spec/versions/1/served", "value": false}]);
    let definition = format!("{DEFINITIONS}/things.a.example.com");
    client.patch(&definition, "application/json-patch+json", unserve).await.expect(200);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let changed = client.patch(&path("v1"), MERGE_PATCH, labels).await.expect(200);
    assert!(owners(&changed).contains("a.example.com/v2"), "{changed}");
    let refused = client.patch(&path("v1"), APPLY_PATCH, thing("v1")).await.refused(409, "Conflict");
    assert_eq!(refused["details"]["causes"][0]["field"], ".spec.a");
}

#[tokio::test]
async fn a_definition_that_wants_a_name_twice_does_not_get_it() {
    let (_atoll, client) = team().await;
    client.post(DEFINITIONS, definition("a.example.com", json!({"type": "string"}))).await.expect(201);
    let path = format!("{DEFINITIONS}/things.a.example.com");
    for (names, reason, message) in [
        (json!({"shortNames": ["things", "t"]}), "ShortNamesConflict", "\"things\" is already in use"),
        (json!({"shortNames": null, "listKind": "Thingies"}), "NoConflicts", "no conflicts found"),
        (json!({"shortNames": ["t"], "singular": "things"}), "SingularConflict", "\"things\" is already in use"),
    ] {
        client.patch(&path, MERGE_PATCH, json!({"spec": {"names": names}})).await.expect(200);
        let told = client.get(&path).await.expect(200);
        let told = condition(&told, "NamesAccepted").expect("told");
        assert_eq!((&told["reason"], &told["message"]), (&reason.into(), &message.into()));
    }
}

#[tokio::test]
async fn names_that_are_emptied_are_defaulted_and_stay_owned() {
    let (_atoll, client) = team().await;
    client.post(DEFINITIONS, definition("a.example.com", json!({"type": "string"}))).await.expect(201);
    let path = format!("{DEFINITIONS}/things.a.example.com");
    client.patch(&path, MERGE_PATCH, json!({"spec": {"names": {"singular": "thingy"}}})).await.expect(200);
    let changed = client.patch(&path, MERGE_PATCH, json!({"spec": {"names": {"singular": ""}}})).await.expect(200);
    assert_eq!(changed["spec"]["names"]["singular"], "thing");
    assert!(owners(&changed).contains("\"f:singular\":{}"), "{changed}");
}

#[tokio::test]
async fn a_definition_without_objects_whose_end_is_held_up_tells_so() {
    let (_atoll, client) = team().await;
    let mut wanted = definition("a.example.com", json!({"type": "string"}));
    wanted["metadata"]["finalizers"] = json!(["example.com/held"]);
    client.post(DEFINITIONS, wanted).await.expect(201);
    let path = format!("{DEFINITIONS}/things.a.example.com");
    client.delete(&path).await.expect(200);
    let told = client.get(&path).await.expect(200);
    let told = condition(&told, "Terminating").expect("told");
    assert_eq!((&told["status"], &told["reason"]), (&"False".into(), &"InstanceDeletionCompleted".into()));
}

#[tokio::test]
async fn numbers_are_kept_and_compared_as_floats() {
    let (_atoll, client) = team().await;
    let number = json!({"type": "number", "maximum": 123_456_789_012_345_678_u64, "minimum": -1.5, "multipleOf": 1e16});
    let made = client.post(DEFINITIONS, definition("a.example.com", number)).await.expect(201);
    let a = &made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["a"];
    assert_eq!(a["maximum"].to_string(), "123456789012345680");
    assert_eq!((a["minimum"].to_string(), a["multipleOf"].to_string()), ("-1.5".into(), "10000000000000000".into()));
    // What does not fit an integer becomes the least of all when it is compared with one.
    let wrong = definition("b.example.com", json!({"type": "number", "maximum": 1e20, "default": 0}));
    let refused = client.post(DEFINITIONS, wrong).await.refused(422, "Invalid");
    let told = refused["message"].as_str().unwrap_or_default();
    assert!(told.ends_with("should be less than or equal to -9223372036854775808"), "{told}");
}

#[tokio::test]
async fn a_default_may_be_what_no_integer_or_string_is() {
    let (_atoll, client) = team().await;
    for (index, default) in [json!(5.5), json!(true), json!([])].into_iter().enumerate() {
        let group = format!("g{index}.example.com");
        let a = json!({"x-kubernetes-int-or-string": true, "default": default});
        client.post(DEFINITIONS, definition(&group, a)).await.expect(201);
        let thing = |spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": {"name": "a"}, "spec": spec});
        let things = format!("/apis/{group}/v1/namespaces/default/things");
        let refused = client.post(&things, thing(json!({}))).await.refused(422, "Invalid");
        assert_eq!(refused["details"]["causes"][0]["field"], "spec.a", "{refused}");
        client.post(&things, thing(json!({"a": 5}))).await.expect(201);
    }
}

#[tokio::test]
async fn bodies_of_custom_resources_that_are_no_objects_are_told_like_others() {
    let (_atoll, client) = team().await;
    client.post(DEFINITIONS, definition("a.example.com", json!({"type": "string"}))).await.expect(201);
    let things = "/apis/a.example.com/v1/namespaces/default/things";
    for (body, told) in [
        ("{\"a\"", "couldn't get version/kind; json parse error: unexpected end of JSON input ({\"a\")"),
        ("", "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)"),
        ("null", "Object 'Kind' is missing in 'null' (6e756c6c)"),
        (
            "{\"apiVersion\":1}",
            "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .apiVersion of type string ({\"apiVersion\":1})",
        ),
    ] {
        let refused = client.send(Method::POST, things, "application/json", body).await.refused(400, "BadRequest");
        assert_eq!(refused["message"], format!("the object provided is unrecognized (must be of type Thing): {told}"));
    }
    let refused = client.send(Method::POST, things, "application/json", "[]").await.refused(400, "BadRequest");
    let told = refused["message"].as_str().unwrap_or_default();
    assert!(told.contains("json: cannot unmarshal array into Go value of type struct {"), "{told}");
}

#[tokio::test]
async fn schemas_of_items_and_values_are_read_as_strictly_as_others() {
    let (_atoll, client) = team().await;
    let at = "JSONSchemaProps.spec.versions.schema.openAPIV3Schema.properties.properties";
    for (a, told) in [
        (
            json!({"type": "array", "items": {"type": 5}}),
            format!("json: cannot unmarshal number into Go struct field {at}.items.type of type string"),
        ),
        (
            json!({"type": "array", "items": {"type": "string", "maxLength": 1.5}}),
            format!("json: cannot unmarshal number 1.5 into Go struct field {at}.items.maxLength of type int64"),
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "object", "properties": {"b": 5}}}),
            format!(
                "json: cannot unmarshal number into Go struct field {at}.additionalProperties.properties of type v1.JSONSchemaProps"
            ),
        ),
        (json!({"type": "object", "additionalProperties": 5}), "boolean or JSON schema expected".to_owned()),
    ] {
        let refused = client.post(DEFINITIONS, definition("a.example.com", a)).await.refused(400, "BadRequest");
        let cannot = "CustomResourceDefinition in version \"v1\" cannot be handled as a CustomResourceDefinition";
        assert_eq!(refused["message"], format!("{cannot}: {told}"));
    }
    let nothing = json!({"type": "array", "items": true});
    let refused = client.post(DEFINITIONS, definition("a.example.com", nothing)).await.refused(422, "Invalid");
    assert!(refused["message"].as_str().unwrap_or_default().ends_with("items: Required value: must be specified"));
    let fine = json!({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}});
    client.post(DEFINITIONS, definition("a.example.com", fine)).await.expect(201);
}
