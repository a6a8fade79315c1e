//! Resources that are computed from others whenever somebody reads them.

use std::sync::Arc;

use atoll_api::options::VersionMatch;
use atoll_api::{ApiError, ApiResult, GroupVersion, GroupVersionResource, Object};
use futures::future::BoxFuture;

use super::Surfaces;
use crate::registry::{ListRequest, ObjectName, Registry, Target};
use crate::request::RequestContext;

/// A resource that is not stored: its objects are computed from others on each request.
///
/// Called for every GET and LIST of the resource, after the client has been authorized to read it, and for those who
/// watch it whenever one of its sources has changed. Selectors, tables and encodings are seen to afterwards. What is read
/// through the reader is read with the server's own rights, all of it as of one moment.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no view",
    note = "implement `atoll::resources::View`: one method, `list`, that computes the objects of a namespace"
)]
pub trait View: Send + Sync + 'static {
    /// Computes all objects of a namespace (empty: of the whole cluster). They need a name, a namespace if they live in
    /// one, and their content; the type is filled in.
    fn list<'a>(&'a self, reader: Reader<'a>, namespace: &'a str) -> BoxFuture<'a, ApiResult<Vec<Object>>>;

    /// Computes one object; the default picks it from the list.
    fn get<'a>(
        &'a self,
        reader: Reader<'a>,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, ApiResult<Option<Object>>> {
        Box::pin(async move {
            let all = self.list(reader, namespace).await?;
            Ok(all.into_iter().find(|object| object.name() == name))
        })
    }

    /// The resources that it is computed from, as version and name (`("apps/v1", "deployments")`), and nothing else: given
    /// the same objects it must compute the same, whatever the time. Clients may then watch it, which costs nothing while
    /// these do not change. The default names none, and nobody can watch.
    fn sources(&self) -> &[(&str, &str)] {
        &[]
    }
}

/// Reads what is stored in the cluster of a request.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    cx: &'a RequestContext,
    registry: &'a Arc<Registry>,
    surfaces: &'a Surfaces,
    /// As of which revision.
    at: u64,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reads for a request, as of a revision.
    pub(crate) fn new(cx: &'a RequestContext, registry: &'a Arc<Registry>, surfaces: &'a Surfaces, at: u64) -> Self {
        Self { cx, registry, surfaces, at }
    }

    /// The request that is answered: its cluster, its user, its time.
    pub fn context(&self) -> &'a RequestContext {
        self.cx
    }

    /// The objects of a resource (`apps/v1`, `deployments`) in a namespace, or in all if it is empty.
    pub async fn list(&self, api_version: &str, resource: &str, namespace: &str) -> ApiResult<Vec<Object>> {
        let target = self.target(api_version, resource)?;
        let request = ListRequest {
            namespace: namespace.to_owned(),
            resource_version: self.at.to_string(),
            version_match: Some(VersionMatch::Exact),
            ..ListRequest::default()
        };
        let page = self.registry.list(self.cx, &target, &request).await?;
        self.registry.ready_to_read(&target, &page.entries).await?;
        page.entries.iter().map(|entry| target.read(entry)).collect()
    }

    /// One object of a resource; the namespace is empty for what lives in none.
    pub fn get(&self, api_version: &str, resource: &str, namespace: &str, name: &str) -> ApiResult<Object> {
        let target = self.target(api_version, resource)?;
        self.registry.get_object_at(self.cx, &target, &ObjectName { namespace, name }, self.at)
    }

    /// The resource of that version and name.
    pub(super) fn target(&self, api_version: &str, resource: &str) -> ApiResult<Target> {
        let unknown = || ApiError::internal(format!("{resource} of {api_version} is not served in this cluster"));
        let version = GroupVersion::parse(api_version).ok_or_else(unknown)?;
        let gvr = GroupVersionResource { group: version.group, version: version.version, resource: resource.into() };
        self.surfaces.target(&self.cx.scope, &gvr).ok_or_else(unknown)
    }
}
