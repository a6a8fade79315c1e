//! NamespaceLifecycle: nothing is created in a namespace that is not there or is being deleted, and the namespaces every
//! cluster has are not deleted.

use std::sync::Arc;

use atoll_api::names::SYSTEM_NAMESPACES;
use atoll_api::status::{Cause, Details};
use atoll_api::{ApiError, ApiResult, GroupResource, LogicalClusterName, Object};
use futures::future::BoxFuture;

use crate::admission::{AdmissionPlugin, Attributes, Operation};
use crate::request::RequestContext;
use crate::storage::{Entry, Key, Store};

/// Namespaces that are never deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Guards the life of namespaces.
pub struct NamespaceLifecycle {
    store: Arc<Store>,
    namespaces: GroupResource,
}

impl NamespaceLifecycle {
    /// Reads namespaces from this store.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, namespaces: GroupResource::new("", "namespaces") }
    }

    fn namespace(&self, cluster: &LogicalClusterName, name: &str) -> Option<Arc<Entry>> {
        self.store.get(&Key::new(self.namespaces.clone(), cluster.clone(), "", name))
    }

    fn check_creation(&self, cx: &RequestContext, attributes: &Attributes) -> ApiResult<()> {
        let name = &attributes.namespace;
        let Some(entry) = self.namespace(&cx.cluster, name) else {
            // Those come to be with what is first written there.
            if SYSTEM_NAMESPACES.contains(&name.as_str()) {
                return Ok(());
            }
            return Err(ApiError::not_found(&self.namespaces, name));
        };
        if !entry.is_deleting() {
            return Ok(());
        }
        let resource = attributes.resource.group_resource();
        let why = format!("unable to create new content in namespace {name} because it is being terminated");
        let mut error = ApiError::forbidden(&resource, &attributes.name, &why);
        if let Some(Details { causes, .. }) = &mut error.status.details {
            causes.push(Cause {
                reason: "NamespaceTerminating".into(),
                message: format!("namespace {name} is being terminated"),
                field: "metadata.namespace".into(),
            });
        }
        Err(error)
    }
}

impl AdmissionPlugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        match attributes.operation {
            // Whether somebody might do something in a namespace may be asked before there is one.
            Operation::Create => {
                !attributes.namespace.is_empty() && *attributes.resource.resource != *"localsubjectaccessreviews"
            }
            Operation::Delete => *attributes.resource.resource == *"namespaces" && attributes.resource.group.is_empty(),
            Operation::Update | Operation::Connect => false,
        }
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        _: &'a mut Object,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let checked = match attributes.operation {
            Operation::Create => self.check_creation(cx, attributes),
            _ => Ok(()),
        };
        Box::pin(std::future::ready(checked))
    }

    fn validate<'a>(
        &'a self,
        _: &'a RequestContext,
        attributes: &'a Attributes,
        _: Option<&'a Object>,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let checked = match attributes.operation {
            Operation::Delete if IMMORTAL.contains(&attributes.name.as_str()) => {
                let message = "this namespace may not be deleted";
                let resource = attributes.resource.group_resource();
                Err(ApiError::forbidden(&resource, &attributes.name, message))
            }
            _ => Ok(()),
        };
        Box::pin(std::future::ready(checked))
    }
}
