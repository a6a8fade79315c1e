//! SubjectAccessReviews: whether somebody may do something.

use crate::resources::kind::{Kind, Version};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "subjectaccessreviews",
    kind: "SubjectAccessReview",
    versions: &[Version {
        api_version: "authorization.k8s.io/v1",
        type_name: "authorization.v1.SubjectAccessReview",
        ..Version::BARE
    }],
    ..Kind::REVIEW
};
