//! SelfSubjectAccessReviews: whether the caller may do something.

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
