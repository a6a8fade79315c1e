//! Answers that are computed rather than stored: reviews, tokens, evictions and other actions behind a resource's URL.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::forms::forms;
use super::resource::Part;
use super::tracking::{Tracked, Unconverted};
use super::{Body, ObjectName, Registry, Target, decode, meta};
use crate::admission::{self, Attributes, Ending, Operation};
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

    /// What was sent, as an object of the target's kind (of a subresource: the subresource's) on the way to being
    /// created: typed, defaulted, with the owner of its fields, and admitted. Checking it is the handler's.
    pub async fn sent(&self, target: &Target) -> ApiResult<Object> {
        let mut object = decode::decode(self.cx, target, self.body.clone(), self.options.validation())?;
        meta::settle_namespace(self.target, &mut object, &self.object_name())?;
        decode::default(target, &mut object)?;
        meta::forget_system_fields(&mut object);
        let (cx, subresource, options) = (self.cx, self.subresource, self.options);
        let unconverted = &Unconverted::default();
        Tracked { cx, target, part: Part::Main, subresource, options, unconverted }.created(&mut object);
        let attributes = Attributes {
            operation: Operation::Create,
            kind: target.kind(),
            resource: self.target.gvr(),
            subresource: subresource.to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            requested: self.name.to_owned(),
            dry_run: options.dry_run,
            options: admission::Options::Write(options.clone()),
            shapes: forms(target.clone()),
            rounds: admission::Rounds::default(),
        };
        let admission = &self.registry.admission;
        admission.mutate(cx, &attributes, &mut object, None).await?;
        decode::default(target, &mut object)?;
        admission.validate(cx, &attributes, Some(&object), None).await?;
        // Nothing will be stored, so nothing is to be charged for.
        admission.follow(cx, &attributes, Ending::Withdrawn, Some(&object), None).await;
        Ok(object)
    }
}
