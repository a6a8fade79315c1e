//! What kube-apiserver 1.36 answers to requests at the edges: compared with a real one, beyond what is recorded.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::requests::{CONFIG_MAPS, config_map};
use crate::server::{APPLY_PATCH, Atoll, Client, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

async fn team() -> (Atoll, Client) {
    let atoll = Atoll::start().await;
    let client = atoll.cluster("team").await;
    client.post(CONFIG_MAPS, config_map("there", "x")).await.expect(201);
    (atoll, client)
}

#[track_caller]
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn versions_that_are_no_numbers_are_told_as_kubernetes_tells_them() {
    let (_atoll, client) = team().await;
    let mut named = config_map("new", "x");
    named["metadata"]["resourceVersion"] = "5".into();
    let refused = client.post(CONFIG_MAPS, named).await.expect(500);
    assert_eq!(refused["message"], "resourceVersion should not be set on objects to be created");
    let change = json!({"metadata": {"resourceVersion": "abc"}});
    let refused = client.patch(&format!("{CONFIG_MAPS}/there"), MERGE_PATCH, change).await.expect(500);
    assert_eq!(refused["message"], "strconv.ParseUint: parsing \"abc\": invalid syntax");
    client.get(&format!("{CONFIG_MAPS}?resourceVersion=abc")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn a_page_goes_on_at_its_own_version_only_and_version_zero_knows_no_pages() {
    let (_atoll, client) = team().await;
    client.post(CONFIG_MAPS, config_map("too", "x")).await.expect(201);
    let page = client.get(&format!("{CONFIG_MAPS}?limit=1")).await.expect(200);
    let token = text(&page, "/metadata/continue");
    assert!(!token.is_empty(), "{page}");
    client.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}&resourceVersion=5")).await.refused(400, "BadRequest");
    let all = client.get(&format!("{CONFIG_MAPS}?limit=1&resourceVersion=0")).await.expect(200);
    assert!(all["items"].as_array().is_some_and(|items| items.len() >= 2), "{all}");
    assert_eq!(text(&all, "/metadata/continue"), "");
}

/// Policy that all clusters share was once on the first page as a whole, however little was asked for.
#[tokio::test]
async fn pages_count_what_a_cluster_sees_without_having_stored_it() {
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let (atoll, client) = team().await;
    let other = atoll.cluster("other").await;
    for name in ["aa-first", "cluster-b", "system:controller:zz", "zz-last"] {
        let role =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
        client.post(ROLES, role).await.expect(201);
    }
    for client in [&client, &other] {
        let names = |list: &Value| -> Vec<String> {
            let items = list["items"].as_array().into_iter().flatten();
            items.map(|item| text(item, "/metadata/name").to_owned()).collect()
        };
        let whole = names(&client.get(ROLES).await.expect(200));
        let (mut paged, mut token) = (Vec::new(), String::new());
        loop {
            let page = client.get(&format!("{ROLES}?limit=7&continue={token}")).await.expect(200);
            paged.extend(names(&page));
            let remaining = page["metadata"]["remainingItemCount"].as_u64().unwrap_or_default();
            assert_eq!(remaining, (whole.len() - paged.len()) as u64, "after {}", paged.len());
            token = text(&page, "/metadata/continue").to_owned();
            if token.is_empty() {
                break;
            }
            assert_eq!(paged.len() % 7, 0, "a page is full before the next one");
        }
        assert_eq!(paged, whole);
        let chosen = "labelSelector=rbac.authorization.k8s.io/aggregate-to-admin%3Dtrue";
        let whole = names(&client.get(&format!("{ROLES}?{chosen}")).await.expect(200));
        let page = client.get(&format!("{ROLES}?{chosen}&limit=1")).await.expect(200);
        assert_eq!((names(&page).as_slice(), whole.len() > 1), (&whole[..1], true));
        let token = text(&page, "/metadata/continue");
        assert_eq!(names(&client.get(&format!("{ROLES}?{chosen}&continue={token}")).await.expect(200)), whole[1..]);
    }
}

#[tokio::test]
async fn a_watch_from_a_version_still_to_come_is_silent() {
    let (_atoll, client) = team().await;
    let mut watch = client.watch(&format!("{CONFIG_MAPS}?resourceVersion=999999&timeoutSeconds=1")).await;
    client.post(CONFIG_MAPS, config_map("unseen", "x")).await.expect(201);
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn what_a_client_says_of_generation_and_deletion_stays_where_nobody_counts() {
    let (_atoll, client) = team().await;
    let mut object = config_map("counted", "x");
    object["metadata"]["generation"] = 7.into();
    object["metadata"]["deletionTimestamp"] = "2001-01-01T00:00:00Z".into();
    object["metadata"]["deletionGracePeriodSeconds"] = 5.into();
    let made = client.post(CONFIG_MAPS, object).await.expect(201);
    assert_eq!(made["metadata"]["generation"], 7);
    assert!(!made.to_string().contains("deletion"), "{made}");
}

#[tokio::test]
async fn strategic_patches_that_leave_nonsense_are_refused_in_the_words_of_gos_converter() {
    let (_atoll, client) = team().await;
    let deployment = json!({
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        }},
    });
    client.post(DEPLOYMENTS, deployment).await.expect(201);
    let of_pods = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
    let cases = [
        (json!({"metadata": {"labels": "invalid"}}), "cannot restore map from string"),
        (json!({"metadata": {"finalizers": "x"}}), "cannot restore slice from string"),
        (json!({"metadata": {"creationTimestamp": 7}}), "json: cannot unmarshal number into Go value of type string"),
        (json!({"spec": {"replicas": "x"}}), "unrecognized type: int32"),
        (json!({"spec": {"replicas": 1.5}}), "cannot convert float64 to int32"),
        (json!({"spec": {"paused": "x"}}), "unrecognized type: bool"),
        (json!({"spec": {"template": 7}}), "cannot restore struct from: int64"),
        (of_pods(json!({"serviceAccountName": 7})), "cannot convert int64 to string"),
        (of_pods(json!({"serviceAccountName": 7.5})), "unrecognized type: string"),
        (of_pods(json!({"serviceAccountName": true})), "unrecognized type: string"),
        (of_pods(json!({"nodeSelector": [1]})), "cannot restore map from slice"),
        (of_pods(json!({"nodeSelector": {"a": 1}})), "cannot convert int64 to string"),
    ];
    for (patch, why) in cases {
        let refused =
            client.patch(&format!("{DEPLOYMENTS}/d"), STRATEGIC_PATCH, patch.clone()).await.refused(422, "Invalid");
        let message = text(&refused, "/message");
        assert!(
            message.starts_with("patch: Invalid value: \"map[") || message.contains(" is invalid: patch: "),
            "{message}"
        );
        assert!(message.ends_with(&format!("]\": {why}")), "{patch}: {message}");
    }
}

#[tokio::test]
async fn deletions_take_their_options_in_any_encoding() {
    let (_atoll, client) = team().await;
    let path = format!("{CONFIG_MAPS}/there");
    client.send(Method::DELETE, &path, "text/plain", "x").await.refused(415, "UnsupportedMediaType");
    let dry = "kind: DeleteOptions\napiVersion: v1\ndryRun: [All]\n";
    client.send(Method::DELETE, &path, "application/yaml", dry).await.expect(200);
    client.get(&path).await.expect(200);
    // k8s\0, TypeMeta of v1 DeleteOptions, and a message with `dryRun: [All]`.
    let mut bytes = b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x05\x2a\x03All".to_vec();
    client.send(Method::DELETE, &path, "application/vnd.kubernetes.protobuf", bytes.clone()).await.expect(200);
    client.get(&path).await.expect(200);
    bytes.truncate(25);
    bytes.extend_from_slice(b"\x12\x00");
    client.send(Method::DELETE, &path, "application/vnd.kubernetes.protobuf", bytes).await.expect(200);
    client.get(&path).await.refused(404, "NotFound");
}

#[tokio::test]
async fn patches_mean_the_object_that_is_there() {
    let (_atoll, client) = team().await;
    let path = format!("{CONFIG_MAPS}/there");
    client.patch(&path, MERGE_PATCH, json!({"metadata": {"uid": "other"}})).await.refused(422, "Invalid");
    client.send(Method::PATCH, &format!("{CONFIG_MAPS}/absent"), JSON_PATCH, "[{").await.refused(404, "NotFound");
    client.send(Method::PATCH, &path, JSON_PATCH, "[{").await.refused(400, "BadRequest");
    let applied = format!("{path}?fieldManager=it");
    for body in [
        json!({"metadata": {"name": "there"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}),
    ] {
        client.patch(&applied, APPLY_PATCH, body).await.refused(400, "BadRequest");
    }
}

#[tokio::test]
async fn an_applied_element_without_its_key_is_for_validation_to_refuse() {
    let (_atoll, client) = team().await;
    let deployment = |container: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}},
        })
    };
    client.post(DEPLOYMENTS, deployment(json!({"name": "c", "image": "i"}))).await.expect(201);
    let path = format!("{DEPLOYMENTS}/web?fieldManager=it");
    let refused = client.patch(&path, APPLY_PATCH, deployment(json!({"image": "i"}))).await;
    assert_eq!(text(&refused.json(), "/details/causes/0/field"), "spec.template.spec.containers[1].name");
    refused.refused(422, "Invalid");
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_refused() {
    let (_atoll, client) = team().await;
    for (method, path, status, reason) in [
        (Method::PUT, "/version", 405, "MethodNotAllowed"),
        (Method::POST, "/version", 405, "MethodNotAllowed"),
        (Method::GET, "/api/v1/bindings", 404, "NotFound"),
        (Method::PUT, "/api/v1/bindings", 404, "NotFound"),
        (Method::GET, "/api/v1/namespaces/default/pods/absent/log", 404, "NotFound"),
    ] {
        client.send(method, path, "application/json", "{}").await.refused(status, reason);
    }
    for path in [CONFIG_MAPS, "/version", "/api/v1"] {
        assert_eq!(client.send(Method::HEAD, path, "", "").await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn patches_of_no_known_kind_are_refused_by_the_route_of_built_in_kinds() {
    let (_atoll, client) = team().await;
    for path in [format!("{CONFIG_MAPS}/there"), format!("{CONFIG_MAPS}/absent"), format!("{DEPLOYMENTS}/absent/scale")]
    {
        for media_type in ["application/json", "text/plain", "", "application/apply-patch+cbor"] {
            let refused = client.patch(&path, media_type, json!({})).await.refused(415, "UnsupportedMediaType");
            assert_eq!(refused["message"], "415: Unsupported Media Type", "{path} {media_type}");
        }
    }
}

#[tokio::test]
async fn documents_without_a_route_are_read_whatever_the_method_is() {
    let (_atoll, client) = team().await;
    let nothing = "only the following media types are accepted: ";
    let no_route = "406: Not Acceptable\n\nAvailable representations: ";
    for (path, status, refusal) in [
        ("/apis", 200, nothing),
        ("/apis/", 200, nothing),
        ("/apis/apps", 200, nothing),
        ("/apis/apps/v1", 405, no_route),
        ("/apis/apiregistration.k8s.io", 405, no_route),
        ("/api", 405, no_route),
        ("/openid/v1/jwks", 405, no_route),
    ] {
        for method in [Method::POST, Method::HEAD, Method::DELETE] {
            assert_eq!(client.send(method, path, "application/json", "{}").await.status, status, "{path}");
        }
        let refused = client.get_as(path, "text/html").await.refused(406, "NotAcceptable");
        assert!(text(&refused, "/message").starts_with(refusal), "{path}: {refused}");
    }
    client.send(Method::POST, "/", "application/json", "{}").await.expect(200);
    client.get("/.well-known/openid-configuration/").await.expect(200);
    for (path, body) in
        [("/openapi/v2/", "404 page not found\n"), ("/openapi/v3/", ""), ("/openapi/v3/apis/nope/v1", "")]
    {
        let absent = client.get(path).await;
        assert_eq!((absent.status.as_u16(), absent.text().as_str()), (404, body), "{path}");
    }
}

#[tokio::test]
async fn faults_in_the_text_of_a_configuration_are_told_after_what_the_schema_does_not_know() {
    let (_atoll, client) = team().await;
    let apply = async |body: &'static str| {
        let path = format!("{CONFIG_MAPS}/there?fieldManager=it&fieldValidation=Strict");
        client.send(Method::PATCH, &path, APPLY_PATCH, body).await
    };
    let twice = apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: there}, data: {a: x, a: z}}").await;
    assert!(text(&twice.refused(400, "BadRequest"), "/message").starts_with("error strict decoding YAML: "));
    let unknown = apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: there}, data: {a: x, a: z}, zip: 1}").await;
    assert!(text(&unknown.expect(500), "/message").ends_with(".zip: field not declared in schema"));
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_before_it_is_looked_for() {
    let (_atoll, client) = team().await;
    for accept in ["text/html", "application/json;as=Table", "application/json;as=Nope;g=meta.k8s.io;v=v1"] {
        client.get_as(&format!("{CONFIG_MAPS}/absent"), accept).await.refused(406, "NotAcceptable");
    }
    client.get_as("/openid/v1/jwks", "application/json").await.refused(406, "NotAcceptable");
}

#[tokio::test]
async fn discovery_lists_groups_by_priority_and_can_be_had_in_protobuf() {
    let (_atoll, client) = team().await;
    let groups = client.get("/apis").await.expect(200);
    let names: Vec<&str> = (0..3).map(|i| text(&groups, &format!("/groups/{i}/name"))).collect();
    assert!(names.contains(&"apps") && names.contains(&"events.k8s.io"), "{names:?}");
    let pods = client.get_as("/api", AGGREGATED).await.expect(200).to_string();
    assert!(pods.contains(r#"{"group":"","kind":"Pod","version":""}"#), "{pods}");
    for path in ["/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1"] {
        let answer = client.get_as(path, "application/vnd.kubernetes.protobuf").await;
        assert!(answer.status == 200 && answer.body.starts_with(b"k8s\0"), "{path}: {}", answer.text());
    }
    let paths = client.get("/").await.expect(200)["paths"].to_string();
    assert!(paths.contains("\"/apis/apps/v1\"") && paths.contains("\"/version\""), "{paths}");
}

#[tokio::test]
async fn a_namespace_with_a_generated_name_carries_it_as_a_label() {
    let (_atoll, client) = team().await;
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "made-"}});
    let made = client.post("/api/v1/namespaces", body).await.expect(201);
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], made["metadata"]["name"]);
}

#[tokio::test]
async fn nodes_tell_of_themselves_and_pods_that_wait_say_so_from_the_start() {
    let (_atoll, client) = team().await;
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
        "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
    });
    let node = client.post("/api/v1/nodes", node).await.expect(201);
    assert_eq!((&node["status"]["allocatable"]["cpu"], &node["status"]["capacity"]["cpu"]), (&"4".into(), &"4".into()));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {
            "schedulingGates": [{"name": "a.b/c"}], "resources": {"limits": {"cpu": "2"}},
            "containers": [{"name": "c", "image": "i", "resources": {
                "requests": {"memory": "1Gi"}, "limits": {"hugepages-2Mi": "2Mi", "memory": "1Gi"}}}],
        },
        "status": {"phase": "Running"},
    });
    let pod = client.post("/api/v1/namespaces/default/pods", pod).await.expect(201);
    assert_eq!(text(&pod, "/status/conditions/0/reason"), "SchedulingGated");
    assert_eq!(pod["status"]["phase"], "Pending");
    let wanted = json!({
        "limits": {"cpu": "2", "hugepages-2Mi": "2Mi"}, "requests": {"cpu": "2", "hugepages-2Mi": "2Mi", "memory": "1Gi"},
    });
    assert_eq!(pod["spec"]["resources"], wanted);
}

#[tokio::test]
async fn a_page_that_is_minutes_old_is_gone_on_with_only_as_things_are_now() {
    let (_atoll, client) = team().await;
    for name in ["one", "two"] {
        client.post(CONFIG_MAPS, config_map(name, "x")).await.expect(201);
    }
    let page = client.get(&format!("{CONFIG_MAPS}?limit=1")).await.expect(200);
    let token = URL_SAFE_NO_PAD.decode(text(&page, "/metadata/continue")).expect("base64");
    let mut token: Value = serde_json::from_slice(&token).expect("JSON");
    let lasts = token["until"].as_i64().expect("it says how long it holds") - Timestamp::now().as_second();
    assert!((60..600).contains(&lasts), "{lasts}");
    token["until"] = 1.into();
    let old = URL_SAFE_NO_PAD.encode(token.to_string());
    let refused = client.get(&format!("{CONFIG_MAPS}?limit=1&continue={old}")).await.refused(410, "Expired");
    let newer = text(&refused, "/metadata/continue");
    let rest = client.get(&format!("{CONFIG_MAPS}?continue={newer}")).await.expect(200);
    let left = rest["items"].as_array().map_or(0, Vec::len);
    assert_eq!(left + 1, client.get(CONFIG_MAPS).await.expect(200)["items"].as_array().map_or(0, Vec::len));
}

#[tokio::test]
async fn documents_are_json_for_clients_who_would_rather_have_protobuf() {
    let (_atoll, client) = team().await;
    for path in ["/version", "/", "/openapi/v3", "/openapi/v3/apis/apps/v1"] {
        client.get_as(path, "application/vnd.kubernetes.protobuf,*/*").await.expect(200);
    }
}

#[tokio::test]
async fn a_timeout_that_is_none_is_refused_and_one_that_is_long_is_shortened() {
    let (_atoll, client) = team().await;
    let refused = client.get("/version?timeout=invalid").await.refused(400, "BadRequest");
    assert!(text(&refused, "/message").starts_with("invalid timeout specified in the request URL"), "{refused}");
    client.get(&format!("{CONFIG_MAPS}?timeout=3m")).await.expect(200);
}

#[tokio::test]
async fn what_is_no_row_of_a_table_is_not_shown_as_one() {
    let (_atoll, client) = team().await;
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review = json!({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}});
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    client.post_as(reviews, table, review.clone()).await.refused(406, "NotAcceptable");
    client.post_as(reviews, "application/json", review).await.expect(201);
}
