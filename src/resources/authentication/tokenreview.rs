//! TokenReviews: whose token this is.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use crate::authn::{Union, review};
use crate::registry::computed::{Call, Computed};
use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "tokenreviews",
    kind: "TokenReview",
    versions: &[Version {
        api_version: "authentication.k8s.io/v1",
        type_name: "authentication.v1.TokenReview",
        ..Version::BARE
    }],
    ..Kind::REVIEW
};

/// Answers by asking all authenticators.
pub(in crate::resources) struct Answer(pub(in crate::resources) Arc<Union>);

impl Computed for Answer {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(async move {
            let review = call.sent(call.target).await?;
            review::token_review(&self.0, &call.cx.cluster, review, call.cx.now)
        })
    }
}
