//! `SelfSubjectRulesReview`: the rules that apply to the one who asks.

use atoll_api::{ApiError, ApiResult, LogicalClusterName, Object, UserInfo, Value};
use serde_json::{Map, json};

use crate::authz::rbac::Rule;
use crate::authz::{Authorizer, join_errors};

/// What the one who asks may do in the namespace that the review names. The answer holds nothing of the question, as in
/// Kubernetes.
pub fn self_subject_rules_review(
    authorizer: &dyn Authorizer,
    cluster: &LogicalClusterName,
    user: &UserInfo,
    review: &Object,
) -> ApiResult<Object> {
    let namespace = review.text_at(&["spec", "namespace"]);
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let list = authorizer.rules_for(cluster, user, namespace);
    let of_resources = list.rules.iter().filter(|rule| !rule.resources.is_empty());
    let of_paths = list.rules.iter().filter(|rule| !rule.non_resource_urls.is_empty());
    let mut status = json!({
        "resourceRules": of_resources.map(resource_rule).collect::<Vec<_>>(),
        "nonResourceRules": of_paths.map(path_rule).collect::<Vec<_>>(),
        "incomplete": list.incomplete,
    });
    if let Some(errors) = join_errors(&list.errors) {
        status["evaluationError"] = errors.into();
    }
    let mut answer = Object::default();
    answer.set_type(review.api_version(), review.kind());
    answer.metadata_mut();
    answer.map_mut("spec");
    answer.0.insert("status".into(), status);
    Ok(answer)
}

fn resource_rule(rule: &Rule) -> Value {
    let optional =
        [("apiGroups", &*rule.api_groups), ("resources", &*rule.resources), ("resourceNames", &*rule.resource_names)];
    with_verbs(rule, &optional)
}

fn path_rule(rule: &Rule) -> Value {
    with_verbs(rule, &[("nonResourceURLs", &*rule.non_resource_urls)])
}

fn with_verbs(rule: &Rule, optional: &[(&str, &[Box<str>])]) -> Value {
    let mut map = Map::from_iter([("verbs".to_owned(), json!(rule.verbs))]);
    for (field, texts) in optional.iter().filter(|(_, texts)| !texts.is_empty()) {
        map.insert((*field).to_owned(), json!(texts));
    }
    Value::Object(map)
}
