//! The kinds of `policy`.

pub(super) mod poddisruptionbudget;
