//! Documents that tell what a cluster serves, and that are kept between requests: in step with what is served, each cluster's own,
//! and asked for again only when they changed.

use axum::body::Body;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::server::{Answer, Atoll, Client};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn definition(kind: &str, versions: &[&str]) -> Value {
    let version = |name: &&str| {
        json!({"name": name, "served": true, "storage": *name == versions[0], "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "description": format!("what {kind} {name} says")}},
        }}})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boats.sea.example.com"},
        "spec": {
            "group": "sea.example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": kind},
            "versions": versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}

/// The entity tag of an answer.
#[track_caller]
fn tag(answer: &Answer) -> String {
    answer.headers[header::ETAG].to_str().expect("a tag is text").to_owned()
}

/// The custom kinds that aggregated discovery tells.
fn kinds(discovery: &Answer) -> Vec<String> {
    let document = discovery.json();
    let groups = document["items"].as_array().into_iter().flatten();
    let group = groups.filter(|group| group["metadata"]["name"] == "sea.example.com");
    let versions = group.flat_map(|group| group["versions"].as_array().into_iter().flatten());
    let told = |version: &Value| {
        let kind = &version["resources"][0]["responseKind"];
        format!("{} {}", kind["kind"].as_str().unwrap_or_default(), kind["version"].as_str().unwrap_or_default())
    };
    versions.map(told).collect()
}

/// Asks for a document with what the client has already.
async fn unless(client: &Client, path: &str, accept: &str, has: &str) -> Answer {
    client.get_with(path, &[(header::ACCEPT, accept), (header::IF_NONE_MATCH, has)]).await
}

/// The address of a document, as the root of OpenAPI 3 tells it, and below the cluster.
async fn address(client: &Client, document: &str) -> (String, String) {
    let root = client.get("/openapi/v3").await.expect(200);
    let whole = root["paths"][document]["serverRelativeURL"].as_str().expect("an address").to_owned();
    let below = whole.find("/openapi/").map(|start| whole[start..].to_owned()).expect("it is one of OpenAPI");
    (whole, below)
}

#[tokio::test]
async fn aggregated_discovery_is_in_step_with_definitions_and_each_clusters_own() {
    let atoll = Atoll::start().await;
    let (one, other) = (atoll.cluster("one").await, atoll.cluster("other").await);
    let discovery = async |client: &Client| client.get_as("/apis", AGGREGATED).await;
    let (before, elsewhere) = (discovery(&one).await, discovery(&other).await);
    assert_eq!((tag(&before), &before.body), (tag(&elsewhere), &elsewhere.body), "both serve the same");
    one.post(DEFINITIONS, definition("Boat", &["v1"])).await.expect(201);
    let defined = discovery(&one).await;
    assert_eq!(kinds(&defined), ["Boat v1"]);
    assert_eq!(unless(&one, "/apis", AGGREGATED, &tag(&defined)).await.status, 304);
    assert_eq!(unless(&one, "/apis", AGGREGATED, &tag(&before)).await.status, 200);
    assert_eq!(tag(&discovery(&other).await), tag(&before), "nothing changed there");
    // The same name with another meaning, in a cluster of its own.
    other.post(DEFINITIONS, definition("Ship", &["v2"])).await.expect(201);
    assert_eq!(kinds(&discovery(&other).await), ["Ship v2"]);
    assert_eq!((tag(&discovery(&one).await), discovery(&one).await.body), (tag(&defined), defined.body));
    one.delete(&format!("{DEFINITIONS}/boats.sea.example.com")).await.expect(200);
    let gone = discovery(&one).await;
    assert_eq!((tag(&gone), gone.body), (tag(&before), before.body));
}

#[tokio::test]
async fn documents_of_openapi_3_are_asked_for_by_their_hash() {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("one").await;
    client.post(DEFINITIONS, definition("Boat", &["v1", "v1beta1"])).await.expect(201);
    let (whole, below) = address(&client, "apis/sea.example.com/v1").await;
    let (path, hash) = below.split_once("?hash=").expect("a hash");
    let answer = client.get(&below).await;
    assert_eq!((answer.status.as_u16(), tag(&answer)), (200, format!("\"{hash}\"")));
    assert_eq!(answer.headers[header::CACHE_CONTROL], "public, immutable");
    assert!(answer.headers.contains_key(header::EXPIRES));
    assert_eq!(answer.headers[header::VARY], "Accept");
    assert!(answer.text().contains("what Boat v1 says"), "{}", answer.text());
    assert_eq!(client.get(&below).await.body, answer.body);
    // Another hash is that of what was: the client is led to what is.
    let moved = client.get(&format!("{path}?hash=0A")).await;
    assert_eq!((moved.status.as_u16(), moved.headers[header::LOCATION].as_bytes()), (301, whole.as_bytes()));
    let plain = client.get(path).await;
    assert_eq!(plain.status, 200);
    for answer in [moved, plain] {
        assert_ne!(answer.headers[header::CACHE_CONTROL], "public, immutable");
    }
    for has in [tag(&answer), format!("\"0A\", W/{}", tag(&answer)), "*".to_owned()] {
        let unchanged = unless(&client, path, "*/*", &has).await;
        assert!(unchanged.status == 304 && unchanged.body.is_empty() && tag(&unchanged) == tag(&answer), "{has}");
    }
    assert_eq!(unless(&client, path, "*/*", "\"0A\"").await.status, 200);
    // Versions of one definition have documents of their own.
    let (_, beta) = address(&client, "apis/sea.example.com/v1beta1").await;
    assert!(client.get(&beta).await.text().contains("what Boat v1beta1 says"));
}

#[tokio::test]
async fn documents_of_openapi_3_follow_their_definitions_in_each_cluster() {
    let atoll = Atoll::start().await;
    let (one, other) = (atoll.cluster("one").await, atoll.cluster("other").await);
    one.post(DEFINITIONS, definition("Boat", &["v1"])).await.expect(201);
    other.post(DEFINITIONS, definition("Ship", &["v1"])).await.expect(201);
    let path = "/openapi/v3/apis/sea.example.com/v1";
    let (boats, ships) = (one.get(path).await, other.get(path).await);
    assert!(boats.text().contains("what Boat v1 says") && !boats.text().contains("Ship"));
    assert!(ships.text().contains("what Ship v1 says") && !ships.text().contains("Boat"));
    let changed = json!([{
        "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/description", "value": "new words",
    }]);
    let name = format!("{DEFINITIONS}/boats.sea.example.com");
    one.patch(&name, crate::server::JSON_PATCH, changed).await.expect(200);
    let new = one.get(path).await;
    assert!(new.text().contains("new words") && tag(&new) != tag(&boats), "{}", new.text());
    assert_eq!(tag(&other.get(path).await), tag(&ships));
    // What is built in is the same everywhere.
    let builtin = "/openapi/v3/apis/apps/v1";
    let (here, there) = (one.get(builtin).await, other.get(builtin).await);
    assert_eq!((tag(&here), here.body), (tag(&there), there.body));
    one.delete(&name).await.expect(200);
    assert_eq!(one.get(path).await.status, 404);
}

#[tokio::test]
async fn large_documents_are_compressed_for_those_who_read_that() {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("one").await;
    let path = "/openapi/v3/api/v1";
    let plain = client.get(path).await;
    for _ in 0..2 {
        let packed = client.get_with(path, &[(header::ACCEPT_ENCODING, "gzip")]).await;
        assert_eq!(packed.headers[header::CONTENT_ENCODING], "gzip");
        assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < plain.body.len() / 4);
        assert_eq!(tag(&packed), tag(&plain));
    }
    let request = Request::builder().method(Method::GET).uri(path).body(Body::empty());
    assert_eq!(atoll.root().call(request.expect("a request")).await.status(), 403, "documents are not for everybody");
}

/// Scripts find what they look for in the text of these documents, by fields that follow each other.
#[tokio::test]
async fn documents_tell_their_fields_in_the_order_in_which_kubernetes_writes_them() {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    client.post(DEFINITIONS, definition("Boat", &["v1"])).await.expect(201);
    let maps = r#"{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap","verbs":["create","delete","deletecollection","get","list","patch","update","watch"],"shortNames":["cm"],"storageVersionHash":"#;
    let review = r#"{"name":"serviceaccounts/token","singularName":"","namespaced":true,"group":"authentication.k8s.io","version":"v1","kind":"TokenRequest","verbs":["create"]}"#;
    let boats = r#"{"resource":"boats","responseKind":{"group":"sea.example.com","version":"v1","kind":"Boat"},"scope":"Namespaced","singularResource":"boat","verbs":["#;
    let cases = [
        ("/api", "*/*", r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[{"clientCIDR":"#),
        ("/api/v1", "*/*", r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"#),
        ("/api/v1", "*/*", maps),
        ("/api/v1", "*/*", review),
        ("/apis/sea.example.com/v1", "*/*", r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"sea."#),
        ("/apis", "*/*", r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"#),
        (
            "/apis/apps",
            "*/*",
            r#"{"kind":"APIGroup","apiVersion":"v1","name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":"#,
        ),
        (
            "/apis",
            AGGREGATED,
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":["#,
        ),
        ("/apis", AGGREGATED, boats),
        (
            "/api/v1?pretty=true",
            "*/*",
            "{\n  \"kind\": \"APIResourceList\",\n  \"groupVersion\": \"v1\",\n  \"resources\": [",
        ),
        ("/version", "*/*", "{\n  \"major\": \"1\",\n  \"minor\": \"36\",\n  \"emulationMajor\": \"1\","),
        ("/", "*/*", "{\n  \"paths\": [\n    \"/"),
    ];
    for (path, accept, part) in cases {
        let text = String::from_utf8_lossy(&client.get_as(path, accept).await.body).into_owned();
        assert!(text.contains(part), "{path} as {accept}: {part} is not in {text}");
    }
}
