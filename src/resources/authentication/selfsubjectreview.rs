//! SelfSubjectReviews: who the caller is.

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use crate::authn::review;
use crate::registry::computed::{Call, Computed};
use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "selfsubjectreviews",
    kind: "SelfSubjectReview",
    versions: &[Version {
        api_version: "authentication.k8s.io/v1",
        type_name: "authentication.v1.SelfSubjectReview",
        ..Version::BARE
    }],
    ..Kind::REVIEW
};

/// Answers with the user of the request.
pub(in crate::resources) struct Answer;

impl Computed for Answer {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(async move {
            let review = call.sent(call.target).await?;
            Ok(review::self_subject_review(&call.cx.user, &review, call.cx.now))
        })
    }
}
