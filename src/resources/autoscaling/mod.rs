//! The kinds of `autoscaling`.

pub(super) mod horizontalpodautoscaler;
mod v1;
