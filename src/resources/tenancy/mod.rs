//! Atoll's kinds for tenancy, under kcp's groups and names.

pub(in crate::resources) mod clustersnapshot;
pub(in crate::resources) mod logicalcluster;
pub(in crate::resources) mod restore;
pub(in crate::resources) mod source;
pub(in crate::resources) mod usertokenrequest;
pub(in crate::resources) mod workspace;
