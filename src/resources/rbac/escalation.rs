//! Nobody grants more than they hold: the last thing asked of a write of a role or binding before it is checked.
//!
//! Kubernetes asks when the object is as admission left it and before its validation, so this is done where objects may
//! still be changed, after everything that changes them. What may be granted is decided in `authz::rbac`.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::GROUP;
use crate::admission::{AdmissionPlugin, Attributes, Operation};
use crate::authz::Authorizer;
use crate::authz::rbac::{Rbac, Write};
use crate::request::RequestContext;

/// Refuses writes of roles and bindings by which rights would grow.
pub(in crate::resources) struct NoEscalation {
    pub(in crate::resources) rbac: Arc<Rbac>,
    /// The whole chain, of which `rbac` is a part.
    pub(in crate::resources) authorizer: Arc<dyn Authorizer>,
}

impl NoEscalation {
    fn check(&self, cx: &RequestContext, attributes: &Attributes, new: &Object, old: Option<&Object>) -> ApiResult<()> {
        let resource = &*attributes.resource.resource;
        let write = Write {
            cluster: &cx.cluster,
            user: &cx.user,
            // A namespace in an object of the cluster is a fault that is found later.
            namespace: if resource.starts_with("cluster") { "" } else { &attributes.namespace },
            request_name: &attributes.requested,
            new,
            old,
        };
        let authorizer = &*self.authorizer;
        self.rbac.check_shared_write(authorizer, &write, resource)?;
        match resource {
            "roles" | "clusterroles" => self.rbac.check_role_write(authorizer, &write),
            _ => self.rbac.check_binding_write(authorizer, &write),
        }
    }
}

impl AdmissionPlugin for NoEscalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        *attributes.resource.group == *GROUP
            && matches!(
                &*attributes.resource.resource,
                "roles" | "clusterroles" | "rolebindings" | "clusterrolebindings"
            )
            && matches!(attributes.operation, Operation::Create | Operation::Update)
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(std::future::ready(self.check(cx, attributes, object, old)))
    }
}
