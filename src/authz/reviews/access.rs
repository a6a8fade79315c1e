//! `SelfSubjectAccessReview`, `SubjectAccessReview` and `LocalSubjectAccessReview`.
//!
//! Decides nothing: the authorizer does.

use std::collections::BTreeMap;

use atoll_api::{ApiError, ApiResult, FieldErrors, GroupKind, LogicalClusterName, Object, UserInfo, Value};
use serde_json::json;

use super::validation;
use crate::authz::{Attributes, Authorizer, Verdict};

/// Fills in whether the one who asks may do what the review describes.
pub fn self_subject_access_review(
    authorizer: &dyn Authorizer,
    cluster: &LogicalClusterName,
    user: &UserInfo,
    mut review: Object,
) -> ApiResult<Object> {
    // Cluster-scoped reviews lose a namespace before they are looked at, as in Kubernetes.
    review.set_meta("namespace", "");
    refuse(validation::self_subject_access_review(&review))?;
    Ok(answer(authorizer, cluster, user, review))
}

/// Fills in whether the user that the review names may do what it describes.
pub fn subject_access_review(
    authorizer: &dyn Authorizer,
    cluster: &LogicalClusterName,
    mut review: Object,
) -> ApiResult<Object> {
    review.set_meta("namespace", "");
    refuse(validation::subject_access_review(&review))?;
    let user = subject(&review);
    Ok(answer(authorizer, cluster, &user, review))
}

/// Fills in whether the user that the review names may do what it describes in the namespace of the request.
pub fn local_subject_access_review(
    authorizer: &dyn Authorizer,
    cluster: &LogicalClusterName,
    namespace: &str,
    mut review: Object,
) -> ApiResult<Object> {
    if review.namespace().is_empty() {
        review.set_meta("namespace", namespace);
    }
    if review.namespace() != namespace {
        let message = format!("spec.resourceAttributes.namespace must match namespace: {namespace}");
        return Err(ApiError::bad_request(message));
    }
    refuse(validation::local_subject_access_review(&review))?;
    let user = subject(&review);
    Ok(answer(authorizer, cluster, &user, review))
}

/// Kubernetes names no kind in these errors, because it has forgotten it when it finds them (1.36).
fn refuse(errors: FieldErrors) -> ApiResult<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind { group: "authorization.k8s.io".into(), kind: "".into() };
    Err(ApiError::invalid(&kind, "", &errors))
}

/// The user a review names; groups are taken as they stand, without that of the authenticated.
fn subject(review: &Object) -> UserInfo {
    let texts = |list: Option<&Value>| -> Vec<String> {
        let list = list.and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let extra = review.at(&["spec", "extra"]).and_then(Value::as_object);
    let extra: BTreeMap<String, Vec<String>> =
        extra.into_iter().flatten().map(|(key, values)| (key.clone(), texts(Some(values)))).collect();
    UserInfo {
        name: review.text_at(&["spec", "user"]).to_owned(),
        uid: review.text_at(&["spec", "uid"]).to_owned(),
        groups: texts(review.at(&["spec", "groups"])),
        extra,
    }
}

fn answer(authorizer: &dyn Authorizer, cluster: &LogicalClusterName, user: &UserInfo, mut review: Object) -> Object {
    let decision = authorizer.authorize(&asked(&review, cluster, user));
    let mut status = json!({"allowed": decision.verdict == Verdict::Allow});
    if decision.verdict == Verdict::Deny {
        status["denied"] = true.into();
    }
    if !decision.reason.is_none() {
        status["reason"] = decision.reason.to_string().into();
    }
    let mut problems: Vec<String> = decision.error.into_iter().collect();
    problems.extend(validation::ignored_selectors(&review));
    if !problems.is_empty() {
        status["evaluationError"] = problems.join("; ").into();
    }
    review.0.insert("status".into(), status);
    review
}

fn asked<'a>(review: &'a Object, cluster: &'a LogicalClusterName, user: &'a UserInfo) -> Attributes<'a> {
    let resource = |field: &str| review.text_at(&["spec", "resourceAttributes", field]);
    let path = |field: &str| review.text_at(&["spec", "nonResourceAttributes", field]);
    if review.at(&["spec", "resourceAttributes"]).is_none_or(Value::is_null) {
        return Attributes::path(cluster, user, path("verb"), path("path"));
    }
    let version = match resource("version") {
        "" => "*",
        version => version,
    };
    Attributes {
        version,
        subresource: resource("subresource"),
        namespace: resource("namespace"),
        name: resource("name"),
        ..Attributes::resource(cluster, user, resource("verb"), resource("group"), resource("resource"))
    }
}
