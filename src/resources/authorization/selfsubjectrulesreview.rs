//! SelfSubjectRulesReviews: what the caller may do in a namespace.

use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "selfsubjectrulesreviews",
    kind: "SelfSubjectRulesReview",
    versions: &[Version {
        api_version: "authorization.k8s.io/v1",
        type_name: "authorization.v1.SelfSubjectRulesReview",
        ..Version::BARE
    }],
    ..Kind::REVIEW
};
