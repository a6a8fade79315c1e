//! What kube-apiserver 1.36 answers about rights: escalation, reviews, acting as others. Compared with a real one, beyond what
//! is recorded.

use serde_json::{Value, json};

use crate::server::{Atoll, Client};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1";

fn role(name: &str, rules: Value) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str) -> Value {
    json!({"metadata": {"name": name}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}})
}

/// An administrator, and bob with these rules in the namespace `default` and everywhere else.
async fn with_bob(rules: Value) -> (Atoll, Client, Client) {
    let atoll = Atoll::start().await;
    let admin = atoll.cluster("team").await;
    admin.post(&format!("{RBAC}/clusterroles"), role("bobs", rules)).await.expect(201);
    admin.post(&format!("{RBAC}/clusterrolebindings"), binding("bobs", "ClusterRole", "bobs")).await.expect(201);
    let bob = admin.user("bob", &[]);
    (atoll, admin, bob)
}

fn writes_of_policy() -> Value {
    json!({"apiGroups": ["rbac.authorization.k8s.io"], "verbs": ["get", "create", "update", "patch"],
        "resources": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"]})
}

#[tokio::test]
async fn the_right_to_escalate_one_role_counts_where_the_path_names_it() {
    let escalate = json!({"apiGroups": ["rbac.authorization.k8s.io"], "verbs": ["escalate"], "resources": ["roles"],
        "resourceNames": ["big"]});
    let (_atoll, _admin, bob) = with_bob(json!([writes_of_policy(), escalate])).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let all = || role("big", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]));
    bob.post(&roles, all()).await.refused(403, "Forbidden");
    bob.put(&format!("{roles}/big"), all()).await.expect(201);
}

#[tokio::test]
async fn roles_that_are_not_there_are_told_of_as_the_resource_that_is_written() {
    let (_atoll, _admin, bob) = with_bob(json!([writes_of_policy()])).await;
    let within = format!("{RBAC}/namespaces/default/rolebindings");
    let missing = bob.post(&within, binding("a", "Role", "nope")).await.refused(404, "NotFound");
    assert_eq!(missing["message"], "rolebindings.rbac.authorization.k8s.io \"nope\" not found");
    let across = format!("{RBAC}/clusterrolebindings");
    let missing = bob.post(&across, binding("a", "ClusterRole", "nope")).await.refused(404, "NotFound");
    assert_eq!(missing["details"]["kind"], "clusterrolebindings");
    let nowhere = bob.post(&across, binding("a", "Role", "nope")).await.refused(400, "BadRequest");
    assert_eq!(nowhere["message"], "Namespace parameter required.");
    let empty = json!({"metadata": {"name": "e"}, "rules": [], "aggregationRule": {"clusterRoleSelectors": []}});
    bob.post(&format!("{RBAC}/clusterroles"), empty).await.refused(422, "Invalid");
}

#[tokio::test]
async fn reviews_take_subresources_within_the_resource_and_tell_of_selectors_they_pass_over() {
    let (_atoll, admin, _bob) =
        with_bob(json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}])).await;
    let path = format!("{REVIEWS}/subjectaccessreviews");
    let ask = |attributes: Value| json!({"spec": {"user": "bob", "resourceAttributes": attributes}});
    let answer = admin.post(&path, ask(json!({"verb": "get", "resource": "pods/log"}))).await.expect(201);
    assert_eq!(answer["status"]["allowed"], true, "{answer}");
    for (selectors, expected) in [
        (
            json!({"fieldSelector": {"rawSelector": "x"}}),
            "spec.resourceAttributes.fieldSelector ignored due to parse error",
        ),
        (json!({"fieldSelector": {"rawSelector": "a=b"}}), ""),
        (
            json!({"fieldSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}}),
            "spec.resourceAttributes.fieldSelector ignored due to parse error",
        ),
        (
            json!({"fieldSelector": {"requirements": [
                {"key": "a", "operator": "Exists"}, {"key": "b", "operator": "In", "values": ["c"]}]}}),
            "spec.resourceAttributes.fieldSelector partially ignored due to parse error",
        ),
        (
            json!({"labelSelector": {"rawSelector": "=!x"}}),
            "spec.resourceAttributes.labelSelector ignored due to parse error",
        ),
        (
            json!({"fieldSelector": {"rawSelector": "x"}, "labelSelector": {"rawSelector": "!!"}}),
            "spec.resourceAttributes.fieldSelector ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error",
        ),
        (json!({"labelSelector": {"requirements": [{"key": "a", "operator": "Exists"}]}}), ""),
    ] {
        let mut attributes = json!({"verb": "list", "resource": "pods"});
        attributes.as_object_mut().expect("a map").extend(selectors.as_object().expect("a map").clone());
        let answer = admin.post(&path, ask(attributes)).await.expect(201);
        assert_eq!(answer["status"]["evaluationError"].as_str().unwrap_or_default(), expected, "{selectors}");
    }
}

#[tokio::test]
async fn reviews_are_no_objects() {
    let (_atoll, admin, bob) = with_bob(json!([])).await;
    for method in [http::Method::GET, http::Method::PUT, http::Method::DELETE] {
        let path = format!("{REVIEWS}/selfsubjectaccessreviews/x");
        admin.send(method, &path, "application/json", "{}").await.refused(404, "NotFound");
    }
    let sent = json!({"metadata": {"name": "x"}, "status": {"userInfo": {"username": "zz"}}});
    let told = bob.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", sent).await.expect(201);
    let metadata = told["metadata"].as_object().map(|metadata| metadata.keys().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(metadata, Some(vec!["creationTimestamp"]));
    assert_eq!(told["status"]["userInfo"]["username"], "bob");
    let local = format!("{REVIEWS}/namespaces/default/localsubjectaccessreviews");
    let spec =
        json!({"user": "bob", "resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}});
    let refused = admin.post(&local, json!({"metadata": {"labels": {"a": "b"}, "uid": "u"}, "spec": spec})).await;
    let told = refused.refused(422, "Invalid")["details"]["causes"][0]["message"].to_string();
    assert!(told.contains("must be empty except for namespace") && !told.contains("uid"), "{told}");
}
