//! The kinds of `certificates.k8s.io`.

pub(super) mod certificatesigningrequest;
mod checks;
