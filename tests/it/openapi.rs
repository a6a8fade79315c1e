//! OpenAPI documents as client generators read them: every operation has a name of its own, takes what its path and verb demand,
//! and refers to nothing that is not there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::atoll_server::Atoll;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A namespaced kind of two versions with both subresources, and one of the cluster with neither.
fn definitions() -> [Value; 2] {
    let integer = json!({"type": "integer", "format": "int32"});
    let part = json!({"type": "object", "properties": {"replicas": integer}});
    let schema = json!({"type": "object", "properties": {"spec": part, "status": part}});
    let version = |name: &str, subresources: Value| {
        json!({
            "name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": schema},
            "subresources": subresources, "selectableFields": [{"jsonPath": ".spec.replicas"}],
        })
    };
    let definition = |plural: &str, kind: &str, scope: &str, versions: Value| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.wind.example.com")},
            "spec": {"group": "wind.example.com", "scope": scope, "names": {"plural": plural, "kind": kind}, "versions": versions},
        })
    };
    let scale = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
    [
        definition(
            "sails",
            "Sail",
            "Namespaced",
            json!([version("v1", json!({"status": {}, "scale": scale})), version("v1beta1", json!({"status": {}})),]),
        ),
        definition("harbours", "Harbour", "Cluster", json!([version("v1", json!({}))])),
    ]
}

/// A cluster's documents of version 3, by their paths.
async fn documents(atoll: &Atoll, cluster: &str) -> BTreeMap<String, Value> {
    let root = atoll.get(&format!("{cluster}/openapi/v3")).await.expect("a root");
    let mut documents = BTreeMap::new();
    for (path, place) in root["paths"].as_object().expect("paths") {
        let url = place["serverRelativeURL"].as_str().expect("an address");
        documents.insert(path.clone(), atoll.get(url).await.expect("a document"));
    }
    documents
}

/// Every operation of a document, with its path, its method and the parameters of its path.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten().filter(|(method, _)| *method != "parameters");
        methods.map(move |(method, operation)| (path, method, operation, &item["parameters"]))
    })
}

/// The names of parameters, those of the path marked; references are followed.
fn parameters(document: &Value, lists: [&Value; 2]) -> BTreeSet<String> {
    let all = lists.into_iter().filter_map(Value::as_array).flatten();
    let told = all.map(|parameter| match parameter["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => parameter,
    });
    let name = |parameter: &Value| match parameter["in"].as_str() {
        Some("path") => format!("{{{}}}", parameter["name"].as_str().unwrap_or_default()),
        Some(_) => parameter["name"].as_str().unwrap_or_default().to_owned(),
        None => panic!("no parameter: {parameter}"),
    };
    told.map(name).collect()
}

/// The references in a document that lead nowhere.
fn dangling(document: &Value, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match inner.as_str() {
                    Some(target) if name == "$ref" => {
                        if document.pointer(target.trim_start_matches('#')).is_none() {
                            found.push(target.to_owned());
                        }
                    }
                    _ => dangling(document, inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| dangling(document, item, found)),
        _ => {}
    }
}

/// The statuses that a verb is answered with.
fn statuses(action: &str, custom: bool) -> &'static [&'static str] {
    match action {
        "post" => &["200", "201", "202", "401"],
        "put" => &["200", "201", "401"],
        "patch" if !custom => &["200", "201", "401"],
        "delete" => &["200", "202", "401"],
        _ => &["200", "401"],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_has_its_own_name_and_takes_what_its_path_and_verb_demand() {
    let atoll = Atoll::start().await;
    let cluster = atoll.cluster("a").await;
    for definition in definitions() {
        atoll.post(&format!("{cluster}{DEFINITIONS}"), definition).await;
    }
    let documents = documents(&atoll, &cluster).await;
    let mut ids = BTreeSet::new();
    for (name, document) in &documents {
        let mut lost = Vec::new();
        dangling(document, document, &mut lost);
        assert!(lost.is_empty(), "{name}: {lost:?}");
        for (path, method, operation, of_path) in operations(document) {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "{id} twice, at {path}");
            assert!(operation["tags"][0].is_string(), "{id}");
            let action = operation["x-kubernetes-action"].as_str().unwrap_or_default();
            let answered: Vec<&String> = operation["responses"].as_object().expect("responses").keys().collect();
            assert_eq!(answered, statuses(action, name.contains("example")), "{id}");
            let told = parameters(document, [of_path, &operation["parameters"]]);
            let in_path: BTreeSet<&str> =
                told.iter().map(String::as_str).filter(|name| name.starts_with('{')).collect();
            assert_eq!(in_path, path.split('/').filter(|part| part.starts_with('{')).collect(), "{id}");
            let writes = matches!(action, "post" | "put" | "patch");
            assert_eq!(operation["requestBody"]["required"] == true, writes, "{id}");
            assert_eq!(told.contains("fieldManager") && told.contains("dryRun"), writes, "{id}");
            assert_eq!(
                told.contains("labelSelector"),
                action.contains("list") || action.contains("collection") || action == "watch",
                "{id}"
            );
            assert!(
                action != "connect"
                    || matches!(method.as_str(), "get" | "put" | "post" | "delete" | "options" | "head" | "patch")
            );
        }
    }
    assert!(ids.len() > 700, "{}", ids.len());
    // The one document of version 2 tells the same.
    let document = atoll.get(&format!("{cluster}/openapi/v2")).await.expect("a document");
    let mut lost = Vec::new();
    dangling(&document, &document, &mut lost);
    assert!(lost.is_empty(), "{lost:?}");
    let in_v2 =
        operations(&document).map(|(_, _, operation, _)| operation["operationId"].as_str().expect("an id").to_owned());
    assert_eq!(in_v2.collect::<BTreeSet<_>>(), ids);
    let taken = |path: &str| {
        let item = &document["paths"][path];
        parameters(&document, [&item["parameters"], &item["put"]["parameters"]])
    };
    let expected = ["body", "dryRun", "fieldManager", "fieldValidation", "pretty", "{namespace}", "{name}"];
    assert_eq!(taken("/api/v1/namespaces/{namespace}/secrets/{name}").iter().collect::<Vec<_>>(), expected);
    atoll.stop().await;
}

/// An operation: document, path, method; id, type of the body, type of the answer.
type Told = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const POD: &str = "/api/v1/namespaces/{namespace}/pods/{name}";
const SAIL: &str = "/apis/wind.example.com/v1/namespaces/{namespace}/sails/{name}";
const OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
const SAILS: &str = "apis/wind.example.com/v1";

/// One of each sort of operation.
fn told() -> Vec<(Told, String)> {
    let cases: [Told; 18] = [
        ("api/v1", POD, "get", "readCoreV1NamespacedPod", "", "io.k8s.api.core.v1.Pod"),
        ("api/v1", POD, "delete", "deleteCoreV1NamespacedPod", OPTIONS, "io.k8s.api.core.v1.Pod"),
        ("api/v1", "/log", "get", "readCoreV1NamespacedPodLog", "", "string"),
        ("api/v1", "/exec", "post", "connectCoreV1PostNamespacedPodExec", "", "string"),
        ("api/v1", "/proxy/{path}", "head", "connectCoreV1HeadNamespacedPodProxyWithPath", "", "string"),
        (
            "api/v1",
            "/eviction",
            "post",
            "createCoreV1NamespacedPodEviction",
            "io.k8s.api.policy.v1.Eviction",
            "io.k8s.api.policy.v1.Eviction",
        ),
        ("api/v1", "/resize", "patch", "patchCoreV1NamespacedPodResize", PATCH, "io.k8s.api.core.v1.Pod"),
        ("api/v1", "/api/v1/namespaces/{name}", "delete", "deleteCoreV1Namespace", OPTIONS, STATUS),
        (
            "apis/apps/v1",
            DEPLOYMENTS,
            "get",
            "listAppsV1DeploymentForAllNamespaces",
            "",
            "io.k8s.api.apps.v1.DeploymentList",
        ),
        (
            "apis/apps/v1",
            "/apis/apps/v1/watch/deployments",
            "get",
            "watchAppsV1DeploymentListForAllNamespaces",
            "",
            "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
        ),
        (
            "apis/apps/v1",
            "/apis/apps/v1/",
            "get",
            "getAppsV1APIResources",
            "",
            "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList",
        ),
        ("apis/apps", "/apis/apps/", "get", "getAppsAPIGroup", "", "io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup"),
        ("version", "/version/", "get", "getCodeVersion", "", "io.k8s.apimachinery.pkg.version.Info"),
        (SAILS, SAIL, "patch", "patchWindExampleComV1NamespacedSail", PATCH, "com.example.wind.v1.Sail"),
        (SAILS, "/scale", "put", "replaceWindExampleComV1NamespacedSailScale", SCALE, SCALE),
        (SAILS, "/status", "get", "readWindExampleComV1NamespacedSailStatus", "", "com.example.wind.v1.Sail"),
        (
            SAILS,
            "/apis/wind.example.com/v1/harbours",
            "get",
            "listWindExampleComV1Harbour",
            "",
            "com.example.wind.v1.HarbourList",
        ),
        (SAILS, "/apis/wind.example.com/v1/harbours", "delete", "deleteWindExampleComV1CollectionHarbour", "", STATUS),
    ];
    // What is below an object is told by how it ends.
    let whole = |case: &Told| match case {
        (_, path, ..) if path.matches('/').count() > 2 || path.ends_with("n/") || path.ends_with("s/") => {
            (*path).to_owned()
        }
        ("api/v1", path, ..) => format!("{POD}{path}"),
        (_, path, ..) => format!("{SAIL}{path}"),
    };
    cases.into_iter().map(|case| (case, whole(&case))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_those_that_clients_of_kubernetes_are_generated_from() {
    let atoll = Atoll::start().await;
    let (cluster, other) = (atoll.cluster("a").await, atoll.cluster("b").await);
    for definition in definitions() {
        atoll.post(&format!("{cluster}{DEFINITIONS}"), definition).await;
    }
    let documents = documents(&atoll, &cluster).await;
    let name = |schema: &Value| match schema["$ref"].as_str() {
        Some(target) => target.rsplit('/').next().unwrap_or_default().to_owned(),
        None => schema["type"].as_str().unwrap_or_default().to_owned(),
    };
    let of_content = |content: &Value| {
        let kinds = content.as_object().into_iter().flatten().map(|(_, media)| name(&media["schema"]));
        kinds.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    for ((document, _, method, id, body, answer), path) in told() {
        let operation = &documents[document]["paths"][&path][method];
        assert_eq!(operation["operationId"], id, "{path}");
        assert_eq!(of_content(&operation["requestBody"]["content"]), body, "{id}");
        assert_eq!(of_content(&operation["responses"]["200"]["content"]), answer, "{id}");
    }
    let media = |document: &str, path: &str| {
        let content = &documents[document]["paths"][path]["patch"]["requestBody"]["content"];
        content.as_object().map(|content| content.len())
    };
    // Lists of custom kinds have no merge keys.
    assert_eq!((media("api/v1", POD), media(SAILS, SAIL)), (Some(4), Some(3)));
    // Discovery tells the status of custom kinds before their scale.
    let resources = atoll.get(&format!("{cluster}/apis/wind.example.com/v1")).await.expect("a list");
    let names = resources["resources"].as_array().into_iter().flatten().map(|resource| &resource["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["harbours", "sails", "sails/status", "sails/scale"]);
    // What one cluster defines is in no document of another.
    let elsewhere = atoll.get(&format!("{other}/openapi/v2")).await.expect("a document");
    assert!(!elsewhere.to_string().contains("WindExampleCom"));
    atoll.stop().await;
}
