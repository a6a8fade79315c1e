//! What kube-apiserver 1.36 answers to less usual writes and reads of many kinds: compared with a real one, beyond what is recorded.

use http::Method;
use serde_json::{Value, json};

use crate::requests::{CONFIG_MAPS, DEFINITIONS};
use crate::server::{APPLY_PATCH, Atoll, Client, MERGE_PATCH};

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";
const PODS_AS_TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    (atoll, client)
}

/// Defines things of two versions, of which one has the field `spec.one` and the other `spec.two`, both with defaults.
async fn define_things(client: &Client, columns: Value) {
    let version = |name: &str, field: &str| {
        let list = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        let spec = json!({"type": "object", "properties": {
            "list": list, "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "numbers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            field: {"type": "string", "default": "D"}}});
        json!({"name": name, "served": true, "storage": name == "v1", "additionalPrinterColumns": columns,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}})
    };
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.fidelity.example.com"},
        "spec": {"group": "fidelity.example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [version("v1", "one"), version("v2", "two")]},
    });
    client.post(DEFINITIONS, definition).await.expect(201);
}

fn things(version: &str) -> String {
    format!("/apis/fidelity.example.com/{version}/namespaces/default/things")
}

fn thing(version: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("fidelity.example.com/{version}"), "kind": "Thing", "metadata": {"name": "a"}, "spec": spec})
}

#[tokio::test]
async fn applied_nulls_of_custom_resources_are_judged_like_other_values() {
    let (_atoll, client) = team().await;
    define_things(&client, json!([])).await;
    let path = format!("{}/a?fieldManager=one", things("v1"));
    for (spec, faulty) in [
        (json!({"map": {"a": null}}), "spec.map.a"),
        (json!({"map": null}), "spec.map"),
        (json!({"list": null}), "spec.list"),
    ] {
        let refused = client.patch(&path, APPLY_PATCH, thing("v1", spec)).await.refused(422, "Invalid");
        assert_eq!(refused["details"]["causes"][0]["field"], faulty, "{refused}");
    }
    let made = client.patch(&path, APPLY_PATCH, thing("v1", json!({"one": null, "map": {"a": "b"}}))).await.expect(201);
    assert_eq!(made["spec"], json!({"one": "D", "map": {"a": "b"}}), "null takes a default");
    let emptied = client.patch(&path, APPLY_PATCH, thing("v1", json!({"map": null}))).await.expect(200);
    assert_eq!(emptied["spec"]["map"], json!({}), "a map of which all is taken is empty");
}

#[tokio::test]
async fn numbers_without_a_fraction_are_applied_as_integers() {
    let (_atoll, client) = team().await;
    define_things(&client, json!([])).await;
    let path = format!("{}/a?fieldManager=one", things("v1"));
    let body =
        r#"{"apiVersion":"fidelity.example.com/v1","kind":"Thing","metadata":{"name":"a"},"spec":{"numbers":[1.0]}}"#;
    let made = client.send(Method::PATCH, &path, APPLY_PATCH, body).await.expect(201);
    assert_eq!(made["spec"]["numbers"].to_string(), "[1]");
    let owned = &made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:numbers"];
    assert_eq!(*owned, json!({"v:1": {}}));
}

#[tokio::test]
async fn what_was_written_in_one_version_has_the_defaults_of_the_other() {
    let (_atoll, client) = team().await;
    define_things(&client, json!([])).await;
    client.post(&things("v2"), thing("v2", json!({}))).await.expect(201);
    let read = client.get(&format!("{}/a", things("v1"))).await.expect(200);
    assert_eq!(read["spec"]["one"], "D", "{read}");
}

#[tokio::test]
async fn columns_show_what_json_paths_lead_to() {
    let (_atoll, client) = team().await;
    let spec = json!({"any": {"l": [1, 2, 3], "n": null, "o": {"a.b": "dot"}, "lo": [{"k": "x", "v": 1}, {"k": "y", "v": "z"}],
        "big": 1e30, "s": "text"}});
    let cells = [
        ("string", ".spec.any.n", json!("<no value>")),
        ("string", ".spec.any.l[1,2]", json!("2")),
        ("string", ".spec.any.l[]", json!("1")),
        ("string", ".spec.any.l[::0]", json!(null)),
        ("string", ".spec.any.l[7]", json!(null)),
        ("string", ".spec.any['s','l']", json!("text")),
        ("string", ".spec.any.o['a.b']", json!(null)),
        ("string", ".spec.any.o['a\\.b']", json!("dot")),
        ("string", ".spec.any.lo[?(@.k==\"y\")].v", json!("z")),
        ("string", ".spec.any.lo[?(@.v>0)].k", json!(null)),
        ("string", ".spec.any.s}", json!("text")),
        ("integer", ".spec.any.big", json!(i64::MIN)),
    ];
    let columns = cells
        .iter()
        .enumerate()
        .map(|(i, (kind, path, _))| json!({"name": format!("c{i}"), "type": kind, "jsonPath": path}));
    define_things(&client, columns.collect()).await;
    client.post(&things("v1"), thing("v1", spec)).await.expect(201);
    let table = client.get_as(&format!("{}/a", things("v1")), PODS_AS_TABLE).await.expect(200);
    for (index, (kind, path, expected)) in cells.iter().enumerate() {
        assert_eq!(table["rows"][0]["cells"][index + 1], *expected, "{kind} {path}");
    }
}

#[tokio::test]
async fn an_apply_that_does_not_fit_the_kind_is_told_as_kubernetes_tells_it() {
    let (_atoll, client) = team().await;
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let refused = client.patch(&format!("{CONFIG_MAPS}/a?fieldManager=one"), APPLY_PATCH, nameless).await;
    let why = "the name of the object (a based on URL) was undeterminable: name must be provided";
    assert_eq!(refused.refused(400, "BadRequest")["message"], why);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi1"}}}});
    let path = "/api/v1/namespaces/default/persistentvolumeclaims/a?fieldManager=one";
    let refused = client.patch(path, APPLY_PATCH, claim).await.expect(500);
    let kind = "/v1, Kind=PersistentVolumeClaim";
    let why = format!(
        "failed to convert new object (/a; {kind}) to proper version: unable to convert unstructured object to {kind}: "
    );
    assert!(refused["message"].as_str().is_some_and(|message| message.starts_with(&why)), "{refused}");
}

#[tokio::test]
async fn deleting_a_job_warns_of_pods_that_are_left_behind() {
    let (_atoll, client) = team().await;
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    let job = |name: &str| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": pod}}})
    };
    for (name, options, warned) in
        [("a", "", true), ("b", "?propagationPolicy=Background", false), ("c", "?orphanDependents=true", false)]
    {
        client.post(JOBS, job(name)).await.expect(201);
        let changed = json!({"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}});
        let refused = client.patch(&format!("{JOBS}/{name}"), MERGE_PATCH, changed).await.refused(422, "Invalid");
        assert_eq!(refused["details"]["causes"][0]["field"], "spec.template", "{refused}");
        let deleted = client.delete(&format!("{JOBS}/{name}{options}")).await;
        assert_eq!(deleted.headers.contains_key("warning"), warned, "{name} {options}");
        deleted.expect(200);
    }
}

#[tokio::test]
async fn rows_of_pods_tell_that_they_are_done_and_managers_own_times_that_are_null() {
    let (_atoll, client) = team().await;
    let account = json!({"metadata": {"name": "default"}});
    client.post("/api/v1/namespaces/default/serviceaccounts", account).await;
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    client.post(PODS, pod).await.expect(201);
    for (phase, completed) in [("Running", Value::Null), ("Failed", json!("Failed")), ("Succeeded", json!("Succeeded"))]
    {
        let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}});
        let changed = client.patch(&format!("{PODS}/a/status"), MERGE_PATCH, status).await.expect(200);
        let text = changed["metadata"]["managedFields"].to_string();
        assert!(text.contains("f:lastProbeTime"), "{text}");
        let table = client.get_as(&format!("{PODS}/a"), PODS_AS_TABLE).await.expect(200);
        assert_eq!(table["rows"][0]["conditions"][0]["reason"], completed, "{phase}");
    }
}

#[tokio::test]
async fn the_one_range_of_a_node_rules_the_list_of_them() {
    let (_atoll, client) = team().await;
    let node = |one: &str, all: Value| json!({"metadata": {"name": "n"}, "spec": {"podCIDR": one, "podCIDRs": all}});
    let nodes = "/api/v1/nodes";
    client.post(nodes, node("10.1.0.0/24", json!(["10.1.0.0/24"]))).await.expect(201);
    let kept = client.put("/api/v1/nodes/n", node("10.1.0.0/24", json!([""]))).await.expect(200);
    assert_eq!(kept["spec"]["podCIDRs"], json!(["10.1.0.0/24"]));
    let refused = client.put("/api/v1/nodes/n", node("bad", json!(["10.1.0.0/24"]))).await.refused(422, "Invalid");
    let fields = refused["details"]["causes"]
        .as_array()
        .map(|causes| causes.iter().map(|cause| cause["field"].clone()).collect());
    let fields: Vec<Value> = fields.unwrap_or_default();
    assert!(fields.contains(&json!("spec.podCIDRs[0]")) && fields.contains(&json!("spec.podCIDRs")), "{refused}");
}
