//! TokenReviews: whose token this is.

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
