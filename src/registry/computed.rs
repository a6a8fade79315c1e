//! Answers that are computed rather than stored: reviews, tokens, evictions and other actions behind a resource's URL.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::{Body, ObjectName, Registry, Target};
use crate::request::RequestContext;

/// What is asked of a handler.
pub struct Call<'a> {
    /// Cluster, user, time, warnings.
    pub cx: &'a RequestContext,
    /// Reads and writes of stored objects.
    pub registry: &'a Arc<Registry>,
    /// The resource (of a subresource: its parent).
    pub target: &'a Target,
    /// `create`, `get`, `update` or `patch`.
    pub verb: &'a str,
    /// The subresource, empty for the resource itself.
    pub subresource: &'a str,
    /// The namespace, empty for objects of the cluster.
    pub namespace: &'a str,
    /// The name in the URL, empty for a plain create.
    pub name: &'a str,
    /// What was sent; null for a read.
    pub body: Body,
    /// How a write is to be done.
    pub options: &'a WriteOptions,
}

/// A handler of one resource or subresource that answers by computing. The chain has authorized the call already.
pub trait Computed: Send + Sync + 'static {
    /// Answers, with an object of whatever kind the resource or subresource gives.
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>>;
}

impl Call<'_> {
    /// The object the URL names.
    pub fn object_name(&self) -> ObjectName<'_> {
        ObjectName { namespace: self.namespace, name: self.name }
    }
}
