//! What a write brings with it before it is answered: a definition's names are accepted, say, so that what it defines is
//! served when its creation returns.

use atoll_api::options::WriteOptions;
use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::modify::{Change, Precondition, Tracking};
use super::resource::Part;
use super::{ObjectName, Registry, Target, Written};
use crate::request::RequestContext;

/// Acts on a write of one resource after it is stored and before it is answered. What it does must be level-triggered:
/// a crash in between leaves it undone, and the next write, or a controller, does it.
pub trait Follower: Send + Sync + 'static {
    /// Whether it acts on changes of this part of objects, too; that of the object itself in any case.
    fn follows(&self, _: Part) -> bool {
        false
    }

    /// Called after an object was created, changed, or marked deleted or removed; not after what [`Registry::change`] does.
    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        registry: &'a Registry,
        target: &'a Target,
        name: &'a ObjectName<'a>,
    ) -> BoxFuture<'a, ()>;
}

impl Registry {
    /// Lets those act who follow this part of the resource.
    pub(super) async fn followed(&self, cx: &RequestContext, target: &Target, name: &ObjectName<'_>, part: Part) {
        for (resource, follower) in &self.followers {
            if *resource == target.descriptor().resource && (part == Part::Main || follower.follows(part)) {
                follower.follow(cx, self, target, name).await;
            }
        }
    }

    /// Changes a part of an object that clients reach through a subresource of its own, or that the server itself
    /// writes: `make` gets the object as it is, in the request's version, and gives it as it is to be.
    pub async fn change(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        subresource: &'static str,
        options: &WriteOptions,
        make: impl FnMut(&Object) -> ApiResult<Object> + Send,
    ) -> ApiResult<Written> {
        let part = if subresource == "status" { Part::Status } else { Part::Other };
        let change = Change::by_server(part, subresource, Tracking::Compare);
        self.change_as(cx, target, name, change, options, make).await
    }

    /// Changes an object as [`Registry::change`] does, in a way that nobody is recorded for.
    pub async fn change_unnoticed(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        options: &WriteOptions,
        make: impl FnMut(&Object) -> ApiResult<Object> + Send,
    ) -> ApiResult<Written> {
        let change = Change::by_server(Part::Other, "status", Tracking::Done);
        self.change_as(cx, target, name, change, options, make).await
    }

    async fn change_as(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        change: Change,
        options: &WriteOptions,
        mut make: impl FnMut(&Object) -> ApiResult<Object> + Send,
    ) -> ApiResult<Written> {
        self.modify(cx, target, name, change, options, |live| {
            let live = live.ok_or_else(|| atoll_api::ApiError::not_found(&target.shown(), name.name))?;
            Ok((make(live)?, Precondition::default()))
        })
        .await
    }
}
