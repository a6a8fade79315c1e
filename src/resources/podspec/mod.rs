//! What all kinds with a description of pods have in common.

mod defaults;
mod image;

pub(super) use defaults::{DEFAULTS, pod_only_defaults};
