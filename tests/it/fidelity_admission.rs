//! What kube-apiserver 1.36 does to writes on their way: policies, PodSecurity, quotas, shown objects. Compared with a real
//! one, beyond what is recorded.

use serde_json::{Value, json};

use crate::requests::{CONFIG_MAPS, DEFINITIONS, things};
use crate::server::{Atoll, Client, MERGE_PATCH, eventually};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const POLICY_BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    (atoll, client)
}

/// Lets a policy with this mutation change config maps with the label `changed`, and waits until it does.
async fn mutate_config_maps(client: &Client, mutation: Value, reinvocation: &str) {
    let rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]});
    let spec = json!({"reinvocationPolicy": reinvocation, "mutations": [mutation], "matchConstraints": {
        "resourceRules": [rule], "objectSelector": {"matchLabels": {"changed": "yes"}}}});
    client.post(POLICIES, json!({"metadata": {"name": "p"}, "spec": spec})).await.expect(201);
    client.post(POLICY_BINDINGS, json!({"metadata": {"name": "b"}, "spec": {"policyName": "p"}})).await.expect(201);
}

fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"changed": "yes"}}, "data": {"n": "5"}})
}

fn overlay(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

#[tokio::test]
async fn a_policy_that_changes_something_is_asked_again_if_it_wants_to() {
    for (reinvocation, expected) in [("Never", "51"), ("IfNeeded", "511")] {
        let (_atoll, client) = team().await;
        mutate_config_maps(&client, overlay("Object{data: {'n': object.data.n + '1'}}"), reinvocation).await;
        let made = client.post(CONFIG_MAPS, config_map("a")).await.expect(201);
        assert_eq!(made["data"]["n"], expected, "{reinvocation}");
    }
}

#[tokio::test]
async fn what_policies_make_of_objects_is_read_strictly() {
    for (mutation, status, told) in [
        (
            patch("[JSONPatch{op: 'add', path: '/nope', value: '1'}]"),
            500,
            "strict decoding error: unknown field \"nope\"",
        ),
        (
            patch("[JSONPatch{op: 'add', path: '/data/x', value: 1}]"),
            500,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            patch("[JSONPatch{op: 'remove', path: '/data/nope'}]"),
            403,
            "JSON Patch: error in remove for path: '/data/nope': Unable to remove nonexistent key: nope: missing value",
        ),
        (
            patch("[JSONPatch{op: 'add'}]"),
            403,
            "JSON Patch: add operation does not apply: doc is missing path: \"\": missing value",
        ),
        (
            overlay("Object{metadata: Object.metadata{resourceVersion: '1'}}"),
            500,
            "resourceVersion should not be set on objects to be created",
        ),
    ] {
        let (_atoll, client) = team().await;
        mutate_config_maps(&client, mutation, "Never").await;
        let refused = client.post(CONFIG_MAPS, config_map("a")).await.expect(status);
        let message = refused["message"].as_str().unwrap_or_default();
        assert!(message.ends_with(told), "{message}");
    }
}

#[tokio::test]
async fn profiles_in_annotations_of_pods_become_fields() {
    let (_atoll, client) = team().await;
    let key = "container.apparmor.security.beta.kubernetes.io/c";
    let pod = |profile: &str, fields: Value| {
        json!({"metadata": {"name": "a", "annotations": {key: profile}},
            "spec": {"containers": [{"name": "c", "image": "i", "securityContext": fields}]}})
    };
    for (profile, given, expected, warns) in [
        ("unconfined", json!({}), json!({"type": "Unconfined"}), true),
        ("localhost/x", json!({}), json!({"type": "Localhost", "localhostProfile": "x"}), true),
        ("nonsense", json!({}), Value::Null, true),
        (
            "unconfined",
            json!({"appArmorProfile": {"type": "RuntimeDefault"}}),
            json!({"type": "RuntimeDefault"}),
            false,
        ),
    ] {
        let answer = client.post("/api/v1/namespaces/default/pods?dryRun=All", pod(profile, given)).await;
        let warned = answer.headers.get_all("warning").iter().any(|warning| {
            let told = String::from_utf8_lossy(warning.as_bytes()).into_owned();
            told.contains("deprecated since v1.30")
        });
        assert_eq!(warned, warns, "{profile}");
        let made = answer.expect(201);
        assert_eq!(made["spec"]["containers"][0]["securityContext"]["appArmorProfile"], expected, "{profile}");
    }
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
    client.patch("/api/v1/namespaces/default", MERGE_PATCH, labels).await.expect(200);
    let refused = eventually("the level to hold", || async {
        let answer = client.post("/api/v1/namespaces/default/pods?dryRun=All", pod("unconfined", json!({}))).await;
        (answer.status == 403).then(|| answer.json())
    });
    let told = refused.await["message"].to_string();
    assert!(told.contains("container \\\"c\\\" and annotation must not set AppArmor profile type"), "{told}");
}

#[tokio::test]
async fn tables_show_what_kubernetes_shows() {
    let (_atoll, client) = team().await;
    let path = "/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities";
    client.post(path, json!({"metadata": {"name": "a"}, "storageClassName": "s", "capacity": "1Gi"})).await.expect(201);
    let table = client.get_as(path, TABLE).await.expect(200);
    let columns: Vec<&str> =
        table["columnDefinitions"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(columns, ["Name", "Created At"]);
    let spec = json!({"policyName": "p", "paramRef": {"selector": {"matchLabels": {"a": "b"}},
        "parameterNotFoundAction": "Deny"}});
    client.post(POLICY_BINDINGS, json!({"metadata": {"name": "b"}, "spec": spec})).await.expect(201);
    let table = client.get_as(POLICY_BINDINGS, TABLE).await.expect(200);
    let expected =
        "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}";
    assert_eq!(table["rows"][0]["cells"][2], expected);
}

#[tokio::test]
async fn a_quotas_selector_is_shown_as_kubernetes_has_it_inside() {
    let (_atoll, client) = team().await;
    let spec = json!({"hard": {"services": "1"}, "scopeSelector": {"matchExpressions": [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["x"]}]}});
    let path = "/api/v1/namespaces/default/resourcequotas";
    let refused = client.post(path, json!({"metadata": {"name": "q"}, "spec": spec})).await.refused(422, "Invalid");
    let told = refused["details"]["causes"][0]["message"].as_str().unwrap_or_default();
    let shown = r#"{"MatchExpressions":[{"ScopeName":"PriorityClass","Operator":"In","Values":["x"]}]}"#;
    assert!(told.contains(shown), "{told}");
}

#[tokio::test]
async fn scales_of_custom_resources_are_not_deleted() {
    let (_atoll, client) = team().await;
    let subresources = json!({"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}});
    client.post(DEFINITIONS, things("scaled.example.com", subresources)).await.expect(201);
    let things = "/apis/scaled.example.com/v1/namespaces/default/things";
    let thing =
        json!({"apiVersion": "scaled.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": 1}});
    client.post(things, thing).await.expect(201);
    let scale =
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 2}});
    let path = format!("{things}/a/scale");
    client.put(&path, scale).await.expect(200);
    let refused = client.delete(&path).await.refused(405, "MethodNotAllowed");
    assert_eq!(refused["message"], "delete is not supported on resources of kind \"things.scaled.example.com\"");
    let status = format!("{DEFINITIONS}/things.scaled.example.com/status");
    let kept = client.patch(&status, MERGE_PATCH, json!({"status": {"storedVersions": []}})).await.expect(200);
    assert_eq!(kept["status"]["storedVersions"], json!(["v1"]));
}

#[tokio::test]
async fn a_flow_schemas_condition_is_applied() {
    let (_atoll, client) = team().await;
    let spec = json!({"priorityLevelConfiguration": {"name": "nowhere"}, "matchingPrecedence": 500, "rules": []});
    let path = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
    client.post(path, json!({"metadata": {"name": "f"}, "spec": spec})).await.expect(201);
    let schema = client.get(&format!("{path}/f")).await.expect(200);
    assert_eq!(schema["status"]["conditions"][0]["type"], "Dangling");
    let managers = schema["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let of_status = managers.iter().find(|manager| manager["subresource"] == "status").expect("one for the status");
    assert_eq!(of_status["operation"], "Apply");
    assert_eq!(of_status["manager"], "api-priority-and-fairness-config-consumer-v1");
}

#[tokio::test]
async fn a_number_in_a_text_counts_as_a_number_of_pods() {
    let (_atoll, client) = team().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template,
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": "5"}}});
    let path = "/apis/apps/v1/namespaces/default/daemonsets";
    let refused = client.post(path, json!({"metadata": {"name": "d"}, "spec": spec})).await.refused(422, "Invalid");
    let told: Vec<&str> =
        refused["details"]["causes"].as_array().into_iter().flatten().filter_map(|c| c["message"].as_str()).collect();
    assert!(told.iter().any(|told| told.contains("may not be set when maxUnavailable is non-zero")), "{told:?}");
}

#[tokio::test]
async fn statuses_are_prepared_and_checked_as_by_their_kinds() {
    let (_atoll, client) = team().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "i"}]}});
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    client.post(jobs, json!({"metadata": {"name": "j"}, "spec": {"template": template}})).await.expect(201);
    let count = |ready: u32, active: u32| json!({"status": {"ready": ready, "active": active}});
    let path = format!("{jobs}/j/status");
    let refused = client.patch(&path, MERGE_PATCH, count(2, 1)).await.refused(422, "Invalid");
    assert_eq!(refused["details"]["causes"][0]["field"], "status.ready");
    client.patch(&path, MERGE_PATCH, count(1, 1)).await.expect(200);

    client.post("/api/v1/nodes", json!({"metadata": {"name": "n"}})).await.expect(201);
    let config = json!({"status": {"phase": "Running", "config": {"error": "x"}}});
    let node = client.patch("/api/v1/nodes/n/status", MERGE_PATCH, config).await.expect(200);
    assert_eq!((&node["status"]["phase"], &node["status"]["config"]), (&json!("Running"), &Value::Null));

    let mut template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template.take()});
    let sets = "/apis/apps/v1/namespaces/default/daemonsets";
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d"}, "spec": spec});
    client.post(sets, set.clone()).await.expect(201);
    let kept = client.put(&format!("{sets}/d/status"), set).await.expect(200);
    assert_eq!(kept["metadata"]["annotations"]["deprecated.daemonset.template.generation"], "1");
}

#[tokio::test]
async fn what_is_known_of_types_is_what_kubernetes_knows() {
    let (_atoll, client) = team().await;
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let containers = "object.spec.template.spec.containers";
    for (index, (expression, told)) in [
        ("object.metadata.labels['a'] == 'b'".to_owned(), ""),
        ("object.metadata.creationTimestamp < timestamp('2020-01-01T00:00:00Z')".to_owned(), ""),
        ("object.metadata.ownerReferences.all(o, o.kind == 1)".to_owned(), "applied to '(string, int)'"),
        ("object.metadata.generation == 'x'".to_owned(), "applied to '(int, string)'"),
        ("object.metadata.nope == 1".to_owned(), "undefined field 'nope'"),
        ("object.status.conditions.all(c, c.lastTransitionTime == 1)".to_owned(), "applied to '(timestamp, int)'"),
        (format!("{containers}.all(c, c.resources.limits['cpu'] == '5')"), "undefined field 'limits'"),
    ]
    .into_iter()
    .enumerate()
    {
        let rule =
            json!({"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]});
        let spec = json!({"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]});
        let name = format!("p{index}");
        client.post(policies, json!({"metadata": {"name": name}, "spec": spec})).await.expect(201);
        let policy = client.get(&format!("{policies}/{name}")).await.expect(200);
        let warning = policy["status"]["typeChecking"]["expressionWarnings"][0]["warning"].as_str().unwrap_or_default();
        assert_eq!(warning.is_empty(), told.is_empty(), "{expression}: {warning}");
        assert!(warning.contains(told), "{expression}: {warning}");
    }
}

#[tokio::test]
async fn mutations_are_checked_and_taken_as_kubernetes_does() {
    for (mutation, told) in [
        (patch("[JSONPatch{foo: 'x'}]"), "expected type of field 'foo' is '' but provided type is 'string'"),
        (overlay("variables.foo"), "undefined field 'foo'"),
    ] {
        let (_atoll, client) = team().await;
        let rule =
            json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]});
        let spec = json!({"reinvocationPolicy": "Never", "mutations": [mutation], "matchConstraints": {"resourceRules": [rule]}});
        let refused =
            client.post(POLICIES, json!({"metadata": {"name": "p"}, "spec": spec})).await.refused(422, "Invalid");
        assert!(refused["message"].as_str().unwrap_or_default().contains(told), "{refused}");
    }
    for (expression, told) in [
        (
            "Object{binaryData: {'a': b'x'}}",
            ".binaryData.a: expected string, got &value.valueUnstructured{Value:[]uint8{0x78}}",
        ),
        (
            "Object{metadata: Object.metadata{creationTimestamp: timestamp('2020-01-01T00:00:00Z')}}",
            ".metadata.creationTimestamp: expected any scalar, got &{2020-01-01 00:00:00 +0000 UTC}",
        ),
        (
            "Object{metadata: Object.metadata{generation: 5u}}",
            ".metadata.generation: expected numeric (int or float), got uint64",
        ),
        ("Object{data: {1: 'z'}}", "invalid return type: *dynamic.ObjectVal"),
    ] {
        let (_atoll, client) = team().await;
        mutate_config_maps(&client, overlay(expression), "Never").await;
        let refused = client.post(CONFIG_MAPS, config_map("a")).await.expect(403);
        assert!(refused["message"].as_str().unwrap_or_default().ends_with(told), "{expression}: {refused}");
    }
}
