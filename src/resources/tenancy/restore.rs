//! RestoreRequests: a logical cluster is put back to a snapshot of itself, asked for through `workspaces/restore`.
//!
//! It stays the same cluster, with the same uids, also when it was deleted meanwhile. A snapshot of any other cluster
//! would show its content to somebody who has no right to it, and is refused: make a cluster of it instead.

use atoll_api::{ApiError, ApiResult, FieldError, FieldPath, GroupKind, LogicalClusterName, Object, Reason};
use futures::future::BoxFuture;
use serde_json::json;

use crate::registry::Target;
use crate::registry::computed::{Call, Computed};
use crate::registry::encode::encode;
use crate::resources::Builtin;
use crate::resources::kind::{Kind, Version};
use crate::storage::{CommitError, Store, Txn};
use crate::tenancy::snapshot::{SNAPSHOT_GROUP, Snapshot};
use crate::tenancy::{Stage, put_back, revived, snapshot, workspace_key, workspaces};

pub(in crate::resources) static KIND: Kind = Kind {
    resource: "restorerequests",
    kind: "RestoreRequest",
    versions: &[Version {
        api_version: "tenancy.atoll.dev/v1alpha1",
        type_name: "clustersnapshot.v1alpha1.RestoreRequest",
        ..Version::BARE
    }],
    ..Kind::REVIEW
};

/// Begins to put clusters back.
pub(in crate::resources) struct Answer {
    request: Target,
}

impl Answer {
    /// Answers all of them.
    pub(in crate::resources) fn new() -> Self {
        Self { request: Target::new(Builtin::of(&KIND), 0) }
    }
}

impl Computed for Answer {
    fn answer<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, ApiResult<Object>> {
        Box::pin(async move {
            let mut request = call.sent(&self.request).await?;
            let missing = || ApiError::not_found(&workspaces(), call.name);
            let cluster = LogicalClusterName::parse(call.name).map_err(|_| missing())?;
            let named = request.text_at(&["spec", "snapshot"]).to_owned();
            let store = call.registry.store();
            let Some(snapshot) = Snapshot::read(store, &named).filter(Snapshot::is_ready) else {
                return Err(invalid(&named, "there is no such snapshot that is complete"));
            };
            if !call.options.dry_run {
                begin(store, &cluster, &snapshot).await?;
            }
            request.set_meta("name", call.name);
            Ok(request)
        })
    }
}

/// Writes the workspace as that of a cluster that is being put back; the rest is the maker's.
async fn begin(store: &Store, cluster: &LogicalClusterName, snapshot: &Snapshot) -> ApiResult<()> {
    let of = |field: &str| snapshot.object.text_at(&["status", "cluster", field]);
    let foreign = || {
        invalid(
            snapshot.object.name(),
            "it is not a snapshot of this logical cluster; make a cluster of it instead (spec.source.snapshot)",
        )
    };
    let conflict = |why: &str| ApiError::conflict(&workspaces(), cluster.as_str(), why);
    let txn = match store.get(&workspace_key(cluster)) {
        Some(entry) if entry.is_deleting() => return Err(conflict("it is still being deleted; try again")),
        Some(entry) => {
            if entry.uid() != of("uid") {
                return Err(foreign());
            }
            let mut workspace: Object = serde_json::from_slice(&entry.bytes())
                .map_err(|error| ApiError::internal("the workspace cannot be read").caused_by(error))?;
            // One whose restoring cannot go on is begun again, if need be from another snapshot.
            if !matches!(Stage::of(&workspace), Stage::Ready | Stage::Restoring) {
                return Err(conflict("it is being copied or renamed; try again"));
            }
            put_back(&mut workspace, &snapshot.object);
            Txn::update(workspace_key(cluster), entry.revision, encode(&workspace)?)
        }
        None => {
            if of("name") != cluster.as_str()
                || snapshot.object.text_at(&["status", "reason"]) != crate::tenancy::DELETED
            {
                return Err(ApiError::not_found(&workspaces(), cluster.as_str()));
            }
            let unreadable = |error| ApiError::internal("the snapshot cannot be read").caused_by(error);
            let content = snapshot.content(store).map_err(unreadable)?;
            let workspace = snapshot::workspace_of(content).map_err(unreadable)?;
            Txn::create(workspace_key(cluster), encode(&revived(&workspace, &snapshot.object))?)
        }
    };
    match store.commit(txn).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict { .. }) => Err(conflict("it has just been changed; try again")),
        Err(error) => {
            Err(ApiError::new(Reason::ServiceUnavailable, "the store did not take it; try again").caused_by(error))
        }
    }
}

fn invalid(snapshot: &str, why: &str) -> ApiError {
    let errors = vec![FieldError::invalid(&FieldPath::new("spec.snapshot"), &json!(snapshot), why)];
    let kind = GroupKind { group: SNAPSHOT_GROUP.into(), kind: KIND.kind.into() };
    ApiError::invalid(&kind, "", &errors)
}
