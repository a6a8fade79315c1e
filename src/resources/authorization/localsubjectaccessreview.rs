//! LocalSubjectAccessReviews: whether somebody may do something in a namespace.

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
