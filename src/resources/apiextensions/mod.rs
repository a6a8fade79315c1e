//! The kinds of `apiextensions.k8s.io`.

pub(super) mod customresourcedefinition;
pub(super) mod names;
