//! The kinds of `authentication.k8s.io`: questions that are answered, not stored.

pub(super) mod selfsubjectreview;
pub(super) mod tokenrequest;
pub(super) mod tokenreview;
