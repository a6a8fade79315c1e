//! The kinds of `batch`.

pub(super) mod cronjob;
pub(super) mod job;
mod schedule;
