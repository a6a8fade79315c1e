//! The kinds of `policy`.

pub(super) mod eviction;
pub(super) mod poddisruptionbudget;
