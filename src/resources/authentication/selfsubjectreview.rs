//! SelfSubjectReviews: who the caller is.

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
