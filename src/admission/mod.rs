//! Admission: what is done to, and asked of, every write between its decoding and its storing.
//!
//! Plugins run in the order of one explicit list; the registry decides when.

mod plugins;

use std::sync::Arc;

use atoll_api::{ApiResult, GroupVersionKind, GroupVersionResource, Object};
use futures::future::BoxFuture;

use crate::request::RequestContext;
use crate::storage::Store;

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// What a write is about, without the objects.
#[derive(Debug, Clone)]
pub struct Attributes {
    /// What the write does.
    pub operation: Operation,
    /// Group, version and kind, as the client names them.
    pub kind: GroupVersionKind,
    /// Group, version and resource, as the client names them.
    pub resource: GroupVersionResource,
    /// The subresource, empty for the object itself.
    pub subresource: String,
    /// The namespace, empty for objects of the cluster.
    pub namespace: String,
    /// The name, empty while it is to be generated.
    pub name: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

/// One thing that is done to or asked of writes. Objects are in the storage version.
pub trait AdmissionPlugin: Send + Sync + 'static {
    /// The name, as in `--enable-admission-plugins`.
    fn name(&self) -> &'static str;

    /// Whether the plugin has anything to do with such a write; called first, must be cheap.
    fn handles(&self, attributes: &Attributes) -> bool;

    /// Changes the object, or refuses it. May be called again for the same write, and must then give the same result.
    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let _ = (cx, attributes, object, old);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Accepts or refuses the write. `object` is `None` for a deletion.
    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let _ = (cx, attributes, object, old);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Atoll's own plugins, in the order in which they run.
pub fn default_chain(store: &Arc<Store>) -> Vec<Arc<dyn AdmissionPlugin>> {
    vec![Arc::new(plugins::NamespaceLifecycle::new(store.clone()))]
}

/// The plugins of a server, in order.
#[derive(Clone, Default)]
pub struct Chain {
    plugins: Vec<Arc<dyn AdmissionPlugin>>,
}

impl Chain {
    /// A chain of these plugins, in this order.
    pub fn new(plugins: Vec<Arc<dyn AdmissionPlugin>>) -> Self {
        Self { plugins }
    }

    /// Lets each plugin change the object.
    pub async fn mutate(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: &mut Object,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(attributes)) {
            plugin.mutate(cx, attributes, object, old).await?;
        }
        Ok(())
    }

    /// Asks each plugin.
    pub async fn validate(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: Option<&Object>,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(attributes)) {
            plugin.validate(cx, attributes, object, old).await?;
        }
        Ok(())
    }
}
