//! The content of snapshots: an archive of a cluster, kept in parts beside the object that stands for it.
//!
//! Parts lie under a resource that no API shows, in a namespace named by the snapshot's uid, so that nothing of a
//! snapshot is ever taken for another one's of its name. They are written while the snapshot says that it is not complete.

use std::io::Read;
use std::sync::Arc;

use atoll_api::time::format_time;
use atoll_api::{ClusterScope, GroupResource, LogicalClusterName, Object};
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::identities::without_token;
use super::{StoredForm, workspace_key};
use crate::storage::archive::{ArchiveError, ArchiveReader, Archiver, End, Header, Kept, Subject};
use crate::storage::{
    Action, CommitError, Cut, Entry, Expect, Guard, Key, KeyRange, ListQuery, Op, Store, Txn, VALUE_PREFIX,
};

/// The API group of snapshots.
pub const SNAPSHOT_GROUP: &str = "tenancy.atoll.dev";
/// How many bytes a part has: etcd takes no more than 1.5 MiB at a time.
const PART: usize = 512 << 10;
/// What every part begins with, as everything the store's cache holds.
const PART_HEAD: &[u8] = b"{\"metadata\":{}}";
/// How many parts are written at a time.
const AT_A_TIME: usize = 4;
/// The note of an archive that holds the workspace of its cluster.
const WORKSPACE: &str = "workspace";

/// A snapshot, as it is stored.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision that put it.
    pub revision: u64,
    /// The object.
    pub object: Object,
}

/// Why a snapshot has no content.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The store did not take it, or cannot be read.
    #[error("the store did not take it")]
    Store(#[from] CommitError),
    /// It is not what it should be.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It holds something that no cluster holds.
    #[error("the archive holds {0}")]
    Foreign(String),
    /// It is of something else.
    #[error("the archive is not of one logical cluster; restore it with `atoll restore`")]
    NoCluster,
}

/// What an archive of a cluster holds, ready to be put into another one.
pub(super) struct Unpacked {
    pub(super) revision: u64,
    pub(super) bytes: u64,
    pub(super) values: Vec<(Key, Bytes)>,
}

/// The resource of snapshots.
pub fn snapshots() -> GroupResource {
    GroupResource::new(SNAPSHOT_GROUP, "clustersnapshots")
}

/// Where a snapshot is kept.
pub fn snapshot_key(name: &str) -> Key {
    Key::new(snapshots(), LogicalClusterName::root(), "", name)
}

// === impl Snapshot ===

impl Snapshot {
    /// The snapshot of that name, if there is one.
    pub fn read(store: &Store, name: &str) -> Option<Self> {
        let entry = store.get(&snapshot_key(name))?;
        Some(Self { revision: entry.revision, object: serde_json::from_slice(&entry.bytes()).ok()? })
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        self.object.uid()
    }

    /// Whether its content is complete, and stays.
    pub fn is_ready(&self) -> bool {
        self.phase() == "Ready" && self.object.deletion_timestamp().is_none()
    }

    /// `Pending`, `Uploading`, `Ready` or `Failed`.
    pub fn phase(&self) -> &str {
        self.object.text_at(&["status", "phase"])
    }

    /// Replaces the content by this archive, which is checked first, and completes the snapshot.
    pub async fn fill(&self, store: &Store, archive: Bytes, stored_form: StoredForm) -> Result<Object, ContentError> {
        let whole = archive.clone();
        let checked = tokio::task::spawn_blocking(move || check(&whole)).await;
        let (header, end) = checked.map_err(|died| CommitError::Unavailable { reason: died.to_string().into() })??;
        let guard = Guard { key: snapshot_key(self.object.name()), revision: self.revision };
        self.drop_parts(store, Some(&guard)).await?;
        let check = Op { key: guard.key.clone(), expect: Expect::Revision(guard.revision), action: Action::Check };
        let mut steps = Vec::new();
        for (number, part) in archive.chunks(PART).enumerate() {
            let value = Bytes::from([PART_HEAD, part].concat());
            let put = Op { key: self.part(number), expect: Expect::Any, action: Action::Put(value) };
            steps.push(store.commit(Txn { ops: vec![put, check.clone()] }));
        }
        stream::iter(steps).buffer_unordered(AT_A_TIME).try_for_each(|_| std::future::ready(Ok(()))).await?;
        let object = self.completed(&header, &end, archive.len());
        let value =
            stored_form(&object).map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
        store.commit(Txn::update(guard.key, guard.revision, value)).await?;
        Ok(object)
    }

    /// The content, as it was written.
    pub fn content(&self, store: &Store) -> Result<Vec<Bytes>, ContentError> {
        let (resource, root) = (parts(), ClusterScope::One(LogicalClusterName::root()));
        let query = ListQuery { namespace: Some(self.uid()), ..ListQuery::new(&resource, &root) };
        let page = store.list(query).map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
        Ok(page.entries.iter().map(|entry| entry.bytes().slice(PART_HEAD.len().min(entry.size())..)).collect())
    }

    /// Deletes the content.
    pub(super) async fn drop_parts(&self, store: &Store, guard: Option<&Guard>) -> Result<(), CommitError> {
        let range = KeyRange::namespace(&parts(), &LogicalClusterName::root(), self.uid());
        store.delete_all(range, guard).await
    }

    fn part(&self, number: usize) -> Key {
        Key::new(parts(), LogicalClusterName::root(), self.uid(), format!("{number:08}"))
    }

    fn completed(&self, header: &Header, end: &End, size: usize) -> Object {
        let mut object = self.object.clone();
        let status = object.map_mut("status");
        status.insert("phase".into(), "Ready".into());
        if let Subject::Cluster { name, uid } = &header.of {
            status.insert("cluster".into(), json!({"name": name, "uid": uid}));
        }
        for (field, value) in [
            ("revision", Value::from(header.revision.to_string())),
            ("taken", header.taken.as_str().into()),
            ("objects", end.records.into()),
            ("bytes", end.bytes.into()),
            ("size", size.into()),
            ("digest", format!("sha256:{}", end.sha256).into()),
        ] {
            status.insert(field.into(), value);
        }
        status.remove("message");
        object
    }
}

/// The resource of the parts: no API can show it.
fn parts() -> GroupResource {
    GroupResource::new("-atoll", "snapshotparts")
}

/// An archive of what a cluster held, with its workspace. Tokens that the server had put into secrets stay behind: whoever
/// has the archive is not to be anybody in the cluster.
pub(super) fn pack(cut: &Cut, workspace: &Entry, now: Timestamp, stored_form: StoredForm) -> Vec<u8> {
    let notes = [(WORKSPACE.to_owned(), String::from_utf8_lossy(&workspace.bytes()).into_owned())];
    let header = Header {
        of: Subject::Cluster { name: workspace.name().to_owned(), uid: workspace.uid().to_owned() },
        revision: cut.revision,
        taken: format_time(now),
        notes: notes.into(),
        ..Header::default()
    };
    let (mut archiver, mut out) = Archiver::begin(header);
    for (resource, entry) in cut.entries() {
        let key = Key::new(resource.clone(), entry.cluster().clone(), entry.namespace(), entry.name());
        let value = without_token(resource, entry, stored_form).unwrap_or_else(|| entry.bytes());
        out.extend(archiver.add(&key.encode(), entry.revision, Kept::Here(&value[..])).unwrap_or_default());
    }
    out.extend(archiver.finish().0);
    out
}

/// Reads all of an archive of a cluster and finds whether it can be put into one.
fn check(archive: &[u8]) -> Result<(Header, End), ContentError> {
    walk(archive, |_, _| Ok(()))
}

/// What an archive holds, under the name of another cluster.
pub(super) fn unpack(content: Vec<Bytes>, cluster: &LogicalClusterName) -> Result<Unpacked, ContentError> {
    let mut values = Vec::new();
    let (header, end) = walk(Parts { parts: content, at: 0 }, |key, value| {
        values.push((Key { cluster: cluster.clone(), ..key }, value));
        Ok(())
    })?;
    Ok(Unpacked { revision: header.revision, bytes: end.bytes, values })
}

/// The workspace of the cluster of which an archive is.
pub fn workspace_of(content: Vec<Bytes>) -> Result<Object, ContentError> {
    let (header, _) = ArchiveReader::open(Parts { parts: content, at: 0 })?;
    let text = header.notes.get(WORKSPACE).map(String::as_str).unwrap_or_default();
    serde_json::from_str(text).map_err(|_| ContentError::Foreign("no workspace".into()))
}

fn walk(
    from: impl Read,
    mut visit: impl FnMut(Key, Bytes) -> Result<(), ContentError>,
) -> Result<(Header, End), ContentError> {
    let (header, mut reader) = ArchiveReader::open(from)?;
    let Subject::Cluster { name, .. } = &header.of else { return Err(ContentError::NoCluster) };
    while let Some(record) = reader.next_record()? {
        let key = Key::decode(&record.key).map_err(|error| ContentError::Foreign(error.to_string()))?;
        let Kept::Here(value) = record.value else { return Err(ContentError::NoCluster) };
        let fault = match () {
            () if key.cluster.as_str() != name => Some("an object of another logical cluster"),
            () if key.resource.group.starts_with('-') => Some("an object of a resource that no cluster has"),
            () if !names_itself(&key, &value) => Some("an object that is not what its key says"),
            () => None,
        };
        if let Some(fault) = fault {
            return Err(ContentError::Foreign(format!("{fault}: {key}")));
        }
        visit(key, value)?;
    }
    let end = reader.end().cloned().ok_or_else(|| ArchiveError::Damaged("it has no end".into()))?;
    Ok((header, end))
}

/// Whether a value is an object as they are stored, of the name and namespace its key has.
fn names_itself(key: &Key, value: &Bytes) -> bool {
    let Ok(object) = serde_json::from_slice::<Object>(value) else { return false };
    let typed = !object.api_version().is_empty() && !object.kind().is_empty() && !object.uid().is_empty();
    value.starts_with(VALUE_PREFIX)
        && object.name() == &*key.name
        && object.namespace() == &*key.namespace
        && object.resource_version().is_empty()
        && typed
}

/// Pieces that are read one after another.
struct Parts {
    parts: Vec<Bytes>,
    at: usize,
}

impl Read for Parts {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while let Some(part) = self.parts.get_mut(self.at) {
            if part.is_empty() {
                self.at += 1;
                continue;
            }
            let count = part.len().min(out.len());
            out[..count].copy_from_slice(&part.split_to(count));
            return Ok(count);
        }
        Ok(0)
    }
}

/// Takes a snapshot of a cluster as it is now, which the caller knows to be of this uid, and completes its object.
pub(super) async fn take(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    cluster: &LogicalClusterName,
    uid: &str,
    stored_form: StoredForm,
) -> Result<Option<Object>, ContentError> {
    let Some(workspace) = store.get(&workspace_key(cluster)).filter(|found| found.uid() == uid) else {
        return Ok(None);
    };
    let cut = store.cut_of(cluster).map_err(|error| CommitError::Unavailable { reason: error.to_string().into() })?;
    let packing = tokio::task::spawn_blocking(move || pack(&cut, &workspace, Timestamp::now(), stored_form));
    let archive = packing.await.map_err(|died| CommitError::Unavailable { reason: died.to_string().into() })?;
    snapshot.fill(store, archive.into(), stored_form).await.map(Some)
}
