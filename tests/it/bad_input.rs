//! Bad input: the `Status` that Kubernetes gives, and a server that goes on.

use http::Method;
use serde_json::json;

use crate::requests::{CONFIG_MAPS, DEFINITIONS, WIDGETS, config_map, definition, widget};
use crate::server::{Answer, Atoll, Client, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const MAP: &str = "/api/v1/namespaces/default/configmaps/shared";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// The most bytes a body may have.
const LIMIT: usize = 3 * 1024 * 1024;

/// A server, and a cluster with an object of a built-in and one of a custom kind.
async fn prepared() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    client.post(CONFIG_MAPS, config_map("shared", "before")).await.expect(201);
    client.post(DEFINITIONS, definition("string")).await.expect(201);
    client.post(WIDGETS, widget("shared", "before")).await.expect(201);
    (atoll, client)
}

/// The server goes on, and nothing was changed.
#[track_caller]
fn check_unharmed(after: &Answer, asked: &str) {
    let map = after.clone().expect(200);
    assert_eq!(map["data"], json!({"mark": "before"}), "after {asked}");
}

/// A request, and the code and reason of its answer.
struct Case<'a> {
    what: &'a str,
    method: Method,
    path: &'a str,
    media_type: &'a str,
    body: String,
    status: u16,
    reason: &'a str,
}

async fn check(client: &Client, cases: Vec<Case<'_>>) {
    let mut wrong = Vec::new();
    for case in cases {
        let body_start: String = case.body.chars().take(100).collect();
        let answer = client.send(case.method, case.path, case.media_type, case.body).await;
        let body = answer.json();
        let told = (answer.status.as_u16(), body["reason"].as_str().unwrap_or_default());
        if told != (case.status, case.reason) || body["kind"] != "Status" {
            let expected = (case.status, case.reason);
            wrong.push(format!(
                "{}: {body_start:?}: expected {expected:?}, {} gave {told:?}: {}",
                case.what,
                answer.asked,
                answer.text()
            ));
        }
        check_unharmed(&client.get(MAP).await, case.what);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A body that is refused when it is to become an object of a collection.
fn posted<'a>(
    what: &'a str,
    path: &'a str,
    media_type: &'a str,
    body: impl Into<String>,
    (status, reason): (u16, &'a str),
) -> Case<'a> {
    Case { what, method: Method::POST, path, media_type, body: body.into(), status, reason }
}

const BAD: (u16, &str) = (400, "BadRequest");
const INVALID: (u16, &str) = (422, "Invalid");
const TOO_LARGE: (u16, &str) = (413, "RequestEntityTooLarge");
const MEDIA_TYPE: (u16, &str) = (415, "UnsupportedMediaType");

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let (_atoll, client) = prepared().await;
    let mut cases = Vec::new();
    for (what, path) in [("built-in", CONFIG_MAPS), ("custom", WIDGETS)] {
        for body in ["", "{", "[]", "5", "\"x\"", "{\"a\":}", "{}{}", "{\"metadata\": {\"name\": \"a\"}", "\u{0}"] {
            cases.push(posted(what, path, JSON, body, BAD));
        }
        for body in ["a: [", "- a", "\"unclosed", "a: b\n c: d", "\t- x", "a: *nobody", "? [a]: b"] {
            cases.push(posted(what, path, YAML, body, BAD));
        }
    }
    check(&client, cases).await;
}

#[tokio::test]
async fn values_of_wrong_types_are_refused() {
    let (_atoll, client) = prepared().await;
    let mut cases = Vec::new();
    for body in [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": 5}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": 5}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 5}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": []}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": ["a"]}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "binaryData": {"a": "%%"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
        json!({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "a"}}),
        json!({"apiVersion": 5, "kind": "ConfigMap", "metadata": {"name": "a"}}),
    ] {
        cases.push(posted("built-in", CONFIG_MAPS, JSON, body.to_string(), BAD));
    }
    let deployment = |replicas: &str| {
        format!(
            "{{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{{\"name\":\"a\"}},\"spec\":{{\"replicas\":{replicas}}}}}"
        )
    };
    for replicas in ["\"5\"", "5.5", "99999999999999999999", "2147483648", "true", "{}", "1e400"] {
        cases.push(posted("a number out of bounds", DEPLOYMENTS, JSON, deployment(replicas), BAD));
    }
    for body in [
        json!({"apiVersion": "it.example.com/v2", "kind": "Widget", "metadata": {"name": "a"}}),
        json!({"kind": "Widget", "metadata": {"name": "a"}}),
        json!({"apiVersion": "it.example.com/v1", "metadata": {"name": "a"}}),
    ] {
        cases.push(posted("custom", WIDGETS, JSON, body.to_string(), BAD));
    }
    for spec in [json!(5), json!([]), json!({"mark": 5}), json!({"mark": {}})] {
        let body =
            json!({"apiVersion": "it.example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec});
        cases.push(posted("custom", WIDGETS, JSON, body.to_string(), INVALID));
    }
    let gadget = json!({"apiVersion": "it.example.com/v1", "kind": "Gadget", "metadata": {"name": "a"}});
    cases.push(posted("custom", WIDGETS, JSON, gadget.to_string(), INVALID));
    check(&client, cases).await;
}

#[tokio::test]
async fn bodies_too_deep_or_too_large_are_refused() {
    let (_atoll, client) = prepared().await;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let mut cases = Vec::new();
    for path in [CONFIG_MAPS, WIDGETS] {
        for body in [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(1_000_000), "{\"a\":".repeat(500_000)] {
            cases.push(posted("deep JSON", path, JSON, body, BAD));
        }
        for body in [deep("[", "]"), deep("{a: ", "}"), "- ".repeat(100_000), "[".repeat(1_000_000)] {
            cases.push(posted("deep YAML", path, YAML, body, BAD));
        }
        let aliases = (0..40).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
            format!("{text}a{}: &a{} [*a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1, n + 1)
        });
        cases.push(posted("aliases of aliases", path, YAML, aliases, BAD));
        for media_type in [JSON, YAML] {
            cases.push(posted("one byte too many", path, media_type, " ".repeat(LIMIT + 1), TOO_LARGE));
        }
        let object = format!("{path}/shared?fieldManager=it");
        for media_type in [MERGE_PATCH, JSON_PATCH, crate::server::APPLY_PATCH] {
            let too_large = " ".repeat(LIMIT + 1);
            let (status, reason) = TOO_LARGE;
            let client = &client;
            let answer = client.send(Method::PATCH, &object, media_type, too_large).await;
            answer.refused(status, reason);
            let answer = client.send(Method::PATCH, &object, media_type, deep("{\"a\":", "}")).await;
            assert!(answer.status.is_client_error(), "{media_type}: {}: {}", answer.asked, answer.text());
        }
    }
    check(&client, cases).await;
    let data = "x".repeat(1024 * 1024 + 1);
    let large = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"a": data}});
    client.post(CONFIG_MAPS, large).await.refused(422, "Invalid");
}

#[tokio::test]
async fn bad_names_are_refused() {
    let (_atoll, client) = prepared().await;
    let long = "a".repeat(254);
    let mut cases = Vec::new();
    for name in ["A", "a_b", "-a", "a-", ".", "..", "a/b", "a%b", "a b", "ä", "a..b", &long] {
        cases.push(posted("built-in", CONFIG_MAPS, JSON, config_map(name, "x").to_string(), INVALID));
        cases.push(posted("custom", WIDGETS, JSON, widget(name, "x").to_string(), INVALID));
    }
    cases.push(posted(
        "no name",
        CONFIG_MAPS,
        JSON,
        json!({"apiVersion": "v1", "kind": "ConfigMap"}).to_string(),
        INVALID,
    ));
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string();
    for name in ["a.b", "A", &"a".repeat(64)] {
        cases.push(posted("a namespace", "/api/v1/namespaces", JSON, namespace(name), INVALID));
    }
    let elsewhere = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other"}});
    cases.push(posted("another namespace", CONFIG_MAPS, JSON, elsewhere.to_string(), BAD));
    cases.push(Case {
        what: "another name than the path's",
        method: Method::PUT,
        path: MAP,
        media_type: JSON,
        body: config_map("other", "x").to_string(),
        status: 400,
        reason: "BadRequest",
    });
    check(&client, cases).await;
}

#[tokio::test]
async fn a_cluster_segment_that_is_no_name_reaches_no_cluster() {
    let (atoll, client) = prepared().await;
    client.post(CONFIG_MAPS, config_map("secret-of-team", "x")).await.expect(201);
    let long = format!("/clusters/{}", "a".repeat(300));
    for prefix in [
        "/clusters/",
        "/clusters/..",
        "/clusters/.",
        "/clusters/%2e%2e",
        "/clusters/%2E",
        "/clusters/a%2fb",
        "/clusters/team%2f",
        "/clusters/team%2Fapi",
        "/clusters/%2fteam",
        "/clusters/Team",
        "/clusters/team%00",
        "/clusters/te%61m",
        "/clusters/team;x",
        "/clusters/*x",
        "/clusters/%2a",
        "/clusters/**",
        "/clusters/team%252f",
        "/clusters/-team",
        "/clusters/te%C3%A4m",
        "/clusters/a::b",
        "/clusters/:team",
        "/clusters/x/../team",
        "/clusters/team/../team",
        "/clusters/x/clusters/team",
        "/clusters//team",
        long.as_str(),
        "/clusters/%",
        "/clusters/%zz",
        "/clusters/team%5c",
    ] {
        for who in [atoll.root(), client.anonymous()] {
            let answer = who.below(prefix).get("/api/v1/configmaps").await;
            assert!(answer.status.is_client_error(), "{}: {}", answer.asked, answer.text());
            assert!(!answer.text().contains("secret-of-team"), "{}: {}", answer.asked, answer.text());
        }
    }
    for prefix in ["/clusters/..", "/clusters/%2e%2e", "/clusters/a%2fb", "/clusters/Team", "/clusters/%2a"] {
        atoll.root().below(prefix).get("/api").await.refused(400, "BadRequest");
    }
    check_unharmed(&client.get(MAP).await, "bad cluster segments");
}

#[tokio::test]
async fn unknown_verbs_and_media_types_are_refused() {
    let (_atoll, client) = prepared().await;
    let map = config_map("a", "x").to_string();
    let mut cases = Vec::new();
    for media_type in
        ["text/csv", "application/xml", "application/jsonx", "application/x-www-form-urlencoded", "nonsense"]
    {
        cases.push(posted("media type", CONFIG_MAPS, media_type, map.clone(), MEDIA_TYPE));
        cases.push(posted("media type", WIDGETS, media_type, widget("a", "x").to_string(), MEDIA_TYPE));
    }
    for media_type in [JSON, YAML, "text/plain", "application/nonsense-patch+json", ""] {
        let (status, reason) = MEDIA_TYPE;
        cases.push(Case {
            what: "patch",
            method: Method::PATCH,
            path: MAP,
            media_type,
            body: "{}".into(),
            status,
            reason,
        });
    }
    let widget = format!("{WIDGETS}/shared");
    let (status, reason) = MEDIA_TYPE;
    let (method, body) = (Method::PATCH, "{}".to_owned());
    cases.push(Case { what: "custom kinds", method, path: &widget, media_type: STRATEGIC_PATCH, body, status, reason });
    check(&client, cases).await;
    for accept in ["text/html", "application/xml", "image/png"] {
        for path in [MAP, CONFIG_MAPS, WIDGETS] {
            client.get_as(path, accept).await.refused(406, "NotAcceptable");
        }
    }
    for method in ["FOO", "TRACE", "CONNECT", "PROPFIND", "get"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = client.send(method, MAP, "", "").await;
        assert_eq!(answer.status, 405, "{}: {}", answer.asked, answer.text());
    }
    for (method, path) in
        [(Method::POST, MAP), (Method::PUT, CONFIG_MAPS), (Method::PATCH, CONFIG_MAPS), (Method::POST, &*widget)]
    {
        let answer = client.send(method, path, JSON, "{}").await;
        assert_eq!(answer.status, 405, "{}: {}", answer.asked, answer.text());
    }
    check_unharmed(&client.get(MAP).await, "unknown verbs");
}

#[tokio::test]
async fn bad_queries_are_refused() {
    let (_atoll, client) = prepared().await;
    for path in [CONFIG_MAPS, WIDGETS] {
        for query in [
            "limit=a",
            "continue=!!!",
            "continue=eyJ2IjoxfQ",
            "labelSelector=a==b==c",
            "labelSelector=%FF",
            "fieldSelector=spec.nothing=x",
            "fieldSelector=a",
            "resourceVersionMatch=Exact",
            "timeoutSeconds=x",
            "watch=1&resourceVersionMatch=Exact&resourceVersion=1",
            "labelSelector=a+in+(b",
        ] {
            let answer = client.get(&format!("{path}?{query}")).await;
            let code = answer.status.as_u16();
            assert!(
                matches!(code, 400 | 403 | 422) && answer.json()["kind"] == "Status",
                "{}: {}",
                answer.asked,
                answer.text()
            );
        }
        let body = if path == WIDGETS { widget("q", "x") } else { config_map("q", "x") };
        for query in ["dryRun=Some", "fieldValidation=Very", "fieldManager=%00", "dryRun=All&dryRun=x"] {
            let answer = client.post(&format!("{path}?{query}"), body.clone()).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{}: {}", answer.asked, answer.text());
        }
        client.delete(&format!("{path}/shared?propagationPolicy=Odd")).await.refused(422, "Invalid");
        client.delete(&format!("{path}/shared?gracePeriodSeconds=x")).await.refused(400, "BadRequest");
    }
    check_unharmed(&client.get(MAP).await, "bad queries");
}

#[tokio::test]
async fn odd_paths_lead_nowhere() {
    let (_atoll, client) = prepared().await;
    let long = format!("/api/v1/{}", "a/".repeat(5000));
    for path in [
        "/api/v1/../../etc/passwd",
        "/api/v1/namespaces/../configmaps/x",
        "/api//v1",
        "/apis/apps/v9/deployments",
        "/apis/nothing/v1/things",
        "/api/v1/nothing",
        "/api/v1/namespaces/default/configmaps/shared/nothing",
        "/api/v1/namespaces/default/configmaps/shared/status",
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/default/nothing/x",
        "/%",
        "/%ff%fe",
        "/api/v1/namespaces/default/configmaps/..%2f..%2fsecrets",
        "/nothing",
        "/apis/apps/v1/deployments/x",
        long.as_str(),
    ] {
        for method in
            [Method::GET, Method::PUT, Method::DELETE, Method::POST, Method::PATCH, Method::HEAD, Method::OPTIONS]
        {
            if path == "/api/v1/namespaces/default" && method != Method::POST {
                continue;
            }
            let answer = client.send(method, path, JSON, "{}").await;
            assert!(answer.status.is_client_error(), "{}: {}", answer.asked, answer.text());
        }
    }
    check_unharmed(&client.get(MAP).await, "odd paths");
}

#[tokio::test]
async fn any_body_anywhere_ends_in_an_answer_that_blames_the_client() {
    let (_atoll, client) = prepared().await;
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"k8s\x00".to_vec(),
        b"k8s\x00\x0a\xff\xff\xff\xff\x0f".to_vec(),
        b"[{\"op\":\"replace\"}]".to_vec(),
        b"[{\"op\":\"test\",\"path\":\"/a/b\"}]".to_vec(),
        b"[{\"op\":\"copy\",\"from\":\"/data\",\"path\":\"/data/x\"}]".to_vec(),
        b"{\"metadata\":null}".to_vec(),
        b"{\"spec\":[[[]]]}".to_vec(),
        b"{\"metadata\":{\"managedFields\":[{\"fieldsV1\":5}]}}".to_vec(),
        b"{\"$patch\":\"odd\",\"data\":{\"$retainKeys\":5}}".to_vec(),
        b"{\"metadata\":{\"ownerReferences\":[5],\"finalizers\":[{}]}}".to_vec(),
        "\u{feff}{}".as_bytes().to_vec(),
    ];
    let media_types = [
        JSON,
        YAML,
        "application/vnd.kubernetes.protobuf",
        MERGE_PATCH,
        JSON_PATCH,
        STRATEGIC_PATCH,
        crate::server::APPLY_PATCH,
        "application/cbor",
        "text/plain",
        "",
    ];
    let status = "/apis/apps/v1/namespaces/default/deployments/x/status";
    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let one = format!("{WIDGETS}/other?fieldManager=it");
    for path in [CONFIG_MAPS, "/api/v1/namespaces/default/configmaps/other", WIDGETS, &one, DEFINITIONS, status, review]
    {
        for method in [Method::POST, Method::PUT, Method::PATCH] {
            for media_type in media_types {
                for body in &bodies {
                    let answer = client.send(method.clone(), path, media_type, body.clone()).await;
                    let code = answer.status.as_u16();
                    assert!(code < 500, "{media_type} {body:?} {}: {}", answer.asked, answer.text());
                    let is_status = !answer.status.is_success() && code != 405;
                    assert!(
                        !is_status || answer.json()["kind"] == "Status" || code == 404,
                        "{media_type} {}: {}",
                        answer.asked,
                        answer.text()
                    );
                }
            }
        }
    }
    check_unharmed(&client.get(MAP).await, "odd bodies");
}
