//! The namespaces that Kubernetes keeps for its own purposes: every cluster sees them from the start, as tools expect (many take the uid
//! of `kube-system` for that of the cluster), and has them stored only once something is written there or to them.

use std::sync::Arc;

use atoll_api::Object;
use atoll_api::names::SYSTEM_NAMESPACES;

use crate::registry::ObjectName;
use crate::registry::namespace::new_namespace;
use crate::registry::underlay::Underlay;
use crate::request::RequestContext;
use crate::resources::told::{created, lasting_uid};
use crate::storage::Store;

/// Tells a cluster of them.
pub(in crate::resources) struct SystemNamespaces {
    pub(in crate::resources) store: Arc<Store>,
}

impl Underlay for SystemNamespaces {
    fn list(&self, cx: &RequestContext, _: &str) -> Vec<Object> {
        SYSTEM_NAMESPACES.iter().filter_map(|name| self.get(cx, &ObjectName { namespace: "", name })).collect()
    }

    fn get(&self, cx: &RequestContext, name: &ObjectName<'_>) -> Option<Object> {
        if !SYSTEM_NAMESPACES.contains(&name.name) {
            return None;
        }
        let mut namespace = new_namespace(name.name, &created(&self.store, &cx.cluster)?);
        let uid = lasting_uid(&self.store, &cx.cluster, &["namespaces", name.name])?;
        namespace.metadata_mut().insert("uid".into(), uid.into());
        Some(namespace)
    }

    fn may_be_taken_over(&self) -> bool {
        true
    }
}
