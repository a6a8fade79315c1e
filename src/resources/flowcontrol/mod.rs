//! The kinds of `flowcontrol.apiserver.k8s.io`.

pub(super) mod flowschema;
pub(super) mod prioritylevelconfiguration;
