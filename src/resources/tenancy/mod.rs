//! Atoll's kinds for tenancy, under kcp's groups and names.

pub(in crate::resources) mod logicalcluster;
pub(in crate::resources) mod usertokenrequest;
pub(in crate::resources) mod workspace;
