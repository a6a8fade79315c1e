//! LocalSubjectAccessReviews: whether somebody may do something in a namespace.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use crate::authz::{Authorizer, reviews};
use crate::registry::computed::{Call, Computed};
use crate::registry::descriptor::Scope;
use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "localsubjectaccessreviews",
    kind: "LocalSubjectAccessReview",
    scope: Scope::Namespaced,
    versions: &[Version {
        api_version: "authorization.k8s.io/v1",
        type_name: "authorization.v1.LocalSubjectAccessReview",
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
            reviews::local_subject_access_review(&*self.0, &call.cx.cluster, call.namespace, review)
        })
    }
}
