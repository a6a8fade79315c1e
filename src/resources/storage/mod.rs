//! The kinds of `storage.k8s.io`.

mod checks;
pub(super) mod csidriver;
pub(super) mod csinode;
pub(super) mod csistoragecapacity;
pub(super) mod storageclass;
pub(super) mod volumeattachment;
pub(super) mod volumeattributesclass;
