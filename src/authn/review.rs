//! Who somebody is, as an answer: `TokenReview` and `SelfSubjectReview`.
//!
//! Whether the client may ask comes before this; the review has been decoded by its schema.

use atoll_api::time::format_time;
use atoll_api::{ApiError, ApiResult, LogicalClusterName, Object, UserInfo, Value};
use jiff::Timestamp;
use serde_json::json;

use super::Union;

/// Fills in whom the token of a `TokenReview` stands for in a cluster, for the audiences it asks for.
pub fn token_review(
    union: &Union,
    cluster: &LogicalClusterName,
    mut review: Object,
    now: Timestamp,
) -> ApiResult<Object> {
    let token = review.text_at(&["spec", "token"]);
    if token.is_empty() {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = review.at(&["spec", "audiences"]).and_then(Value::as_array);
    let audiences: Vec<String> = audiences.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let status = match union.review(cluster, token, &audiences, now) {
        Ok(identity) => {
            let mut status = json!({"authenticated": true, "user": user_info(&identity.user)});
            if !identity.audiences.is_empty() {
                status["audiences"] = identity.audiences.into();
            }
            status
        }
        Err(refusal) => json!({"error": refusal.to_string(), "user": {}}),
    };
    review.set_meta("namespace", "");
    review.0.insert("status".into(), status);
    Ok(review)
}

/// Who asks. What the client sent is not in the answer (authentication/selfsubjectreview/rest.go, 1.36).
pub fn self_subject_review(user: &UserInfo, sent: &Object, now: Timestamp) -> Object {
    let answer = json!({
        "kind": sent.kind(),
        "apiVersion": sent.api_version(),
        "metadata": {"creationTimestamp": format_time(now)},
        "status": {"userInfo": user_info(user)},
    });
    serde_json::from_value(answer).expect("an object")
}

fn user_info(user: &UserInfo) -> Value {
    serde_json::to_value(user).expect("a user is plain strings")
}
