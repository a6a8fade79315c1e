//! The kinds of `apiextensions.k8s.io`.

mod approval;
mod conversion;
pub(super) mod customresourcedefinition;
mod internal;
pub(super) mod names;
mod spec;
mod validate;
mod version;
