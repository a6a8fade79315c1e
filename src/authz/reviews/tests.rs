//! Access and rules reviews: answers, refusals, and that they speak of one cluster only.

use atoll_api::{ApiResult, Object, UserInfo, Value};
use serde_json::json;

use super::*;
use crate::authz::Chain;
use crate::authz::rbac::fake::{FakePolicy, binding, cluster, object, role, rules};

fn alice() -> UserInfo {
    UserInfo::named("alice", ["devs", "system:authenticated"])
}

/// Alice may get pods and their logs in the namespace `ns` of cluster `a`.
fn chain() -> Chain {
    let role = role("ns", "r", rules(&["get,list - pods,pods/log", "* apps deployments d"]));
    let subjects = ["User/alice", "Group/g", "ServiceAccount/ns/s"];
    FakePolicy::default().with("a", &[role, binding("ns", "b", "Role/r", &subjects)]).into_chain()
}

fn status(result: ApiResult<Object>) -> Value {
    result.expect("answered").get("status").cloned().expect("a status")
}

fn check_sar(spec: Value, expected: Value) {
    let review = object(json!({"kind": "SubjectAccessReview", "spec": spec}));
    assert_eq!(status(subject_access_review(&chain(), &cluster("a"), review)), expected, "{spec}");
}

fn check_refused(result: ApiResult<Object>, faults: &[&str]) {
    let status = result.expect_err("refused").status;
    let faults = match faults {
        [one] => (*one).to_owned(),
        many => format!("[{}]", many.join(", ")),
    };
    assert_eq!(status.code, 422);
    assert_eq!(status.message, format!(".authorization.k8s.io \"\" is invalid: {faults}"));
}

#[test]
fn an_allowing_review_names_binding_role_and_subject() {
    let pods = json!({"verb": "get", "resource": "pods", "namespace": "ns"});
    let because = |subject: &str| {
        let reason = format!("RBAC: allowed by RoleBinding \"b/ns\" of Role \"r\" to {subject}");
        json!({"allowed": true, "reason": reason})
    };
    check_sar(json!({"user": "alice", "resourceAttributes": pods}), because("User \"alice\""));
    check_sar(json!({"user": "x", "groups": ["g"], "resourceAttributes": pods}), because("Group \"g\""));
    let robot = "system:serviceaccount:ns:s";
    check_sar(json!({"user": robot, "resourceAttributes": pods}), because("ServiceAccount \"s/ns\""));
    let status = json!({"verb": "get", "resource": "pods", "subresource": "status", "namespace": "ns"});
    check_sar(json!({"user": "alice", "resourceAttributes": status}), json!({"allowed": false}));
}

#[test]
fn reviews_answer_for_any_user_or_group_as_they_are_named() {
    let nodes = json!({"verb": "delete", "resource": "nodes", "name": "n"});
    let masters = json!({"user": "x", "groups": ["system:masters"], "resourceAttributes": nodes});
    check_sar(masters, json!({"allowed": true}));
    // The group of the authenticated is not added.
    let apis = json!({"verb": "get", "path": "/apis"});
    check_sar(json!({"user": "alice", "nonResourceAttributes": apis}), json!({"allowed": false}));
    let reason = "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to Group \"system:authenticated\"";
    let groups = json!({"user": "x", "groups": ["system:authenticated"], "nonResourceAttributes": apis});
    check_sar(groups, json!({"allowed": true, "reason": reason}));
}

#[test]
fn a_self_review_keeps_the_question_and_speaks_of_its_cluster_only() {
    let ask = |name: &str| {
        let spec = json!({"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "ns"}});
        let review = object(json!({"metadata": {"managedFields": [], "namespace": "y"}, "spec": spec}));
        let answer = self_subject_access_review(&chain(), &cluster(name), &alice(), review).expect("answered");
        assert_eq!(answer.get("spec"), Some(&spec));
        assert_eq!(answer.get("metadata"), Some(&json!({"managedFields": []})));
        answer.at(&["status", "allowed"]).cloned()
    };
    assert_eq!(ask("a"), Some(json!(true)));
    assert_eq!(ask("b"), Some(json!(false)));
}

#[test]
fn a_review_asks_about_a_resource_or_a_path_and_names_somebody() {
    let sar = |value: Value| subject_access_review(&chain(), &cluster("a"), object(value));
    let one_of = "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified";
    let somebody = "spec.user: Invalid value: \"\": at least one of user or group must be specified";
    check_refused(sar(json!({"spec": {}})), &[one_of, somebody]);
    check_refused(sar(json!({"spec": {"resourceAttributes": {"verb": "get"}}})), &[somebody]);
    let both = json!({
        "user": "a", "resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"verb": "get", "path": "/"},
    });
    let not_both = "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/\",\"Verb\":\"get\"}: cannot be specified in combination with resourceAttributes";
    check_refused(sar(json!({"spec": both})), &[not_both]);
    let named = json!({
        "metadata": {"managedFields": [{"manager": "m", "apiVersion": "v1", "operation": "Update"}], "name": "x"},
        "spec": {"user": "a", "resourceAttributes": {"verb": "get"}},
    });
    let empty = "metadata: Invalid value: {\"name\":\"x\",\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Update\",\"apiVersion\":\"v1\"}]}: must be empty";
    check_refused(sar(named), &[empty]);
}

#[test]
fn selectors_are_checked_and_unknown_operators_passed_over() {
    let ask = |attributes: Value| {
        let review = object(json!({"spec": {"resourceAttributes": attributes}}));
        self_subject_access_review(&chain(), &cluster("a"), &alice(), review)
    };
    let both = json!({"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "In", "values": ["b"]}]});
    let odd = json!({"requirements": [{"key": "", "operator": "Odd"}]});
    check_refused(
        ask(json!({"fieldSelector": both, "labelSelector": odd})),
        &[
            "spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: \"a=b\": may not specified at the same time as requirements",
            "spec.resourceAttributes.labelSelector.requirements[0].key: Invalid value: \"\": name part must be non-empty",
            "spec.resourceAttributes.labelSelector.requirements[0].key: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    );
    let none = "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required";
    check_refused(ask(json!({"fieldSelector": {}})), &[none]);
    let unknown = json!({"labelSelector": {"requirements": [{"key": "a", "operator": "Odd"}]}});
    let problem = "spec.resourceAttributes.labelSelector ignored due to parse error";
    assert_eq!(status(ask(unknown))["evaluationError"], problem);
}

#[test]
fn a_local_review_stays_in_its_namespace() {
    let ask = |namespace: &str, attributes: Value| {
        let spec = json!({"user": "alice", "resourceAttributes": attributes});
        local_subject_access_review(&chain(), &cluster("a"), namespace, object(json!({"spec": spec})))
    };
    let pods = |namespace: &str| json!({"verb": "get", "resource": "pods", "namespace": namespace});
    assert_eq!(status(ask("ns", pods("ns")))["allowed"], true);
    let elsewhere = "spec.resourceAttributes.namespace: Invalid value: \"other\": must match metadata.namespace";
    check_refused(ask("ns", pods("other")), &[elsewhere]);
    let review = object(json!({"metadata": {"namespace": "x"}, "spec": {}}));
    let refused = local_subject_access_review(&chain(), &cluster("a"), "ns", review).expect_err("refused").status;
    assert_eq!(refused.code, 400);
}

#[test]
fn a_rules_review_lists_rules_of_resources_and_paths() {
    let ask = |name: &str, spec: Value| {
        let review = object(json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
            "metadata": {"managedFields": []}, "spec": spec}));
        self_subject_rules_review(&chain(), &cluster(name), &alice(), &review)
    };
    let oneself = [
        json!({"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], "verbs": ["create"]}),
        json!({"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]}),
    ];
    let own = [
        json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}),
        json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["d"], "verbs": ["*"]}),
    ];
    let answer = ask("a", json!({"namespace": "ns"})).expect("answered");
    assert_eq!((answer.get("metadata"), answer.get("spec")), (Some(&json!({})), Some(&json!({}))));
    let status = answer.get("status").expect("a status");
    let listed: Vec<&Value> = status["resourceRules"].as_array().expect("a list").iter().collect();
    assert_eq!(listed, oneself.iter().chain(&own).collect::<Vec<_>>());
    assert_eq!(status["incomplete"], false);
    assert_eq!(status["nonResourceRules"].as_array().map(Vec::len), Some(2));
    for (name, namespace) in [("a", "other"), ("b", "ns")] {
        let answer = ask(name, json!({"namespace": namespace})).expect("answered");
        assert_eq!(answer.at(&["status", "resourceRules"]), Some(&json!(oneself)));
    }
    let refused = ask("a", json!({})).expect_err("refused").status;
    assert_eq!((refused.code, refused.message.as_str()), (400, "no namespace on request"));
}
