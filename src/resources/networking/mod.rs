//! The kinds of `networking.k8s.io`.

pub(super) mod ingress;
mod ingress_checks;
pub(super) mod ingressclass;
pub(super) mod ipaddress;
pub(super) mod networkpolicy;
pub(super) mod servicecidr;
