//! Keeps snapshots: takes those that are asked for, and lets go of those that are deleted or whose time is over.

use std::sync::Arc;
use std::time::Duration;

use atoll_api::time::{format_time, parse_time};
use atoll_api::{GroupResource, LogicalClusterName, Object};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::follow::{Attendant, Next, follow};
use super::retention::DELETED;
use super::snapshot::{ContentError, Snapshot, snapshot_key, snapshots, take};
use super::workspace::Stage;
use super::{StoredForm, cluster_of, workspace_key};
use crate::storage::{CommitError, Entry, Guard, Store, Txn};

/// How many snapshots are worked on at a time.
const AT_A_TIME: usize = 8;
/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long one waits at most before looking at a snapshot's time again.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Looks after the snapshots of clusters.
pub struct Keeper {
    store: Arc<Store>,
    stored_form: StoredForm,
}

// === impl Keeper ===

impl Keeper {
    /// A keeper of this store's snapshots; objects that it changes are stored in this form.
    pub fn new(store: Arc<Store>, stored_form: StoredForm) -> Self {
        Self { store, stored_form }
    }

    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        follow(self.store.clone(), Arc::new(self), AT_A_TIME, stop).await;
    }

    async fn look_after(&self, snapshot: &Snapshot) -> Result<Next, ContentError> {
        if snapshot.object.deletion_timestamp().is_some() {
            let key = snapshot_key(snapshot.object.name());
            let guard = Guard { key, revision: snapshot.revision };
            snapshot.drop_parts(&self.store, Some(&guard)).await?;
            self.store.commit(Txn::delete(guard.key, guard.revision)).await?;
            return Ok(Next::Done);
        }
        // That of a deleted cluster is made by whoever empties it.
        if snapshot.phase() == "Pending" && snapshot.object.text_at(&["status", "reason"]) != DELETED {
            return self.take(snapshot).await;
        }
        let Ok(end) = parse_time(snapshot.object.text_at(&["spec", "expires"])) else { return Ok(Next::Done) };
        let left = end.as_second().saturating_sub(Timestamp::now().as_second());
        if let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) {
            return Ok(Next::After(Duration::from_secs(left).min(LONGEST)));
        }
        let mut object = snapshot.object.clone();
        object.set_meta("deletionTimestamp", &format_time(Timestamp::now()));
        object.metadata_mut().insert("deletionGracePeriodSeconds".into(), 0.into());
        self.put(snapshot, &object).await?;
        Ok(Next::Done)
    }

    async fn take(&self, snapshot: &Snapshot) -> Result<Next, ContentError> {
        let (name, uid) = (snapshot.object.text_at(&["spec", "cluster"]), snapshot.object.text_at(&["spec", "uid"]));
        let Ok(cluster) = LogicalClusterName::parse(name) else { return Ok(Next::Done) };
        let found = self.store.get(&workspace_key(&cluster)).filter(|entry| entry.uid() == uid && !entry.is_deleting());
        let stage = found.and_then(|entry| cluster_of(&entry)).map(|cluster| cluster.stage);
        let trouble = match stage {
            Some(Stage::Ready | Stage::Moving) => {
                match take(&self.store, snapshot, &cluster, uid, self.stored_form).await? {
                    Some(_) => return Ok(Next::Done),
                    None => "the logical cluster is gone",
                }
            }
            Some(Stage::Making | Stage::Restoring) => return Ok(Next::After(RETRY)),
            None => "the logical cluster is gone",
        };
        let mut object = snapshot.object.clone();
        let status = object.map_mut("status");
        status.insert("phase".into(), "Failed".into());
        status.insert("message".into(), trouble.into());
        self.put(snapshot, &object).await?;
        Ok(Next::Done)
    }

    async fn put(&self, snapshot: &Snapshot, object: &Object) -> Result<(), CommitError> {
        let value = (self.stored_form)(object);
        let value = value.map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
        self.store.commit(Txn::update(snapshot_key(object.name()), snapshot.revision, value)).await.map(drop)
    }
}

impl Attendant for Keeper {
    fn resource(&self) -> GroupResource {
        snapshots()
    }

    fn concerned(&self, entry: &Entry) -> Vec<String> {
        vec![entry.name().to_owned()]
    }

    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Next> {
        Box::pin(async move {
            let Some(snapshot) = Snapshot::read(&self.store, name) else { return Next::Done };
            match self.look_after(&snapshot).await {
                Ok(next) => next,
                // It is looked at anew as it is now.
                Err(ContentError::Store(CommitError::Conflict { .. })) => Next::After(Duration::ZERO),
                Err(error) => {
                    tracing::warn!(snapshot = name, %error, "a snapshot could not be looked after; trying again");
                    Next::After(RETRY)
                }
            }
        })
    }
}
