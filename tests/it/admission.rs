//! Webhooks and admission policies: they act in the logical cluster that has them, from the moment it has them, and in no
//! other.

use atoll::outbound::{Addresses, Outbound};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::requests::{CONFIG_MAPS, DEFINITIONS, config_map, definition};
use crate::server::{Atoll, Client, MERGE_PATCH};
use crate::webhook::Webhook;

const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1";

/// A server that may call webhooks in this process, with two clusters.
async fn two() -> (Atoll, Client, Client) {
    let outbound = Outbound { addresses: Addresses::Any, services: None };
    let atoll = Atoll::start_with(|builder| builder.outbound(outbound)).await;
    let (ours, theirs) = (atoll.cluster("ours").await, atoll.cluster("theirs").await);
    (atoll, ours, theirs)
}

async fn post(cluster: &Client, resource: &str, object: Value) -> Value {
    cluster.post(&format!("{REGISTRATION}/{resource}"), object).await.expect(201)
}

/// Creates a policy about config maps, and a binding of it.
async fn apply(cluster: &Client, sort: &str, name: &str, spec: Value, binding: Value) {
    let matched = json!({"resourceRules": [
        {"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]});
    let resource = format!("{}admissionpolic", sort.to_lowercase());
    let object = |suffix: &str, base: Value, more: &Value| {
        let mut spec = base;
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{sort}AdmissionPolicy{suffix}"),
               "metadata": {"name": name}, "spec": spec})
    };
    let policy = object("", json!({"matchConstraints": matched}), &spec);
    post(cluster, &format!("{resource}ies"), policy).await;
    let binding = object("Binding", json!({"policyName": name}), &binding);
    post(cluster, &format!("{resource}ybindings"), binding).await;
}

#[tokio::test]
async fn policies_act_in_their_own_cluster_at_once_and_not_in_another() {
    let (_atoll, ours, theirs) = two().await;
    let limits = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"max": "1"}});
    for cluster in [&ours, &theirs] {
        cluster.post(CONFIG_MAPS, limits.clone()).await.expect(201);
    }
    let validation = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "count", "expression": "size(object.data)"}],
        "validations": [{"expression": "variables.count <= int(params.data.max)",
                         "messageExpression": "'at most ' + params.data.max"}],
    });
    let params = json!({"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"});
    apply(&ours, "Validating", "few", validation, json!({"validationActions": ["Deny"], "paramRef": params})).await;
    let mutation = json!({"reinvocationPolicy": "Never", "mutations": [{"patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{metadata: Object.metadata{labels: {'seen': 'yes'}}}"}}]});
    apply(&ours, "Mutating", "mark", mutation, json!({})).await;

    let mut large = config_map("large", "x");
    large["data"] = json!({"a": "1", "b": "2"});
    let refusal = ours.post(CONFIG_MAPS, large.clone()).await.refused(422, "Invalid");
    let told = "configmaps \"large\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: at most 1";
    assert_eq!(refusal["message"], told);
    let seen = |made: Value| made["metadata"]["labels"]["seen"].clone();
    assert_eq!(seen(ours.post(CONFIG_MAPS, config_map("small", "x")).await.expect(201)), "yes");
    assert_eq!(seen(theirs.post(CONFIG_MAPS, large.clone()).await.expect(201)), Value::Null);

    let raised = json!({"data": {"max": "2"}});
    // The limits of the other cluster are its own.
    theirs.patch(&format!("{CONFIG_MAPS}/limits"), MERGE_PATCH, raised.clone()).await.expect(200);
    ours.post(CONFIG_MAPS, large.clone()).await.refused(422, "Invalid");
    ours.patch(&format!("{CONFIG_MAPS}/limits"), MERGE_PATCH, raised).await.expect(200);
    ours.post(CONFIG_MAPS, large.clone()).await.expect(201);
    for resource in ["validatingadmissionpolicybindings/few", "mutatingadmissionpolicies/mark"] {
        ours.delete(&format!("{REGISTRATION}/{resource}")).await.expect(200);
    }
    large["metadata"]["name"] = "larger".into();
    large["data"]["c"] = "3".into();
    assert_eq!(seen(ours.post(CONFIG_MAPS, large).await.expect(201)), Value::Null);
}

#[tokio::test]
async fn policies_are_told_where_their_expressions_do_not_fit_the_types() {
    let (_atoll, ours, theirs) = two().await;
    for (cluster, kind) in [(&ours, "string"), (&theirs, "integer")] {
        cluster.post(DEFINITIONS, definition(kind)).await.expect(201);
    }
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [{"operations": ["*"], "apiGroups": ["it.example.com"],
                "apiVersions": ["v1"], "resources": ["widgets"]}]},
            "variables": [{"name": "mark", "expression": "object.spec.mark"}],
            "validations": [{"expression": "variables.mark == 'x'"}, {"expression": "object.metadata.name != ''"}],
        },
    });
    let path = format!("{REGISTRATION}/validatingadmissionpolicies/p");
    for (cluster, wrong) in [(&ours, false), (&theirs, true)] {
        post(cluster, "validatingadmissionpolicies", policy.clone()).await;
        let status = cluster.get(&path).await.expect(200)["status"].clone();
        assert_eq!(status["observedGeneration"], 1, "{status}");
        let warnings = status["typeChecking"]["expressionWarnings"].clone();
        if wrong {
            assert_eq!(warnings[0]["fieldRef"], "spec.validations[0].expression", "{status}");
            let told = warnings[0]["warning"].as_str().unwrap_or_default();
            assert!(told.starts_with("it.example.com/v1, Kind=Widget: ERROR: <input>:1:16: found no"), "{told}");
            assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{status}");
        } else {
            assert_eq!(warnings, Value::Null);
        }
    }
    let changed = json!({"spec": {"validations": [{"expression": "true"}]}});
    theirs.patch(&path, MERGE_PATCH, changed).await.expect(200);
    let status = theirs.get(&path).await.expect(200)["status"].clone();
    assert_eq!(status, json!({"observedGeneration": 2, "typeChecking": {}}));
}

#[tokio::test]
async fn webhooks_are_asked_about_writes_of_their_own_cluster_only() {
    let (_atoll, ours, theirs) = two().await;
    let marking = Webhook::start(|_| {
        let patch = json!([{"op": "add", "path": "/data/marked", "value": "yes"}]);
        json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string())})
    })
    .await;
    let judging = Webhook::start(|request| match request["object"]["data"]["bad"].is_null() {
        true => json!({"allowed": true, "warnings": ["be careful"]}),
        false => json!({"allowed": false, "status": {"code": 403, "reason": "Forbidden", "message": "not here"}}),
    })
    .await;
    let configuration = marking.configuration("MutatingWebhookConfiguration", "marking");
    post(&ours, "mutatingwebhookconfigurations", configuration).await;
    let configuration = judging.configuration("ValidatingWebhookConfiguration", "judging");
    post(&ours, "validatingwebhookconfigurations", configuration).await;

    let mut bad = config_map("bad", "x");
    bad["data"] = json!({"bad": "x"});
    assert_eq!(theirs.post(CONFIG_MAPS, bad.clone()).await.expect(201)["data"], json!({"bad": "x"}));
    theirs.delete(&format!("{CONFIG_MAPS}/bad")).await.expect(200);
    assert_eq!((marking.asked().len(), judging.asked().len()), (0, 0));

    let refusal = ours.post(CONFIG_MAPS, bad.clone()).await.refused(403, "Forbidden");
    let told = "admission webhook \"judging.it.example.com\" denied the request: not here";
    assert_eq!(refusal["message"], told);
    let made = ours.post(CONFIG_MAPS, config_map("good", "x")).await;
    let warned: Vec<_> = made.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).collect();
    assert_eq!(warned, ["299 - \"be careful\""]);
    assert_eq!(made.expect(201)["data"]["marked"], "yes");
    let asked = judging.asked();
    let last = asked.last().expect("it was asked");
    assert_eq!((&last["object"]["data"]["marked"], &last["operation"]), (&json!("yes"), &json!("CREATE")));
    assert_eq!(last["userInfo"]["username"], "admin");

    for resource in ["mutatingwebhookconfigurations/marking", "validatingwebhookconfigurations/judging"] {
        ours.delete(&format!("{REGISTRATION}/{resource}")).await.expect(200);
    }
    assert_eq!(ours.post(CONFIG_MAPS, bad).await.expect(201)["data"], json!({"bad": "x"}));
    assert_eq!(judging.asked().len(), asked.len());
}

#[tokio::test]
async fn webhooks_at_the_servers_own_addresses_are_not_called() {
    let atoll = Atoll::start().await;
    let ours = atoll.cluster("ours").await;
    let webhook = Webhook::start(|_| json!({"allowed": true})).await;
    let mut configuration = webhook.configuration("ValidatingWebhookConfiguration", "near");
    post(&ours, "validatingwebhookconfigurations", configuration.clone()).await;
    let refusal = ours.post(CONFIG_MAPS, config_map("m", "x")).await.refused(500, "InternalError");
    let told = refusal["message"].as_str().unwrap_or_default();
    assert!(told.contains("failed calling webhook \"near.it.example.com\"") && told.contains("--outbound-addresses"));
    ours.delete(&format!("{REGISTRATION}/validatingwebhookconfigurations/near")).await.expect(200);
    let service = json!({"namespace": "default", "name": "hook", "path": "/review"});
    configuration["webhooks"][0]["clientConfig"] = json!({"service": service});
    post(&ours, "validatingwebhookconfigurations", configuration.clone()).await;
    let refusal = ours.post(CONFIG_MAPS, config_map("m", "x")).await.refused(500, "InternalError");
    assert!(refusal["message"].as_str().is_some_and(|told| told.contains("service \"hook\" not found")), "{refusal}");
    ours.delete(&format!("{REGISTRATION}/validatingwebhookconfigurations/near")).await.expect(200);
    configuration["webhooks"][0]["failurePolicy"] = "Ignore".into();
    post(&ours, "validatingwebhookconfigurations", configuration).await;
    ours.post(CONFIG_MAPS, config_map("m", "x")).await.expect(201);
    assert!(webhook.asked().is_empty());
}

/// A configuration by which a webhook is asked about these resources, and about everything that is done to them.
fn about(webhook: &Webhook, kind: &str, name: &str, groups: &[&str], resources: &[&str]) -> Value {
    let mut configuration = webhook.configuration(kind, name);
    configuration["webhooks"][0]["rules"] =
        json!([{"operations": ["*"], "apiGroups": groups, "apiVersions": ["*"], "resources": resources}]);
    configuration["webhooks"][0]["matchConditions"] = json!([]);
    configuration
}

#[tokio::test]
async fn a_webhook_cannot_lead_a_new_object_out_of_its_namespace() {
    let (_atoll, ours, theirs) = two().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}});
    ours.post("/api/v1/namespaces", namespace).await.expect(201);
    let moving = Webhook::start(|_| {
        let patch = json!([{"op": "replace", "path": "/metadata/namespace", "value": "elsewhere"}]);
        json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string())})
    })
    .await;
    let configuration = moving.configuration("MutatingWebhookConfiguration", "moving");
    post(&ours, "mutatingwebhookconfigurations", configuration).await;
    let refusal = ours.post(CONFIG_MAPS, config_map("m", "x")).await.refused(400, "BadRequest");
    let told = "the namespace of the provided object does not match the namespace sent on the request";
    assert_eq!(refusal["message"], told);
    ours.get("/api/v1/namespaces/elsewhere/configmaps/m").await.refused(404, "NotFound");
    theirs.post(CONFIG_MAPS, config_map("m", "x")).await.expect(201);
}

#[tokio::test]
async fn webhooks_see_connections_scales_and_collections_as_what_they_are() {
    let (_atoll, ours, _theirs) = two().await;
    let asked = Webhook::start(|request| match request["operation"] == "CONNECT" {
        true => json!({"allowed": false, "status": {"code": 418, "reason": "Teapot", "message": "no"}}),
        false => json!({"allowed": true, "warnings": ["fine", "not\nfine"]}),
    })
    .await;
    let kind = "ValidatingWebhookConfiguration";
    let configuration = about(&asked, kind, "w", &["", "apps"], &["pods/exec", "deployments/scale", "secrets"]);
    post(&ours, "validatingwebhookconfigurations", configuration).await;
    let metadata = json!({"name": "d"});
    let (labels, containers) = (json!({"a": "b"}), json!([{"name": "c", "image": "i"}]));
    let pod = json!({"metadata": metadata, "spec": {"containers": containers}});
    ours.post("/api/v1/namespaces/default/pods", pod).await.expect(201);
    let refusal = ours.get("/api/v1/namespaces/default/pods/d/exec?command=ls&stdout=1").await.expect(418);
    assert_eq!((&refusal["reason"], &refusal["code"]), (&json!("Teapot"), &json!(418)));

    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    let spec = json!({"selector": {"matchLabels": labels}, "template": template});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    ours.post(deployments, json!({"metadata": metadata, "spec": spec})).await.expect(201);
    let scaled = json!({"spec": {"replicas": 3}});
    let answer = ours.patch(&format!("{deployments}/d/scale"), MERGE_PATCH, scaled).await;
    let warned: Vec<_> = answer.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).collect();
    assert_eq!(warned, ["299 - \"fine\""]);
    answer.expect(200);
    let secrets = "/api/v1/namespaces/default/secrets";
    ours.post(secrets, json!({"metadata": metadata})).await.expect(201);
    ours.delete(secrets).await.expect(200);

    let asked = asked.asked();
    let seen: Vec<_> =
        asked.iter().map(|r| json!([r["operation"], r["kind"]["kind"], r["subResource"], r["name"]])).collect();
    let expected = json!([
        ["CONNECT", "PodExecOptions", "exec", "d"],
        ["UPDATE", "Scale", "scale", "d"],
        ["CREATE", "Secret", null, "d"],
        ["DELETE", "Secret", null, null],
    ]);
    assert_eq!(json!(seen), expected);
    let options = json!({"kind": "PodExecOptions", "apiVersion": "v1", "command": ["ls"], "stdout": true});
    assert_eq!((&asked[0]["object"], &asked[0]["options"]), (&options, &Value::Null));
    let replicas = |object: &Value| object["spec"]["replicas"].clone();
    assert_eq!((replicas(&asked[1]["oldObject"]), replicas(&asked[1]["object"])), (json!(1), json!(3)));
    assert_eq!(asked[2]["options"].get("fieldValidation"), None);
}
