//! The commit of a write, and the promise that goes with it: nothing is ever written to a logical cluster that is not
//! there any more, however long the write was under way.

use atoll_api::{ApiError, ApiResult, GroupResource, LogicalClusterName};

use super::{Registry, get};
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
    pub(super) async fn commit(&self, cx: &RequestContext, ops: Vec<Op>) -> ApiResult<Option<u64>> {
        for _ in 0..ATTEMPTS {
            let mut guarded = ops.clone();
            guarded.extend(self.guard(cx)?);
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
    fn guard(&self, cx: &RequestContext) -> ApiResult<Option<Op>> {
        if cx.cluster.is_root() {
            return Ok(None);
        }
        let key = Key::new(tenancy::workspaces(), LogicalClusterName::root(), "", cx.cluster.as_str());
        let same = |uid: &str| cx.cluster_uid.as_ref().is_none_or(|expected| expected.as_str() == uid);
        match self.store.get(&key).filter(|workspace| !workspace.is_deleting() && same(workspace.uid())) {
            Some(workspace) => {
                Ok(Some(Op { key, expect: Expect::Revision(workspace.revision), action: Action::Check }))
            }
            None => {
                let clusters = GroupResource::new("core.kcp.io", "logicalclusters");
                Err(ApiError::not_found(&clusters, cx.cluster.as_str()))
            }
        }
    }
}
