//! The words of Atoll's domain: names, lossless objects, statuses, field errors, selectors, options, quantities.
//!
//! Floor 0: this crate does no I/O and knows neither tokio, HTTP nor storage.

pub mod field;
pub mod names;
pub mod object;
pub mod options;
pub mod quantity;
pub mod query;
pub mod selector;
pub mod status;
pub mod time;
pub mod user;
pub mod validation;

pub use field::{FieldError, FieldErrors, FieldPath};
pub use names::{
    ClusterScope, GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource, LogicalClusterName,
    NameError, ResourceVersion, Uid,
};
pub use object::Object;
pub use query::Query;
pub use status::{ApiError, ApiResult, Reason, Status};
pub use user::UserInfo;

/// A JSON value as Kubernetes clients send and receive it; maps are sorted by key.
pub use serde_json::Value;
