//! The kinds of `authorization.k8s.io`: questions that are answered, not stored.

pub(super) mod localsubjectaccessreview;
pub(super) mod selfsubjectaccessreview;
pub(super) mod selfsubjectrulesreview;
pub(super) mod subjectaccessreview;
