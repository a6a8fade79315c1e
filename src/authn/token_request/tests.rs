//! TokenRequests: defaults, limits, what a token may be bound to; and reviews of the tokens they give.

use std::sync::Arc;

use atoll_api::Uid;

use super::super::fake::{API, FakeObjects, cluster, now, tokens, union};
use super::super::review::{self_subject_review, token_review};
use super::*;

fn object(value: Value) -> Object {
    Object::from_value(value).expect("an object")
}

fn ask(tokens: &SignedTokens, name: &str, request: Value) -> ApiResult<Answer> {
    let target = Target { cluster: &cluster("team-a"), namespace: "ns", name };
    create(tokens, target, object(request), now())
}

fn check_refused(request: Value, code: u16, message: &str) {
    let tokens = tokens(FakeObjects::two_clusters());
    let status = ask(&tokens, "robot", request.clone()).expect_err("refused").status;
    assert_eq!((status.code, status.message.as_str()), (code, message), "{request}");
}

fn token_of(answer: &Answer) -> String {
    answer.object.text_at(&["status", "token"]).to_owned()
}

fn review(tokens: &Arc<SignedTokens>, in_cluster: &str, token: &str, audiences: &[&str]) -> Value {
    let spec = json!({"token": token, "audiences": audiences});
    let review = object(json!({"kind": "TokenReview", "metadata": {"namespace": "x"}, "spec": spec}));
    let answer = token_review(&union(tokens), &cluster(in_cluster), review, now()).expect("answered");
    assert_eq!(answer.namespace(), "");
    answer.get("status").cloned().expect("a status")
}

#[test]
fn defaults_are_filled_in() {
    let tokens = tokens(FakeObjects::two_clusters());
    for request in [json!({"spec": {}}), json!({}), json!({"metadata": {"name": "robot", "namespace": "ns"}})] {
        let answer = ask(&tokens, "robot", request).expect("a token");
        let metadata = json!({
            "name": "robot", "namespace": "ns", "uid": "team-a-robot", "creationTimestamp": "2026-06-01T12:00:00Z",
        });
        assert_eq!(answer.object.get("metadata"), Some(&metadata));
        let spec = json!({"audiences": [API], "boundObjectRef": null, "expirationSeconds": 3600});
        assert_eq!(answer.object.get("spec"), Some(&spec));
        assert_eq!(answer.object.text_at(&["status", "expirationTimestamp"]), "2026-06-01T13:00:00Z");
        assert!(answer.credential_id.starts_with("JTI="));
    }
    let asked = json!({"spec": {"audiences": ["one", "two"], "expirationSeconds": 600}});
    let answer = ask(&tokens, "robot", asked).expect("a token");
    let spec = json!({"audiences": ["one", "two"], "boundObjectRef": null, "expirationSeconds": 600});
    assert_eq!(answer.object.get("spec"), Some(&spec));
}

#[test]
fn lifetimes_have_limits() {
    for (seconds, why) in [
        (599, "may not specify a duration less than 10 minutes"),
        (0, "may not specify a duration less than 10 minutes"),
        (4_294_967_297_i64, "may not specify a duration larger than 2^32 seconds"),
    ] {
        let message = format!(
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: {seconds}: {why}"
        );
        check_refused(json!({"spec": {"expirationSeconds": seconds}}), 422, &message);
    }
}

#[test]
fn the_body_is_for_the_service_account_of_the_path() {
    let message = "TokenRequest.authentication.k8s.io \"robot\" is invalid: metadata.name: Invalid value: \"other\": must match the service account name if specified";
    check_refused(json!({"metadata": {"name": "other"}}), 422, message);
    let message = "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"robot\": the UID in the token request (x) does not match the UID of the service account (team-a-robot)";
    check_refused(json!({"metadata": {"uid": "x"}}), 409, message);
    let missing = ask(&tokens(FakeObjects::two_clusters()), "missing", json!({})).expect_err("refused").status;
    assert_eq!((missing.code, missing.message.as_str()), (404, "serviceaccounts \"missing\" not found"));
}

#[test]
fn tokens_are_bound_to_pods_secrets_and_nodes_that_exist() {
    let bound = |kind: &str| json!({"spec": {"boundObjectRef": {"kind": kind, "apiVersion": "v1", "name": "missing"}}});
    check_refused(bound("ConfigMap"), 400, "cannot bind token to object of type /v1, Kind=ConfigMap");
    check_refused(bound("Secret"), 404, "secrets \"missing\" not found");
    check_refused(bound("Pod"), 404, "pods \"missing\" not found");
    check_refused(bound("Node"), 404, "nodes \"missing\" not found");
}

#[test]
fn a_token_bound_to_a_pod_is_for_the_pods_own_service_account_and_names_its_node() {
    let objects = Arc::new(FakeObjects::two_clusters());
    let tokens = tokens(Arc::clone(&objects));
    let pod = |service_account: &str| Found {
        uid: Uid::new("pod-uid"),
        deleted: None,
        service_account: service_account.to_owned(),
        node: "n1".to_owned(),
    };
    let request = |uid: &str| {
        let reference = json!({"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid});
        json!({"spec": {"boundObjectRef": reference, "expirationSeconds": 3607}})
    };
    objects.put("team-a", Referent::Pod, "ns", "p", Some(pod("other")));
    let refused = ask(&tokens, "robot", request("")).expect_err("refused").status.message;
    let expected = "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name.";
    assert_eq!(refused, expected);

    objects.put("team-a", Referent::Pod, "ns", "p", Some(pod("robot")));
    let refused = ask(&tokens, "robot", request("x")).expect_err("refused").status;
    assert_eq!(refused.code, 409);
    let answer = ask(&tokens, "robot", request("pod-uid")).expect("a token");
    assert_eq!(answer.object.text_at(&["status", "expirationTimestamp"]), "2026-06-01T13:00:07Z");
    let status = review(&tokens, "team-a", &token_of(&answer), &[]);
    let extra = &status["user"]["extra"];
    assert_eq!(extra["authentication.kubernetes.io/node-name"], json!(["n1"]));
    assert_eq!(extra["authentication.kubernetes.io/pod-uid"], json!(["pod-uid"]));
    // What kubelets ask for lives for a year.
    let later = Timestamp::from_second(now().as_second() + 300 * 86_400).expect("a time");
    assert!(union(&tokens).review(&cluster("team-a"), &token_of(&answer), &[], later).is_ok());
}

#[test]
fn reviews_answer_user_groups_extra_and_audiences() {
    let tokens = tokens(FakeObjects::two_clusters());
    let answer = ask(&tokens, "robot", json!({})).expect("a token");
    for audiences in [&[][..], &[API, "x"]] {
        let expected = json!({
            "authenticated": true, "audiences": [API],
            "user": {
                "username": "system:serviceaccount:ns:robot", "uid": "team-a-robot",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": [answer.credential_id]},
            },
        });
        assert_eq!(review(&tokens, "team-a", &token_of(&answer), audiences), expected);
    }
    let stranger = json!({"error": "invalid bearer token", "user": {}});
    assert_eq!(review(&tokens, "team-b", &token_of(&answer), &[]), stranger);
    assert_eq!(review(&tokens, "team-a", "no-such-token", &["a"]), stranger);
    let empty = object(json!({"spec": {"token": ""}}));
    let refused = token_review(&union(&tokens), &cluster("team-a"), empty, now()).expect_err("refused").status;
    assert_eq!((refused.code, refused.message.as_str()), (400, "token is required for TokenReview in authentication"));
}

#[test]
fn a_token_for_another_audience_is_good_for_reviews_by_that_audience_alone() {
    let tokens = tokens(FakeObjects::two_clusters());
    let answer = ask(&tokens, "robot", json!({"spec": {"audiences": ["vault"]}})).expect("a token");
    let status = review(&tokens, "team-a", &token_of(&answer), &["vault", "other"]);
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["vault"])));
    let error = |audiences| review(&tokens, "team-a", &token_of(&answer), audiences)["error"].clone();
    let expected = |target: &str| {
        format!(
            "[invalid bearer token, token audiences [\"vault\"] is invalid for the target audiences [\"{target}\"]]"
        )
    };
    assert_eq!(error(&["other"]), expected("other"));
    assert_eq!(error(&[]), expected(API));
}

#[test]
fn a_self_review_tells_who_asks() {
    let mut user = atoll_api::UserInfo::named("carol", ["ops"]);
    user.uid = "77".to_owned();
    user.extra.insert("scopes".to_owned(), vec!["a b".to_owned()]);
    let review = self_subject_review(&user, &object(json!({"kind": "SelfSubjectReview"})), now());
    let info = json!({"username": "carol", "groups": ["ops"], "uid": "77", "extra": {"scopes": ["a b"]}});
    assert_eq!(review.get("status"), Some(&json!({"userInfo": info})));
    assert_eq!(review.meta("creationTimestamp"), "2026-06-01T12:00:00Z");
}
