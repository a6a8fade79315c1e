//! DELETE: preconditions, propagation, finalizers and grace, and what the client is answered.

use atoll_api::options::{DeleteOptions, Propagation};
use atoll_api::{ApiError, ApiResult, GroupResource, Object};
use bytes::Bytes;

use super::encode::TypeMeta;
use super::resource::{Grace, Part};
use super::{ObjectName, Registry, Target, encode, get, meta, underlay};
use crate::admission::{self, Ending, Operation};
use crate::request::RequestContext;
use crate::storage::{Action, Entry, Expect, Key, Op};

const ATTEMPTS: usize = 32;
/// The finalizer by which the garbage collector deletes dependents first.
pub(super) const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The finalizer by which the garbage collector frees dependents first.
pub(super) const ORPHAN_FINALIZER: &str = "orphan";

/// What became of an object whose deletion was asked for.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// It is gone.
    Gone {
        /// Its uid.
        uid: String,
        /// Its last state, for kinds that answer with it.
        object: Option<Bytes>,
    },
    /// It stays until its finalizers or its grace period let it go.
    Pending {
        /// Its state now.
        object: Bytes,
    },
}

/// What is to be done to one stored object.
enum Plan {
    Remove,
    /// It is marked first, so that watchers see it being deleted, and removed then.
    MarkAndRemove(Box<Object>),
    Keep(Box<Object>),
    Nothing,
}

/// How the object to delete is named in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// By its own name.
    Itself,
    /// As one of a collection; admission is told no name then.
    InCollection,
}

impl Registry {
    /// Deletes an object, or begins to.
    pub async fn delete(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        options: &DeleteOptions,
    ) -> ApiResult<Deleted> {
        warn_of_orphans(cx, target, options);
        self.delete_named(cx, target, name, Named::Itself, options).await
    }

    pub(super) async fn delete_named(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        named: Named,
        options: &DeleteOptions,
    ) -> ApiResult<Deleted> {
        if let Some(why) = target.resource.refuses_deletion(name.name) {
            return Err(ApiError::forbidden(&target.shown(), name.name, why));
        }
        let key = self.key(&cx.cluster, target, name);
        for _ in 0..ATTEMPTS {
            // What clusters share is not theirs to delete.
            let is_own = |expect: &Expect| *expect != Expect::Absent || self.is_told_for_change(target);
            let found = self.to_change(cx, target, name, &key).filter(|(_, expect)| is_own(expect));
            let Some((entry, expect)) = found else {
                return Err(match self.underlay_entry(cx, target, name) {
                    Some(_) => underlay::is_read_only(target, name.name),
                    None => ApiError::not_found(&target.shown(), name.name),
                });
            };
            check_preconditions(target, name.name, &entry, options)?;
            self.ready_to_read(target, std::slice::from_ref(&entry)).await?;
            let old = target.at_storage().read(&entry)?;
            let mut attributes =
                target.attributes(Operation::Delete, "", &old, admission::Options::Delete(options.clone()));
            if named == Named::InCollection {
                attributes.name.clear();
            }
            self.admission.validate(cx, &attributes, None, Some(&old)).await?;
            let gone = self.admission.is_followed(cx, &attributes).then(|| old.clone());
            if let Some(deleted) = self.carry_out(cx, target, (&key, &entry, expect), old, options).await? {
                if let (Deleted::Gone { .. }, Some(gone)) = (&deleted, &gone) {
                    self.admission.follow(cx, &attributes, Ending::Removed, None, Some(gone)).await;
                }
                if !options.dry_run {
                    self.followed(cx, target, name, Part::Main).await;
                }
                return Ok(deleted);
            }
            if options.preconditions.as_ref().is_some_and(|p| p.resource_version.is_some()) {
                return Err(ApiError::modified(&target.shown(), name.name));
            }
        }
        Err(ApiError::modified(&target.shown(), name.name))
    }

    /// Does what the plan says; `None` if somebody else was faster.
    async fn carry_out(
        &self,
        cx: &RequestContext,
        target: &Target,
        (key, entry, expect): (&Key, &Entry, Expect),
        old: Object,
        options: &DeleteOptions,
    ) -> ApiResult<Option<Deleted>> {
        let uid = old.uid().to_owned();
        let released = self.claim_ops(cx, target, Some(&old), None)?;
        let (action, kept) = match plan(cx, target, old, options) {
            Plan::MarkAndRemove(object) => {
                return self.mark_and_remove(cx, target, (key, entry, expect), *object, options).await;
            }
            Plan::Nothing => {
                return Ok(Some(Deleted::Pending { object: shown(target, entry, entry.revision)? }));
            }
            Plan::Remove => (Action::Delete, None),
            Plan::Keep(object) => (Action::Put(encode::encode(&object)?), Some(object)),
        };
        let revision = if options.dry_run {
            entry.revision
        } else {
            let op = Op { key: key.clone(), expect, action };
            let mut ops = vec![op];
            if kept.is_none() {
                ops.extend(released);
            }
            match self.commit(cx, target, ops).await? {
                Some(revision) => revision,
                None => return Ok(None),
            }
        };
        Ok(Some(match kept {
            Some(object) => {
                let mut object = *object;
                object.set_meta("resourceVersion", &revision.to_string());
                self.ready_to_show(target, &object).await?;
                target.bring_up_to_date(&mut object)?;
                Deleted::Pending { object: get::json(&object)? }
            }
            None if target.resource.returns_deleted_object() => {
                Deleted::Gone { uid, object: Some(shown(target, entry, revision)?) }
            }
            None => Deleted::Gone { uid, object: None },
        }))
    }
}

impl Registry {
    /// Deletes an object whose kind is given time to end, but which needs none; `None` if somebody else was faster.
    async fn mark_and_remove(
        &self,
        cx: &RequestContext,
        target: &Target,
        (key, entry, expect): (&Key, &Entry, Expect),
        mut object: Object,
        options: &DeleteOptions,
    ) -> ApiResult<Option<Deleted>> {
        let uid = object.uid().to_owned();
        let answers = target.resource.returns_deleted_object();
        if options.dry_run {
            let object = if answers { Some(shown(target, entry, entry.revision)?) } else { None };
            return Ok(Some(Deleted::Gone { uid, object }));
        }
        let mark = Action::Put(encode::encode(&object)?);
        let op = Op { key: key.clone(), expect, action: mark };
        let Some(marked) = self.commit(cx, target, vec![op]).await? else { return Ok(None) };
        let op = Op { key: key.clone(), expect: Expect::Revision(marked), action: Action::Delete };
        let Some(revision) = self.commit(cx, target, vec![op]).await? else { return Ok(None) };
        object.set_meta("resourceVersion", &revision.to_string());
        target.bring_up_to_date(&mut object)?;
        let object = if answers { Some(get::json(&object)?) } else { None };
        Ok(Some(Deleted::Gone { uid, object }))
    }
}

fn shown(target: &Target, entry: &Entry, revision: u64) -> ApiResult<Bytes> {
    let mut out = Vec::with_capacity(entry.size() + 64);
    target.writer(TypeMeta::Shown).write_at(entry, revision, &mut out)?;
    Ok(out.into())
}

fn check_preconditions(target: &Target, name: &str, entry: &Entry, options: &DeleteOptions) -> ApiResult<()> {
    // Kubernetes names the kind here, where it names the resource elsewhere (storage/interfaces.go).
    let subject = GroupResource::new(target.kind().group, target.kind().kind);
    if let Some(uid) = options.preconditions.as_ref().and_then(|p| p.uid.as_deref()).filter(|uid| *uid != entry.uid()) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            entry.uid()
        );
        return Err(ApiError::conflict(&subject, name, &why));
    }
    let revision = entry.revision.to_string();
    if let Some(version) = options
        .preconditions
        .as_ref()
        .and_then(|p| p.resource_version.as_deref())
        .filter(|version| **version != *revision)
    {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
        );
        return Err(ApiError::conflict(&subject, name, &why));
    }
    Ok(())
}

/// Decides what a deletion does to the object as it stands.
fn plan(cx: &RequestContext, target: &Target, old: Object, options: &DeleteOptions) -> Plan {
    let resource = &*target.resource;
    let mut object = old.clone();
    let finalizers = finalizers_after(target, &old, options);
    object.set_finalizers(finalizers);
    let grace = resource.grace(&old, options.grace_period_seconds);
    let held = !object.finalizers().is_empty() || resource.holds_deleted(&object);
    let was_last_marked = old.deletion_timestamp().is_some() && old.deletion_grace_period_seconds().unwrap_or(0) == 0;
    let seconds = match grace {
        Grace::Seconds(seconds) if seconds > 0 => seconds,
        Grace::Seconds(_) if !held && !was_last_marked => 0,
        _ if held => 0,
        _ => return Plan::Remove,
    };
    match old.deletion_timestamp() {
        None => meta::mark_deleted(&mut object, cx.now, seconds),
        // A deletion under way can be hastened, never delayed.
        Some(_) if old.deletion_grace_period_seconds().is_some_and(|left| seconds < left) => {
            let generation = object.generation();
            meta::mark_deleted(&mut object, cx.now, seconds);
            object.set_generation(generation);
        }
        Some(_) => {}
    }
    resource.prepare_deletion(&mut object, &old);
    match grace {
        _ if object == old => Plan::Nothing,
        Grace::Seconds(_) if seconds == 0 && !held => Plan::MarkAndRemove(Box::new(object)),
        _ => Plan::Keep(Box::new(object)),
    }
}

/// Tells a client that says nothing of dependents what becomes of them.
pub(super) fn warn_of_orphans(cx: &RequestContext, target: &Target, options: &DeleteOptions) {
    if let (None, Some(warning)) = (options.propagation(), target.resource.deletion_warning()) {
        cx.warn(warning);
    }
}

/// The finalizers after the propagation policy has been heard (`deletionFinalizersForGarbageCollection`).
fn finalizers_after(target: &Target, object: &Object, options: &DeleteOptions) -> Vec<String> {
    let has = |name: &str| object.finalizers().contains(&name);
    let (orphan, foreground) = match options.propagation() {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        None => {
            let orphan = has(ORPHAN_FINALIZER) || (target.resource.orphans_by_default() && !has(FOREGROUND_FINALIZER));
            (orphan, has(FOREGROUND_FINALIZER))
        }
    };
    let kept = object.finalizers().into_iter().filter(|f| *f != ORPHAN_FINALIZER && *f != FOREGROUND_FINALIZER);
    let mut finalizers: Vec<String> = kept.map(str::to_owned).collect();
    if orphan {
        finalizers.push(ORPHAN_FINALIZER.to_owned());
    }
    if foreground {
        finalizers.push(FOREGROUND_FINALIZER.to_owned());
    }
    finalizers
}
