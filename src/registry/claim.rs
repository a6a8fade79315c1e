//! What only one object of a cluster may have at a time, such as the addresses of services: claimed by objects that are
//! stored and removed in the same transaction as those that hold them, so that no two can have the same, whichever
//! replica they are written through.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ApiError, ApiResult, GroupResource, LogicalClusterName, Object};

use super::resource::Companion;
use super::{Registry, Target, encode};
use crate::request::RequestContext;
use crate::storage::{Action, Expect, Key, Op, Store};

/// Gives objects of one resource what no two of them may have.
pub trait Claimer: Send + Sync + 'static {
    /// Gives a readied object what it needs and has not, and refuses what others hold. Called inside the conflict retry,
    /// before the object is checked.
    fn settle(&self, taken: &Taken<'_>, object: &mut Object, old: Option<&Object>) -> ApiResult<()>;

    /// What an object holds, as the objects by which it is claimed: complete, in their storage versions.
    fn claims(&self, cx: &RequestContext, object: &Object) -> Vec<Companion>;
}

/// What objects of a cluster hold.
pub struct Taken<'a> {
    store: &'a Store,
    cluster: &'a LogicalClusterName,
    is_rehearsal: bool,
}

impl Taken<'_> {
    /// Whether nothing will come of it: the request is a dry run.
    pub fn is_rehearsal(&self) -> bool {
        self.is_rehearsal
    }

    /// Whether there is a claim of that name.
    pub fn has(&self, resource: &GroupResource, name: &str) -> bool {
        self.store.get(&Key::new(resource.clone(), self.cluster.clone(), "", name)).is_some()
    }
}

impl Registry {
    /// Adds those who give objects of a resource what must be unique.
    #[must_use]
    pub fn with_claimers(mut self, claimers: Vec<(GroupResource, Arc<dyn Claimer>)>) -> Self {
        self.claimers = claimers;
        self
    }

    fn claimer(&self, target: &Target) -> Option<&dyn Claimer> {
        let resource = &target.descriptor().resource;
        self.claimers.iter().find(|(claimed, _)| claimed == resource).map(|(_, claimer)| &**claimer)
    }

    /// Gives an object what must be unique, if its resource has such.
    pub(super) fn settle_claims(
        &self,
        cx: &RequestContext,
        target: &Target,
        object: &mut Object,
        old: Option<&Object>,
        options: &WriteOptions,
    ) -> ApiResult<()> {
        let Some(claimer) = self.claimer(target) else { return Ok(()) };
        let taken = Taken { store: &self.store, cluster: &cx.cluster, is_rehearsal: options.dry_run };
        claimer.settle(&taken, object, old)
    }

    /// What is to be written with an object for its claims: those it has no more are given back.
    pub(super) fn claim_ops(
        &self,
        cx: &RequestContext,
        target: &Target,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> ApiResult<Vec<Op>> {
        let Some(claimer) = self.claimer(target) else { return Ok(Vec::new()) };
        let key_of = |claim: &Companion| {
            Key::new(claim.resource.clone(), claim.cluster.clone(), claim.object.namespace(), claim.object.name())
        };
        let claims = |object: Option<&Object>| {
            object
                .map(|object| claimer.claims(cx, object))
                .unwrap_or_default()
                .into_iter()
                .map(|claim| (key_of(&claim), claim))
        };
        let (before, after): (Vec<_>, Vec<_>) = (claims(old).collect(), claims(new).collect());
        let lacks = |claims: &[(Key, Companion)], key: &Key| claims.iter().all(|(other, _)| other != key);
        let mut ops = Vec::new();
        for (key, claim) in after.iter().filter(|(key, _)| lacks(&before, key)) {
            let bytes = encode::encode(&claim.object)?;
            ops.push(Op { key: key.clone(), expect: Expect::Absent, action: Action::Put(bytes) });
        }
        for (key, _) in before.into_iter().filter(|(key, _)| lacks(&after, key)) {
            // Clients may have taken a claim away: it is theirs to see, and there is nothing to give back then.
            if let Some(entry) = self.store.get(&key) {
                ops.push(Op { key, expect: Expect::Revision(entry.revision), action: Action::Delete });
            }
        }
        Ok(ops)
    }
}

/// The answer to a write that lost what it was about to be given to another one at the same moment.
pub(super) fn outrun() -> ApiError {
    ApiError::too_many_requests("another object has just taken what this one was about to be given; try again", 1)
}
