//! SelfSubjectAccessReviews: whether the caller may do something.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use crate::authz::{Authorizer, reviews};
use crate::registry::computed::{Call, Computed};
use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "selfsubjectaccessreviews",
    kind: "SelfSubjectAccessReview",
    versions: &[Version {
        api_version: "authorization.k8s.io/v1",
        type_name: "authorization.v1.SelfSubjectAccessReview",
        ..Version::BARE
    }],
    ..Kind::REVIEW
};

/// Answers by asking the authorizer.
pub(in crate::resources) struct Answer(pub(in crate::resources) Arc<dyn Authorizer>);

impl Computed for Answer {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(async move {
            let review = call.sent(call.target).await?;
            reviews::self_subject_access_review(&*self.0, &call.cx.cluster, &call.cx.user, review)
        })
    }
}
