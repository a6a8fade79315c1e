//! Namespaces that the server makes itself, in the transaction of what first needs them.
//!
//! A logical cluster begins with `default` alone. The namespaces that Kubernetes keeps for its own purposes are seen from the start,
//! and stored with the first object that is written there, so that who needs none pays for none.

use atoll_api::names::SYSTEM_NAMESPACES;
use atoll_api::{ApiResult, GroupResource, Object};
use serde_json::json;

use super::{ObjectName, Registry, encode, seconds};
use crate::request::RequestContext;
use crate::storage::{Action, Expect, Key, Op};

/// A namespace as it is stored when it is new.
pub fn new_namespace(name: &str, created: &str) -> Object {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": name, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": created,
            "labels": {"kubernetes.io/metadata.name": name},
        },
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    });
    Object::from_value(namespace).unwrap_or_default()
}

impl Registry {
    /// What is to be written with an object in a system namespace that is not there yet.
    pub(super) fn namespace_op(&self, cx: &RequestContext, namespace: &str) -> ApiResult<Option<Op>> {
        if !SYSTEM_NAMESPACES.contains(&namespace) {
            return Ok(None);
        }
        let key = Key::new(GroupResource::new("", "namespaces"), cx.cluster.clone(), "", namespace);
        if self.store.get(&key).is_some() {
            return Ok(None);
        }
        let told =
            self.told(&key.resource).and_then(|told| told.get(cx, &ObjectName { namespace: "", name: namespace }));
        let bytes = encode::encode(&told.unwrap_or_else(|| new_namespace(namespace, &seconds(cx.now))))?;
        Ok(Some(Op { key, expect: Expect::Absent, action: Action::Put(bytes) }))
    }
}
