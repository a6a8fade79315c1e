//! Atoll's kinds for running workloads on physical clusters.

pub(in crate::resources) mod synctarget;
