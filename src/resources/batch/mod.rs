//! The kinds of `batch`.

pub(super) mod cronjob;
mod indexes;
pub(super) mod job;
mod schedule;
