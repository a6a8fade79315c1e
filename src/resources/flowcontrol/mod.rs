//! The kinds of `flowcontrol.apiserver.k8s.io`.

mod checks;
pub(super) mod flowschema;
pub(super) mod following;
pub(super) mod prioritylevelconfiguration;
