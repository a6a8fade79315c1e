//! Makes clusters from others and from snapshots: copies of them, the same under another name, or the same as it was.
//!
//! The workspace of such a cluster is `Initializing` until all is there, and nobody sees anything of it before. One loop for
//! all, level-triggered: what was broken off, by whatever, is gone on with, and what cannot be made says why.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use atoll_api::time::format_time;
use atoll_api::{GroupResource, LogicalClusterName, Object};
use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::follow::{Attendant, Next, follow};
use super::identities::{NewIdentities, without_token};
use super::pour::{Content, pour};
use super::snapshot::{ContentError, Snapshot, unpack};
use super::workspace::{After, Identity, Source, Stage, note_content, note_failure};
use super::{OWNER_BINDING, RETAIN, StoredForm, cluster_of, workspace_key, workspaces};
use crate::storage::{Action, CommitError, Cut, Entry, Expect, Guard, Key, Store, Txn};

/// How many clusters are made at a time.
const AT_A_TIME: usize = 4;
/// How long to wait before trying again what failed, or what waits for somebody else.
const RETRY: Duration = Duration::from_secs(1);
/// Why a cluster will never be made.
const SOURCE_GONE: &str = "SourceGone";
const NO_SOURCE: &str = "NoSource";
/// What is written before everything else, since how the rest is read depends on it.
const FIRST: [&str; 2] = ["customresourcedefinitions", "namespaces"];

/// Makes the clusters of workspaces that name a source.
pub struct Maker {
    store: Arc<Store>,
    stored_form: StoredForm,
}

/// A workspace, as it is stored and as it reads.
struct Workspace {
    name: LogicalClusterName,
    revision: u64,
    object: Object,
}

/// How the content of a cluster is to differ from that of its source.
struct Shape {
    name: LogicalClusterName,
    uid: String,
    identity: Identity,
    /// What stays as it is there.
    kept: HashSet<Key>,
}

/// Why a cluster is not made.
enum Trouble {
    /// It cannot be, as things are: a word for machines and a sentence for people.
    Refused(&'static str, String),
    /// The store did not take it, or somebody changed a workspace meanwhile.
    Store(CommitError),
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Self {
        Self::Store(error)
    }
}

// === impl Maker ===

impl Maker {
    /// A maker of this store's clusters; objects that it changes are stored in this form.
    pub fn new(store: Arc<Store>, stored_form: StoredForm) -> Self {
        Self { store, stored_form }
    }

    /// Runs until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        follow(self.store.clone(), Arc::new(self), AT_A_TIME, stop).await;
    }

    async fn look_after(&self, workspace: Workspace) -> Next {
        let done = match Stage::of(&workspace.object) {
            Stage::Making | Stage::Restoring => self.make(&workspace).await,
            Stage::Moving => self.stay_if_left(&workspace).await,
            Stage::Ready => Ok(()),
        };
        match done {
            Ok(()) => Next::Done,
            // It is looked at anew as it is now.
            Err(Trouble::Store(CommitError::Conflict { .. })) => Next::After(Duration::ZERO),
            Err(Trouble::Store(error)) => {
                tracing::warn!(cluster = %workspace.name, %error, "a logical cluster could not be made; trying again");
                Next::After(RETRY)
            }
            Err(Trouble::Refused(reason, message)) => {
                tracing::warn!(cluster = %workspace.name, reason, message, "a logical cluster cannot be made");
                self.tell(workspace, reason, &message).await;
                // What is gone will not come back: another one of its name is not meant.
                if matches!(reason, SOURCE_GONE | NO_SOURCE) { Next::Done } else { Next::After(RETRY) }
            }
        }
    }

    /// Says in a workspace why its cluster is not made.
    async fn tell(&self, workspace: Workspace, reason: &str, message: &str) {
        let mut object = workspace.object;
        if note_failure(&mut object, reason, message, Timestamp::now())
            && let Ok(value) = (self.stored_form)(&object)
        {
            let txn = Txn::update(workspace_key(&workspace.name), workspace.revision, value);
            if let Err(error) = self.store.commit(txn).await {
                tracing::debug!(cluster = %workspace.name, %error, "what is wrong with it could not be said");
            }
        }
    }

    async fn make(&self, workspace: &Workspace) -> Result<(), Trouble> {
        match Source::of(&workspace.object) {
            Some(Source::Cluster { name, uid, after }) => self.copy(workspace, &name, &uid, after).await,
            Some(Source::Snapshot { name, uid }) => self.restore(workspace, &name, &uid).await,
            None => Err(refused(NO_SOURCE, "spec.source names neither a logical cluster nor a snapshot")),
        }
    }

    /// Makes a cluster of what a snapshot holds.
    async fn restore(&self, workspace: &Workspace, name: &str, uid: &str) -> Result<(), Trouble> {
        let snapshot = Snapshot::read(&self.store, name).filter(|found| found.uid() == uid && found.is_ready());
        let Some(snapshot) = snapshot else {
            return Err(Trouble::Refused(SOURCE_GONE, format!("the snapshot {name:?} is gone, or was never complete")));
        };
        let unreadable = |error: ContentError| Trouble::Refused("Unreadable", error.to_string());
        let parts = snapshot.content(&self.store).map_err(unreadable)?;
        let shape = Shape::of(&self.store, workspace);
        let (revision, bytes, content) = apart(move || {
            let unpacked = unpack(parts, &shape.name)?;
            Ok::<_, ContentError>((unpacked.revision, unpacked.bytes, shape.content(unpacked.values)))
        })
        .await?
        .map_err(unreadable)?;
        let size = (content.values.len() as u64, bytes);
        let guard = Guard { key: workspace_key(&workspace.name), revision: workspace.revision };
        pour(&self.store, &workspace.name, &guard, content).await?;
        let object = ready(workspace, revision, size);
        self.store.commit(Txn::update(guard.key, guard.revision, self.stored(&object)?)).await?;
        let (objects, bytes) = size;
        tracing::info!(cluster = %workspace.name, snapshot = name, objects, bytes, "logical cluster made of a snapshot");
        Ok(())
    }

    /// Makes a cluster of what another one holds now.
    async fn copy(&self, workspace: &Workspace, name: &str, uid: &str, after: After) -> Result<(), Trouble> {
        let mut source = self.source(name, uid)?;
        if after == After::Goes {
            source = self.freeze(source).await?;
        } else if Stage::of(&source.object) != Stage::Ready {
            let why = format!("the logical cluster {name:?} is not ready to be copied; it is tried again");
            return Err(Trouble::Refused("SourceNotReady", why));
        }
        let cut = self.cut(&source.name)?;
        let size = cut.size();
        let (revision, shape, stored_form) = (cut.revision, Shape::of(&self.store, workspace), self.stored_form);
        let content = apart(move || {
            let values = cut.entries().map(|(resource, entry)| {
                let key = Key::new(resource.clone(), shape.name.clone(), entry.namespace(), entry.name());
                // Whatever is signed for the one name is nobody's under the other.
                let value = without_token(resource, entry, stored_form).unwrap_or_else(|| entry.bytes());
                (key, value)
            });
            let values = values.collect();
            shape.content(values)
        });
        let content = content.await?;
        let guard = Guard { key: workspace_key(&workspace.name), revision: workspace.revision };
        pour(&self.store, &workspace.name, &guard, content).await?;
        let object = ready(workspace, revision, size);
        let mut txn = Txn::update(guard.key, guard.revision, self.stored(&object)?);
        if after == After::Goes {
            // Both at once: under one of its names it is always there, and never under both.
            txn = txn.and(workspace_key(&source.name), Expect::Revision(source.revision), self.marked(&source.object)?);
        }
        self.store.commit(txn).await?;
        let (objects, bytes) = size;
        tracing::info!(cluster = %workspace.name, source = %source.name, objects, bytes, "logical cluster copied");
        Ok(())
    }

    /// The workspace of the source, if it is still the one that was meant.
    fn source(&self, name: &str, uid: &str) -> Result<Workspace, Trouble> {
        let found = LogicalClusterName::parse(name).ok().and_then(|name| self.read(&name));
        found.filter(|found| found.object.uid() == uid && found.object.deletion_timestamp().is_none()).ok_or_else(
            || {
                let why = format!("the logical cluster {name:?} is gone; delete the workspace");
                Trouble::Refused(SOURCE_GONE, why)
            },
        )
    }

    /// Sees to it that nothing is written any more to a cluster that goes on elsewhere.
    async fn freeze(&self, source: Workspace) -> Result<Workspace, Trouble> {
        match Stage::of(&source.object) {
            Stage::Moving => return Ok(source),
            Stage::Ready => {}
            Stage::Making | Stage::Restoring => {
                let why =
                    format!("the logical cluster {:?} is not ready to be renamed; it is tried again", source.name);
                return Err(Trouble::Refused("SourceNotReady", why));
            }
        }
        let mut object = source.object;
        Stage::Moving.set(&mut object);
        // Every write demands that the workspace is as it was: those that have begun fail from here on.
        let txn = Txn::update(workspace_key(&source.name), source.revision, self.stored(&object)?);
        let revision = self.store.commit(txn).await?;
        Ok(Workspace { object, revision, ..source })
    }

    /// Lets a cluster be as it was if nobody goes on with it under another name any more.
    async fn stay_if_left(&self, workspace: &Workspace) -> Result<(), Trouble> {
        let moved_by = |entry: &Entry| {
            !entry.is_deleting() && Stage::is_passing(entry) && {
                let object: Object = serde_json::from_slice(&entry.bytes()).unwrap_or_default();
                let uid = workspace.object.uid();
                matches!(Source::of(&object), Some(Source::Cluster { uid: of, after: After::Goes, .. }) if of == uid)
            }
        };
        let root = atoll_api::ClusterScope::One(LogicalClusterName::root());
        let resource = workspaces();
        let query =
            crate::storage::ListQuery { filter: Some(&moved_by), ..crate::storage::ListQuery::new(&resource, &root) };
        let page =
            self.store.list(query).map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
        if !page.entries.is_empty() {
            return Ok(());
        }
        let mut object = workspace.object.clone();
        Stage::Ready.set(&mut object);
        let txn = Txn::update(workspace_key(&workspace.name), workspace.revision, self.stored(&object)?);
        self.store.commit(txn).await?;
        Ok(())
    }

    /// All that the source holds, as of one revision.
    fn cut(&self, source: &LogicalClusterName) -> Result<Cut, Trouble> {
        let cut = self.store.cut_of(source);
        cut.map_err(|error| Trouble::Store(CommitError::Unavailable { reason: error.to_string().into() }))
    }

    /// A workspace whose cluster went on elsewhere: its data is not kept.
    fn marked(&self, source: &Object) -> Result<Action, Trouble> {
        let mut object = source.clone();
        Stage::Ready.set(&mut object);
        object.set_annotation(RETAIN, "0");
        object.set_meta("deletionTimestamp", &format_time(Timestamp::now()));
        object.metadata_mut().insert("deletionGracePeriodSeconds".into(), 0.into());
        object.map_mut("status").insert("phase".into(), "Terminating".into());
        Ok(Action::Put(self.stored(&object)?))
    }

    fn stored(&self, object: &Object) -> Result<Bytes, Trouble> {
        (self.stored_form)(object).map_err(|error| Trouble::Refused("Unwritable", error.to_string()))
    }

    fn read(&self, name: &LogicalClusterName) -> Option<Workspace> {
        let entry = self.store.get(&workspace_key(name))?;
        let object = serde_json::from_slice(&entry.bytes()).ok()?;
        Some(Workspace { name: name.clone(), revision: entry.revision, object })
    }
}

impl Shape {
    fn of(store: &Store, workspace: &Workspace) -> Self {
        let identity = Identity::of(&workspace.object);
        let owner = owner_binding(&workspace.name);
        // The new owner's rights were made with the workspace.
        let kept = (identity == Identity::New && store.get(&owner).is_some()).then_some(owner);
        let uid = workspace.object.uid().to_owned();
        Self { name: workspace.name.clone(), uid, identity, kept: kept.into_iter().collect() }
    }

    /// What the cluster is to hold, of these values.
    fn content(self, mut values: Vec<(Key, Bytes)>) -> Content {
        if self.identity == Identity::New {
            let uids: Vec<String> = values.iter().map(|(_, value)| uid_of(value)).collect();
            let identities = NewIdentities::new(&self.uid, uids.iter().map(String::as_str));
            values.iter_mut().for_each(|(_, value)| *value = identities.renew(value));
        }
        values.retain(|(key, _)| !self.kept.contains(key));
        let place = |key: &Key| FIRST.iter().position(|first| **first == *key.resource.resource);
        values.sort_by_key(|(key, _)| place(key).unwrap_or(FIRST.len()));
        Content { values, kept: self.kept }
    }
}

impl Attendant for Maker {
    fn resource(&self) -> GroupResource {
        workspaces()
    }

    fn concerned(&self, entry: &Entry) -> Vec<String> {
        if !Stage::is_passing(entry) {
            return Vec::new();
        }
        let mut names = vec![entry.name().to_owned()];
        // What is not made any more lets its source be.
        let object: Object = serde_json::from_slice(&entry.bytes()).unwrap_or_default();
        if let Some(Source::Cluster { name, after: After::Goes, .. }) = Source::of(&object) {
            names.push(name);
        }
        names
    }

    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Next> {
        Box::pin(async move {
            let found = LogicalClusterName::parse(name).ok().and_then(|name| self.read(&name));
            match found.filter(|found| found.object.deletion_timestamp().is_none()) {
                Some(workspace) => self.look_after(workspace).await,
                None => Next::Done,
            }
        })
    }
}

fn refused(reason: &'static str, message: &str) -> Trouble {
    Trouble::Refused(reason, message.to_owned())
}

/// Does what takes long where nobody waits for it.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|died| Trouble::Refused("Unreadable", died.to_string()))
}

/// The workspace of a cluster that is made.
fn ready(workspace: &Workspace, revision: u64, size: (u64, u64)) -> Object {
    let mut object = workspace.object.clone();
    Stage::Ready.set(&mut object);
    note_content(&mut object, revision, size, Timestamp::now());
    object
}

/// The uid of an object, of which no more than the metadata is read.
fn uid_of(value: &Bytes) -> String {
    let root = LogicalClusterName::root();
    let key = Key::new(GroupResource::new("", ""), root.clone(), "", "");
    Entry::new(&key, root, value.clone(), 0).uid().to_owned()
}

/// The binding that gives the owner of a cluster all rights in it.
fn owner_binding(cluster: &LogicalClusterName) -> Key {
    let resource = GroupResource::new("rbac.authorization.k8s.io", "clusterrolebindings");
    Key::new(resource, cluster.clone(), "", OWNER_BINDING)
}

/// Whether writes to the cluster of a stored workspace are taken.
pub fn takes_writes(workspace: &Entry) -> bool {
    cluster_of(workspace).is_some_and(|cluster| cluster.stage == Stage::Ready)
}
