//! Kubernetes read and write semantics for any resource; one verb per file.
pub mod descriptor;
pub mod resource;
