//! GET: one object, and what other verbs share in showing one.

use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, Object, Reason};
use bytes::Bytes;

use super::encode::TypeMeta;
use super::{ObjectName, Registry, Target};
use crate::request::RequestContext;
use crate::storage::{CommitError, Entry, Key};

impl Registry {
    /// Reads one object as JSON.
    pub fn get(&self, cx: &RequestContext, target: &Target, name: &ObjectName<'_>) -> ApiResult<Bytes> {
        let entry = self.find(cx, target, name)?;
        let mut json = Vec::with_capacity(entry.size() + 64);
        target.writer(TypeMeta::Shown).write(&entry, &mut json)?;
        Ok(Bytes::from(json))
    }

    /// Checks the `resourceVersion` of a read, and waits for it if it is still to come.
    pub async fn check_version(&self, text: &str) -> ApiResult<()> {
        match super::list::parse_version(text)? {
            version if version.0 > self.store.revision() => self.wait_for(version).await,
            _ => Ok(()),
        }
    }

    /// Reads one object.
    pub fn get_object(&self, cx: &RequestContext, target: &Target, name: &ObjectName<'_>) -> ApiResult<Object> {
        target.read(&*self.find(cx, target, name)?)
    }

    /// Reads one object as it was at a revision.
    pub fn get_object_at(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        revision: u64,
    ) -> ApiResult<Object> {
        let found = self.store.get_at(&self.key(&cx.cluster, target, name), revision);
        let found = found.map_err(|error| super::watch::too_old(error, revision))?;
        let entry = found.or_else(|| self.underlay_entry(cx, target, name));
        target.read(&*entry.ok_or_else(|| ApiError::not_found(&target.shown(), name.name))?)
    }

    /// The stored object of that name, in the cluster or in the underlay.
    pub fn find(&self, cx: &RequestContext, target: &Target, name: &ObjectName<'_>) -> ApiResult<Arc<Entry>> {
        let key = self.key(&cx.cluster, target, name);
        self.store
            .get(&key)
            .or_else(|| self.underlay_entry(cx, target, name))
            .ok_or_else(|| ApiError::not_found(&target.shown(), name.name))
    }

    /// The object just stored, as the client gets it.
    pub(super) async fn shown_after(
        &self,
        target: &Target,
        key: &Key,
        revision: u64,
        object: &Object,
    ) -> ApiResult<Bytes> {
        let written = self.store.get(key).filter(|entry| entry.revision == revision);
        match written {
            Some(entry) => {
                self.ready_to_read(target, std::slice::from_ref(&entry)).await?;
                let mut out = Vec::with_capacity(entry.size() + 64);
                target.writer(TypeMeta::Shown).write(&entry, &mut out)?;
                Ok(Bytes::from(out))
            }
            // Somebody has changed it again already: the client gets what it wrote.
            None => {
                let mut shown = target.to_stored(object)?.into_owned();
                shown.set_meta("resourceVersion", &revision.to_string());
                self.ready_to_show(target, &shown).await?;
                target.bring_up_to_date(&mut shown)?;
                json(&shown)
            }
        }
    }
}

/// An object as JSON.
pub(super) fn json(object: &Object) -> ApiResult<Bytes> {
    serde_json::to_vec(&object.0)
        .map(Bytes::from)
        .map_err(|error| ApiError::internal("the object cannot be written as JSON").caused_by(error))
}

/// What a client is told when the store did not take a write.
pub(super) fn store_failed(error: CommitError) -> ApiError {
    match error {
        CommitError::TooLarge { .. } => {
            ApiError::new(Reason::RequestEntityTooLarge, "the object is too large to be stored")
        }
        CommitError::Unreachable { .. } => {
            ApiError::new(Reason::ServiceUnavailable, "the store cannot be reached just now, and nothing was written; try again")
                .caused_by(error)
        }
        CommitError::Unavailable { .. } => ApiError::new(
            Reason::Timeout,
            "the store did not confirm the write in time: it may have happened or not; read the object before trying again",
        )
        .caused_by(error),
        CommitError::Full { .. } => ApiError::new(
            Reason::ServiceUnavailable,
            "the store is full and nothing was written; its administrator must make room (etcd: compact, defragment, raise the quota, disarm the alarm)",
        )
        .caused_by(error),
        other => ApiError::internal("the store failed").caused_by(other),
    }
}
