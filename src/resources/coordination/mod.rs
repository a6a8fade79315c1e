//! The kinds of `coordination.k8s.io`.

pub(super) mod lease;
