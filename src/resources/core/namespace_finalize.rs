//! `namespaces/finalize`: how the namespace controller takes its finalizer off, and nothing else.

use atoll_api::{ApiError, ApiResult, Object};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::registry::computed::{Call, Computed};
use crate::registry::{check_name, decode};

/// Replaces `spec.finalizers` of a namespace.
pub(in crate::resources) struct Finalize;

impl Computed for Finalize {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(async move {
            let sent = decode(call.cx, call.target, call.body.clone(), call.options.validation())?;
            check_name(&sent, call.name)?;
            let finalizers = sent.at(&["spec", "finalizers"]).cloned().unwrap_or(Value::Null);
            let name = call.object_name();
            let version = sent.resource_version().to_owned();
            let written = call
                .registry
                .change(call.cx, call.target, &name, "finalize", call.options, |namespace| {
                    if !version.is_empty() && version != namespace.resource_version() {
                        return Err(ApiError::modified(&call.target.shown(), call.name));
                    }
                    let mut changed = sent.clone();
                    for field in ["spec", "status"] {
                        if let Some(value) = namespace.get(field) {
                            changed.0.insert(field.into(), value.clone());
                        }
                    }
                    let mut namespace = changed;
                    namespace.map_mut("spec").insert("finalizers".into(), finalizers.clone());
                    if finalizers.as_array().is_none_or(Vec::is_empty) {
                        namespace.map_mut("spec").remove("finalizers");
                    }
                    call.target.resource.default(&call.target.version().version, &mut namespace);
                    Ok(namespace)
                })
                .await?;
            written.object()
        })
    }
}
