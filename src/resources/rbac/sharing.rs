//! What the system cluster writes into the policy that all clusters share holds before the write is answered.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::authz::rbac::Rbac;
use crate::authz::stored::{StoredUnderlay, is_shared};
use crate::registry::follow::Follower;
use crate::registry::{ObjectName, Registry, Target};
use crate::request::RequestContext;

/// Follows roles and bindings of the system cluster.
pub(in crate::resources) struct ShareAtOnce {
    pub(in crate::resources) rbac: Arc<Rbac>,
    pub(in crate::resources) underlay: Arc<StoredUnderlay>,
}

impl Follower for ShareAtOnce {
    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        registry: &'a Registry,
        target: &'a Target,
        name: &'a ObjectName<'a>,
    ) -> BoxFuture<'a, ()> {
        if cx.cluster.is_root() {
            let was_shared =
                self.rbac.underlay().object(&target.descriptor().kind, name.namespace, name.name).is_some();
            if was_shared || registry.find(cx, target, name).is_ok_and(|entry| is_shared(&entry)) {
                self.underlay.refresh();
            }
        }
        Box::pin(std::future::ready(()))
    }
}
