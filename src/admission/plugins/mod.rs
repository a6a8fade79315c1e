//! Atoll's own admission plugins, one file each.

mod namespace_lifecycle;

pub use namespace_lifecycle::NamespaceLifecycle;
