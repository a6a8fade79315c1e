//! Admission: what is done to, and asked of, every write between its decoding and its storing.
//!
//! Plugins run in the order of one explicit list; the registry decides when.

mod amounts;
mod collection;
pub mod expressions;
mod matching;
pub mod plugins;
mod pods;
mod read;
mod rounds;
mod shapes;
#[cfg(test)]
mod testing;
pub(crate) mod turns;

use std::sync::Arc;

use atoll_api::options::{DeleteOptions, WriteOptions};
use atoll_api::{ApiError, ApiResult, GroupVersionKind, GroupVersionResource, Object};
use bytes::Bytes;
use futures::future::BoxFuture;

pub use self::plugins::webhooks::WebhookClient;
pub use self::rounds::Rounds;
pub use self::shapes::{Fields, Kinds, Served, Shape, Shapes};
use crate::authz::Authorizer;
use crate::outbound::Outbound;
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
#[derive(Debug)]
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
    /// The name in the request's path: empty for a plain create, and for a deletion of many.
    pub requested: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// How the client wants it done.
    pub options: Options,
    /// The forms that objects of the resource have.
    pub shapes: Arc<dyn Shapes>,
    /// What plugins note that may be asked again.
    pub rounds: Rounds,
}

/// The options of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// Of a create, update or patch.
    Write(WriteOptions),
    /// Of a deletion.
    Delete(DeleteOptions),
    /// A connection has none.
    None,
}

impl Operation {
    /// The operation as rules and reviews name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

impl Options {
    /// Whether nothing is to be stored.
    pub fn is_dry_run(&self) -> bool {
        match self {
            Self::Write(options) => options.dry_run,
            Self::Delete(options) => options.dry_run,
            Self::None => false,
        }
    }
}

/// One thing that is done to or asked of writes. Objects are in the storage version.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no admission plugin",
    note = "implement `atoll::admission::AdmissionPlugin`: its name, which writes it handles, and `mutate` or `validate`"
)]
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

    /// Whether the plugin wants to be told how such a write ended; called for every write, must be cheap.
    fn follows(&self, cx: &RequestContext, attributes: &Attributes) -> bool {
        let _ = (cx, attributes);
        false
    }

    /// Told how an admitted write ended, before it is answered. `object` is what was stored, or would have been;
    /// `None` for a removal. A crash may keep a plugin from being told, so it must find out itself in the end.
    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        ending: Ending,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ()> {
        let _ = (cx, attributes, ending, object, old);
        Box::pin(std::future::ready(()))
    }
}

/// How a write ended that was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The object was stored.
    Stored,
    /// What was there was removed.
    Removed,
    /// Nothing was stored: it was there already, somebody else was faster, or the store failed.
    Withdrawn,
}

/// What Atoll's own plugins work with.
#[derive(Clone)]
pub struct Means {
    /// Where they read the policy of clusters, and keep what quotas have counted.
    pub store: Arc<Store>,
    /// Whom they ask about rights that a write needs beside its own.
    pub authorizer: Arc<dyn Authorizer>,
    /// How objects are written to the store.
    pub stored_form: StoredForm,
    /// Where webhooks are found.
    pub outbound: Outbound,
    /// What clusters serve.
    pub kinds: Arc<dyn Kinds>,
}

/// Makes the bytes under which an object of the storage version is stored.
pub type StoredForm = fn(&Object) -> ApiResult<Bytes>;

/// Atoll's own plugins, in the order in which they run: that of Kubernetes. Those of an embedder run after all but the
/// last, which charges for what the others let through.
pub fn default_chain(means: &Means, of_embedder: &[Arc<dyn AdmissionPlugin>]) -> Vec<Arc<dyn AdmissionPlugin>> {
    let Means { store, authorizer, stored_form, outbound, kinds } = means;
    let caller = Arc::new(plugins::webhooks::Caller::new(outbound.clone()));
    let webhooks = plugins::webhooks::WebhookMeans { caller, authorizer: authorizer.clone() };
    let mut chain: Vec<Arc<dyn AdmissionPlugin>> = vec![
        Arc::new(plugins::NamespaceLifecycle::new(store.clone())),
        Arc::new(plugins::LimitRanger::new(store)),
        Arc::new(plugins::ServiceAccount::new(store)),
        Arc::new(plugins::TaintNodesByCondition),
        Arc::new(plugins::PodSecurity::new(store)),
        Arc::new(plugins::Priority::new(store)),
        Arc::new(plugins::DefaultTolerationSeconds),
        Arc::new(plugins::DefaultStorageClass::new(store)),
        Arc::new(plugins::StorageObjectInUseProtection),
        Arc::new(plugins::PersistentVolumeClaimResize::new(store)),
        Arc::new(plugins::RuntimeClass::new(store)),
        Arc::new(plugins::CertificateApproval::new(authorizer.clone())),
        Arc::new(plugins::CertificateSigning::new(authorizer.clone())),
        Arc::new(plugins::CertificateSubjectRestriction),
        Arc::new(plugins::DefaultIngressClass::new(store)),
        Arc::new(plugins::DeviceAccess::new(store, authorizer.clone())),
        Arc::new(plugins::MutatingAdmissionPolicy::new(store, kinds.clone(), authorizer.clone())),
        Arc::new(plugins::MutatingAdmissionWebhook::new(store, webhooks.clone())),
        Arc::new(plugins::ValidatingAdmissionPolicy::new(store, kinds.clone(), authorizer.clone())),
        Arc::new(plugins::ValidatingAdmissionWebhook::new(store, webhooks)),
    ];
    chain.extend_from_slice(of_embedder);
    chain.push(Arc::new(plugins::ResourceQuota::new(store, *stored_form)));
    chain
}

// === impl Attributes ===

impl Attributes {
    /// Whether the write is about this resource, or a subresource of it.
    pub fn concerns(&self, group: &str, resource: &str) -> bool {
        *self.resource.resource == *resource && *self.resource.group == *group
    }

    /// The refusal of the write, for a reason that is told. The object tells the name if it is to be generated.
    pub fn forbidden(&self, object: Option<&Object>, why: &str) -> ApiError {
        ApiError::forbidden(&self.resource.group_resource(), self.shown_name(object), why)
    }

    /// The name that the write is reported under.
    fn shown_name<'a>(&'a self, object: Option<&'a Object>) -> &'a str {
        let named = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        named(&self.name)
            .or_else(|| named(object?.name()))
            .or_else(|| named(object?.generate_name()))
            .unwrap_or("Unknown")
    }
}

/// Notes something about a write for the audit log.
fn note(cx: &RequestContext, attributes: &Attributes, key: &str, value: &str) {
    let (cluster, resource) = (&cx.cluster, attributes.resource.group_resource());
    let (namespace, name) = (&attributes.namespace, &attributes.name);
    tracing::info!(target: "atoll::audit", %cluster, %resource, namespace, name, key, value);
}

/// What a plugin answers that had to wait for nothing.
fn at_once<'a>(outcome: ApiResult<()>) -> BoxFuture<'a, ApiResult<()>> {
    Box::pin(std::future::ready(outcome))
}

/// Several faults as Go shows them together: one stands alone, more stand in brackets, each text once.
fn together(mut faults: Vec<String>) -> String {
    let mut seen = std::collections::HashSet::new();
    faults.retain(|fault| seen.insert(fault.clone()));
    match faults.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

// === impl Chain ===

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

    /// Lets each plugin change the object, and once more if a webhook or policy has changed it: the others have not seen
    /// that yet.
    pub async fn mutate(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: &mut Object,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        self.mutate_once(cx, attributes, object, old).await?;
        if attributes.rounds.begin_second() {
            self.mutate_once(cx, attributes, object, old).await?;
        }
        Ok(())
    }

    async fn mutate_once(
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

    /// Whether a plugin wants to know how such a write ends.
    pub fn is_followed(&self, cx: &RequestContext, attributes: &Attributes) -> bool {
        self.plugins.iter().any(|plugin| plugin.follows(cx, attributes))
    }

    /// Tells those plugins that want to know how a write ended.
    pub async fn follow(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        ending: Ending,
        object: Option<&Object>,
        old: Option<&Object>,
    ) {
        for plugin in self.plugins.iter().filter(|plugin| plugin.follows(cx, attributes)) {
            plugin.follow(cx, attributes, ending, object, old).await;
        }
    }
}
