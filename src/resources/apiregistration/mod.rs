//! The kinds of `apiregistration.k8s.io`.

pub(super) mod apiservice;
pub(super) mod priorities;
pub(super) mod told;
