//! What a patch, an apply or the options of a deletion may say of the type of what they are about, compared with a real
//! kube-apiserver 1.36 beyond what is recorded.

use http::Method;
use serde_json::{Value, json};

use crate::requests::{CONFIG_MAPS, DEFINITIONS, things};
use crate::server::{APPLY_PATCH, Atoll, Client, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH};

const THINGS: &str = "/apis/typed.example.com/v1/namespaces/default/things";

/// A cluster with a thing and a config map, both called `a`.
async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    let subresources = json!({"status": {}});
    client.post(DEFINITIONS, things("typed.example.com", subresources)).await.expect(201);
    let thing = json!({"apiVersion": "typed.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}});
    client.post(THINGS, thing).await.expect(201);
    client.post(CONFIG_MAPS, json!({"metadata": {"name": "a"}})).await.expect(201);
    (atoll, client)
}

/// The fields and messages of the causes of a refusal, without the patched document that stands in front of some.
fn causes(status: &Value) -> Vec<(String, String)> {
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let told = |cause: &Value| {
        let message = cause["message"].as_str().unwrap_or_default();
        let short = message.rsplit_once("}\": ").map_or(message, |(_, why)| why);
        (cause["field"].as_str().unwrap_or_default().to_owned(), short.to_owned())
    };
    causes.map(told).collect()
}

#[tokio::test]
async fn a_patched_custom_object_is_judged_by_the_type_it_says() {
    let (_atoll, client) = team().await;
    let number = "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string";
    let nothing = "Object 'apiVersion' is missing in 'object has no apiVersion field'";
    let check = async |patch: Value, code: u16, expected: &[(&str, &str)]| {
        let refused = client.patch(&format!("{THINGS}/a"), MERGE_PATCH, patch.clone()).await.expect(code);
        let expected: Vec<_> = expected.iter().map(|(field, why)| ((*field).to_owned(), (*why).to_owned())).collect();
        assert_eq!(causes(&refused), expected, "{patch}");
    };
    let other_kind = ("kind", "Invalid value: \"X\": must be Thing");
    check(json!({"kind": "X"}), 422, &[other_kind]).await;
    check(json!({"apiVersion": "v1"}), 422, &[("apiVersion", "Invalid value: \"v1\": must be typed.example.com/v1")])
        .await;
    let other_version = ("apiVersion", "Invalid value: \"v2\": must be typed.example.com/v1");
    check(json!({"apiVersion": "v2", "kind": "X"}), 422, &[other_kind, other_version]).await;
    check(json!({"kind": 1}), 422, &[("patch", number)]).await;
    check(json!({"apiVersion": "a/b/c"}), 422, &[("patch", "unexpected GroupVersion string: a/b/c")]).await;
    check(json!({"apiVersion": null}), 500, &[("", nothing)]).await;
    let other = client.patch(&format!("{THINGS}/a"), MERGE_PATCH, json!({"apiVersion": "b/v2", "kind": "X"})).await;
    let details = &other.refused(422, "Invalid")["details"];
    assert_eq!((&details["name"], &details["group"], &details["kind"]), (&json!("a"), &json!("b"), &json!("X")));
    // Nobody but the main strategy looks at it.
    let status = json!({"apiVersion": "v1", "kind": "X", "status": {"a": 1}});
    let written = client.patch(&format!("{THINGS}/a/status"), MERGE_PATCH, status).await.expect(200);
    assert_eq!((&written["apiVersion"], &written["kind"]), (&json!("typed.example.com/v1"), &json!("Thing")));
    assert_eq!(written["status"], json!({"a": 1}));
}

#[tokio::test]
async fn a_patched_built_in_object_is_of_a_known_type_unless_the_patch_goes_into_the_go_type() {
    let (_atoll, client) = team().await;
    let path = format!("{CONFIG_MAPS}/a");
    let remade = json!([{"op": "replace", "path": "/kind", "value": 1}]);
    client.patch(&path, JSON_PATCH, remade).await.refused(422, "Invalid");
    for patch in
        [json!({"kind": 1}), json!({"apiVersion": []}), json!({"kind": "Secret"}), json!({"apiVersion": "a/b/c"})]
    {
        client.patch(&path, MERGE_PATCH, patch).await.refused(422, "Invalid");
    }
    for patch in [json!({"kind": "Secret"}), json!({"apiVersion": "a/b/c"}), json!({"kind": null})] {
        let written = client.patch(&path, STRATEGIC_PATCH, patch.clone()).await.expect(200);
        assert_eq!((&written["apiVersion"], &written["kind"]), (&json!("v1"), &json!("ConfigMap")), "{patch}");
    }
    let refused = client.patch(&path, STRATEGIC_PATCH, json!({"kind": 1})).await.refused(422, "Invalid");
    let why = "Invalid value: \"map[kind:1]\": cannot convert int64 to string".to_owned();
    assert_eq!(causes(&refused), [("patch".to_owned(), why)]);
}

#[tokio::test]
async fn an_applied_configuration_says_which_type_it_is_not() {
    let (_atoll, client) = team().await;
    let check = async |path: &str, given: (Value, Value), shown: &str| {
        let config = json!({"apiVersion": given.0, "kind": given.1, "metadata": {"name": "a"}});
        let refused = client.patch(&format!("{path}?fieldManager=m"), APPLY_PATCH, config).await;
        assert_eq!(refused.refused(400, "BadRequest")["message"], format!("invalid object type: {shown}"));
    };
    for path in [format!("{THINGS}/a"), format!("{THINGS}/a/status"), format!("{CONFIG_MAPS}/a")] {
        check(&path, (json!("v1"), json!("Secret")), "/v1, Kind=Secret").await;
        check(&path, (json!("typed.example.com/v2"), json!("Thing")), "typed.example.com/v2, Kind=Thing").await;
        check(&path, (Value::Null, json!("Thing")), "/, Kind=Thing").await;
        check(&path, (json!("v1"), json!(1)), "/v1, Kind=").await;
        check(&path, (json!("a/b/c"), json!("Thing")), "/, Kind=").await;
    }
    // What an apply cannot make must be there before it is read.
    let config = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "new"}});
    let absent = client.patch(&format!("{THINGS}/new/status?fieldManager=m"), APPLY_PATCH, config).await;
    absent.refused(404, "NotFound");
}

#[tokio::test]
async fn options_of_a_deletion_are_an_object_or_nothing() {
    let (_atoll, client) = team().await;
    let path = format!("{CONFIG_MAPS}/a");
    let send = async |options: Value| client.send(Method::DELETE, &path, "application/json", options.to_string()).await;
    let check = async |options: Value, why: &str| {
        let refused = send(options).await.refused(400, "BadRequest");
        assert_eq!(
            refused["message"],
            format!("couldn't get version/kind; json parse error: json: cannot unmarshal {why}")
        );
    };
    let fields =
        r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
    check(json!([]), &format!("array into Go value of type {fields}")).await;
    check(json!("x"), &format!("string into Go value of type {fields}")).await;
    check(json!({"kind": 1}), "number into Go struct field .kind of type string").await;
    check(json!({"apiVersion": []}), "array into Go struct field .apiVersion of type string").await;
    send(Value::Null).await.expect(200);
}
