//! The commit of a write, and the promises that go with it: nothing is ever written to a logical cluster that is not there
//! any more, nor by a definition that says something else by now, however long the write was under way.

use atoll_api::{ApiError, ApiResult, GroupResource, LogicalClusterName};

use super::{Registry, Target, get};
use crate::request::RequestContext;
use crate::storage::{Action, CommitError, Expect, Key, Op, Txn};
use crate::tenancy;

/// How often a commit is tried again because the cluster's workspace was changed meanwhile.
const ATTEMPTS: usize = 8;

impl Registry {
    /// Commits operations in the context's cluster; `None` if one of them found its key otherwise than expected.
    ///
    /// The transaction also demands that the cluster's workspace is as it is now, so that a write cannot slip in behind the
    /// cluster's deletion and come to light in a later cluster of the same name.
    /// Likewise what defines the resource must still say what the object was checked against.
    pub(super) async fn commit(&self, cx: &RequestContext, target: &Target, ops: Vec<Op>) -> ApiResult<Option<u64>> {
        for _ in 0..ATTEMPTS {
            let mut guarded = ops.clone();
            guarded.extend(self.cluster_is_there(cx)?);
            guarded.extend(self.definition_says_the_same(cx, target)?);
            match self.store.commit(Txn { ops: guarded }).await {
                Ok(revision) => return Ok(Some(revision)),
                Err(CommitError::Conflict { index, .. }) if index < ops.len() => return Ok(None),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(get::store_failed(error)),
            }
        }
        Ok(None)
    }

    /// The demand that the cluster is still there; none for the system cluster, which always is.
    fn cluster_is_there(&self, cx: &RequestContext) -> ApiResult<Option<Op>> {
        if cx.cluster.is_root() {
            return Ok(None);
        }
        let key = Key::new(tenancy::workspaces(), LogicalClusterName::root(), "", cx.cluster.as_str());
        let same = |uid: &str| cx.cluster_uid.as_ref().is_none_or(|expected| expected.as_str() == uid);
        match self.store.get(&key).filter(|workspace| !workspace.is_deleting() && same(workspace.uid())) {
            Some(workspace) if !tenancy::maker::takes_writes(&workspace) => {
                let why =
                    format!("the logical cluster {:?} takes no writes for a moment; try again", cx.cluster.as_str());
                Err(ApiError::too_many_requests(&why, 1))
            }
            Some(workspace) => {
                Ok(Some(Op { key, expect: Expect::Revision(workspace.revision), action: Action::Check }))
            }
            None => {
                let clusters = GroupResource::new("core.kcp.io", "logicalclusters");
                Err(ApiError::not_found(&clusters, cx.cluster.as_str()))
            }
        }
    }

    /// The demand that the definition of the resource is as it is now, if that says what it said when the write began.
    fn definition_says_the_same(&self, cx: &RequestContext, target: &Target) -> ApiResult<Option<Op>> {
        let Some(definition) = target.resource.definition() else { return Ok(None) };
        let key = Key::new(definition.resource.clone(), cx.cluster.clone(), "", definition.name.as_str());
        let Some(entry) = self.store.get(&key) else { return Err(ApiError::no_such_path()) };
        if entry.revision != definition.revision && !target.resource.is_still_defined_by(&entry) {
            let why = format!("the definition of {} has just been changed; try again", target.shown());
            return Err(ApiError::too_many_requests(&why, 1));
        }
        Ok(Some(Op { key, expect: Expect::Revision(entry.revision), action: Action::Check }))
    }
}
