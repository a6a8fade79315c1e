//! `namespaces/finalize`: how the namespace controller takes its finalizer off.
//!
//! What may change and what is checked is said by the kind, as for other parts of objects.

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use crate::registry::computed::{Call, Computed};
use crate::registry::resource::Part;

/// The name of the subresource.
pub(in crate::resources) const FINALIZE: &str = "finalize";

/// Replaces `spec.finalizers` of a namespace.
pub(in crate::resources) struct Finalize;

impl Computed for Finalize {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(async move {
            let (name, part) = (call.object_name(), Part::Sub(FINALIZE));
            let body = call.body.clone();
            call.registry.update(call.cx, call.target, &name, part, body, call.options).await?.object()
        })
    }
}
