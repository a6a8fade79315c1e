//! The one way an existing object is changed: read, change, admit, ready, check, and commit against what was read.
//!
//! Update, patch, apply, scale and status writes differ only in the function that makes the new object from the old.
//! The whole chain is inside the conflict retry, so everything here must be repeatable.

use atoll_api::options::WriteOptions;
use atoll_api::validation::validate_object_meta_update;
use atoll_api::{ApiError, ApiResult, FieldErrors, FieldPath, Object, Reason, ResourceVersion};

use super::create::{Began, kind_of};
use super::encode::TypeMeta;
use super::resource::{MetadataChecks, Part};
use super::tracking::{Tracked, Unconverted};
use super::{ObjectName, Registry, Target, Written, decode, encode, get, meta, scale, underlay};
use crate::admission::{self, Attributes, Ending, Operation};
use crate::request::RequestContext;
use crate::storage::{Action, Entry, Expect, Key, Op};

/// How often a change is made anew because somebody else was faster.
const ATTEMPTS: usize = 32;

/// What is said of the object that a change is meant for.
#[derive(Debug, Clone, Default)]
pub(super) struct Precondition {
    uid: String,
    resource_version: String,
}

/// How `managedFields` learn of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracking {
    /// Old and new are compared; what differs is owned by the client from now on.
    Compare,
    /// The change has seen to it itself (server-side apply).
    Done,
}

/// Who makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A client.
    Client,
    /// The server, on its own part or behind a subresource: of it, nobody needs to be told who follows objects.
    Server,
}

/// What kind of change is made.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// What the change may touch.
    pub part: Part,
    /// How `managedFields` learn of it.
    pub tracking: Tracking,
    /// What the client said of the object it means.
    pub precondition: Precondition,
    /// Whether an object that does not exist is created.
    pub may_create: bool,
    /// The name of the subresource the change came through, for admission and managed fields.
    pub subresource: &'static str,
    /// Whether the new object may leave its version out, whatever the kind says: patches may.
    pub unconditional: bool,
    /// Who makes it.
    pub by: By,
}

/// An object in the storage version before and after a change.
struct Revised {
    new: Object,
    old: Object,
    /// What admission was told of the change.
    attributes: Attributes,
}

impl Change {
    /// A change that the server itself makes of an object that is there, as it finds it.
    pub(super) fn by_server(part: Part, subresource: &'static str, tracking: Tracking) -> Self {
        let precondition = Precondition::default();
        Self { part, tracking, precondition, may_create: false, subresource, unconditional: true, by: By::Server }
    }
}

impl Precondition {
    /// What an object a client sent says of the one it means.
    pub(super) fn of(object: &Object) -> Self {
        Self::saying(object.uid(), object.resource_version())
    }

    /// What a client says, each empty if it does not.
    pub(super) fn saying(uid: &str, resource_version: &str) -> Self {
        Self { uid: uid.to_owned(), resource_version: resource_version.to_owned() }
    }
}

/// The error for a write that means an object of another uid.
pub(super) fn other_uid(target: &Target, name: &ObjectName<'_>, meant: &str, live: &str) -> ApiError {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {meant}, UID in object meta: {live}",
        target.etcd_key(name),
    );
    ApiError::conflict(&target.shown(), name.name, &why)
}

impl Registry {
    /// Changes an object: `make` gets the live object (`None` if there is none and creating is allowed) in the
    /// request's version and gives the new one, decoded, pruned and defaulted.
    pub(super) async fn modify(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        change: Change,
        options: &WriteOptions,
        mut make: impl FnMut(Option<&Object>) -> ApiResult<(Object, Precondition)> + Send,
    ) -> ApiResult<Written> {
        let key = self.key(&cx.cluster, target, name);
        for _ in 0..ATTEMPTS {
            let Some((entry, expect)) = self.to_change(cx, target, name, &key) else {
                return self.create_instead(cx, target, name, &change, options, &mut make).await;
            };
            self.ready_to_read(target, std::slice::from_ref(&entry)).await?;
            let live = target.read(&entry)?;
            let (new, precondition) = make(Some(&live))?;
            let precondition = change.precondition.clone().or(precondition);
            self.check_precondition(target, name, &entry, &change, &precondition)?;
            let Revised { new, old, attributes } =
                self.revise(cx, target, &change, options, (&entry, live), new).await?;
            let stored = self.store_changed(cx, target, (&key, &entry, expect), (&new, &old), options).await;
            let (ending, left) = match &stored {
                Ok(Some(_)) if is_finally_deleted(target, &new, &old) => (Ending::Removed, None),
                Ok(Some(_)) => (Ending::Stored, Some(&new)),
                Ok(None) | Err(_) => (Ending::Withdrawn, Some(&new)),
            };
            self.admission.follow(cx, &attributes, ending, left, Some(&old)).await;
            match stored? {
                Some(written) => {
                    if change.by == By::Client && !options.dry_run {
                        self.followed(cx, target, name, change.part).await;
                    }
                    return Ok(written);
                }
                None if precondition.resource_version.is_empty() => {}
                None => return Err(ApiError::modified(&target.shown(), name.name)),
            }
        }
        Err(ApiError::modified(&target.shown(), name.name))
    }

    async fn create_instead(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        change: &Change,
        options: &WriteOptions,
        make: &mut (impl FnMut(Option<&Object>) -> ApiResult<(Object, Precondition)> + Send),
    ) -> ApiResult<Written> {
        if self.underlay_entry(cx, target, name).is_some() {
            return Err(underlay::is_read_only(target, name.name));
        }
        if !change.may_create {
            return Err(ApiError::not_found(&target.shown(), name.name));
        }
        let (mut object, precondition) = make(None)?;
        let precondition = change.precondition.clone().or(precondition);
        if !precondition.uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                precondition.uid
            );
            return Err(ApiError::conflict(&target.shown(), name.name, &why));
        }
        if change.tracking == Tracking::Compare {
            self.track_creation(cx, target, &mut object, options);
        }
        self.create_decoded(cx, target, object, Began::Change, options).await
    }

    fn check_precondition(
        &self,
        target: &Target,
        name: &ObjectName<'_>,
        entry: &Entry,
        change: &Change,
        precondition: &Precondition,
    ) -> ApiResult<()> {
        // A patch that names another uid would change what is immutable; the checks say so.
        if !change.unconditional && !precondition.uid.is_empty() && precondition.uid != entry.uid() {
            return Err(other_uid(target, name, &precondition.uid, entry.uid()));
        }
        let version = ResourceVersion::parse(&precondition.resource_version).ok_or_else(|| {
            let shown = atoll_api::field::go_quote(&precondition.resource_version);
            // Kubernetes answers 500 here: the fault of the number is not put into a Status of its own.
            ApiError::new(Reason::Unknown, format!("strconv.ParseUint: parsing {shown}: invalid syntax"))
        })?;
        match version.0 {
            0 if change.unconditional || target.resource.unconditional_update() => Ok(()),
            0 => {
                let resource = target.shown();
                let kind = atoll_api::GroupKind { group: resource.group, kind: resource.resource };
                Err(ApiError::invalid(&kind, name.name, &meta::version_must_be_named()))
            }
            given if given == entry.revision => Ok(()),
            _ => Err(ApiError::modified(&target.shown(), name.name)),
        }
    }

    /// From the object the client asked for to the one that is stored, in the design's order.
    async fn revise(
        &self,
        cx: &RequestContext,
        target: &Target,
        change: &Change,
        options: &WriteOptions,
        (entry, mut live): (&Entry, Object),
        mut new: Object,
    ) -> ApiResult<Revised> {
        let resource = &*target.resource;
        let is_scale = change.subresource == scale::SUBRESOURCE;
        let working = target.at_work();
        if change.tracking == Tracking::Compare && (!is_scale || scale::has_owner(target, &live)) {
            // What a version cannot say as the others do is owned as it comes back from them.
            if working.version != target.version {
                resource.convert(&mut new, &working.version().version)?;
                resource.convert(&mut new, &target.version().version)?;
            }
            let unconverted = &Unconverted::default();
            let tracked =
                Tracked { cx, target, part: change.part, subresource: change.subresource, options, unconverted };
            tracked.updated(&mut live, &mut new).await;
        }
        let old = if working.version == target.version { live } else { working.read(entry)? };
        resource.convert(&mut new, &working.version().version)?;
        let mut attributes =
            target.attributes(Operation::Update, change.subresource, &new, admission::Options::Write(options.clone()));
        if is_scale {
            scale::show_as_scale(&mut attributes);
            self.mutate_scale(cx, &working, &attributes, &mut new, &old).await?;
        } else {
            self.admission.mutate(cx, &attributes, &mut new, Some(&old)).await?;
        }
        decode::fill(&working, &mut new)?;
        meta::drop_repeated_owners(cx, &mut new);
        ready(cx, &working, change.part, &mut new, &old);
        meta::keep_times_of_owners(&mut new, &old);
        if change.part == Part::Main {
            self.settle_claims(cx, &working, &mut new, Some(&old), options)?;
        }
        check_changed(cx, target, change.part, &new, &old)?;
        if is_scale {
            self.validate_scale(cx, &working, &attributes, &new, &old).await?;
        } else {
            self.admission.validate(cx, &attributes, Some(&new), Some(&old)).await?;
        }
        // Kubernetes forgets it in what is stored only, so that a rehearsal shows it (storage/etcd3, 1.36).
        if !options.dry_run {
            new.metadata_mut().remove("selfLink");
        }
        Ok(Revised { new, old, attributes })
    }

    /// Commits a changed object; `None` if somebody else was faster.
    async fn store_changed(
        &self,
        cx: &RequestContext,
        target: &Target,
        (key, entry, expect): (&Key, &Entry, Expect),
        (new, old): (&Object, &Object),
        options: &WriteOptions,
    ) -> ApiResult<Option<Written>> {
        let done = |json| Ok(Some(Written { json, created: false }));
        self.ready_to_store(target, new).await?;
        let stored = target.to_stored(new)?;
        let bytes = encode::encode(&stored)?;
        let gone = is_finally_deleted(target, new, old);
        if options.dry_run || gone {
            if gone && !options.dry_run {
                let op = Op { key: key.clone(), expect, action: Action::Delete };
                let mut ops = vec![op];
                ops.extend(self.claim_ops(cx, target, Some(old), None)?);
                if self.commit(cx, target, ops).await?.is_none() {
                    return Ok(None);
                }
            }
            let mut shown = stored.into_owned();
            shown.set_meta("resourceVersion", &entry.revision.to_string());
            self.ready_to_show(target, &shown).await?;
            target.bring_up_to_date(&mut shown)?;
            return done(get::json(&shown)?);
        }
        if bytes == entry.bytes() {
            let mut out = Vec::with_capacity(bytes.len() + 64);
            target.writer(TypeMeta::Shown).write(entry, &mut out)?;
            return done(out.into());
        }
        let op = Op { key: key.clone(), expect, action: Action::Put(bytes) };
        let mut ops = vec![op];
        ops.extend(self.claim_ops(cx, target, Some(old), Some(new))?);
        match self.commit(cx, target, ops).await? {
            Some(revision) => done(self.shown_after(target, key, revision, new).await?),
            None => Ok(None),
        }
    }
}

impl Precondition {
    /// What the request said, or else what the new object says.
    fn or(self, other: Self) -> Self {
        Self {
            uid: if self.uid.is_empty() { other.uid } else { self.uid },
            resource_version: if self.resource_version.is_empty() {
                other.resource_version
            } else {
                self.resource_version
            },
        }
    }
}

/// What the server keeps, resets and counts in a changed object before it is checked.
fn ready(cx: &RequestContext, target: &Target, part: Part, new: &mut Object, old: &Object) {
    let resource = &*target.resource;
    match part {
        Part::Main => {
            if target.version().has_status() {
                keep_field(new, old, "status");
            }
            meta::keep_system_fields(new, old);
            resource.prepare_update(new, old);
            resource.stamp(cx, new, Some(old), part);
            meta::count_generation(resource, new, old);
        }
        Part::Other => {
            meta::keep_system_fields(new, old);
            resource.stamp(cx, new, Some(old), part);
        }
        Part::Sub(subresource) => {
            meta::keep_system_fields(new, old);
            resource.prepare_part_update(subresource, new, old);
            resource.stamp(cx, new, Some(old), part);
            meta::count_generation(resource, new, old);
        }
        Part::Status => {
            keep_all_but_status(target, new, old);
            meta::keep_system_fields(new, old);
            resource.prepare_status_update(new, old);
            resource.stamp(cx, new, Some(old), part);
        }
    }
}

fn keep_field(new: &mut Object, old: &Object, field: &str) {
    match old.get(field) {
        Some(value) => new.0.insert(field.to_owned(), value.clone()),
        None => new.0.remove(field),
    };
}

/// A status write changes the status; a custom type's metadata stays as well, of a built-in's what the kind says.
fn keep_all_but_status(target: &Target, new: &mut Object, old: &Object) {
    let status = new.0.remove("status");
    let metadata = new.0.remove("metadata");
    let mut kept = Object::default();
    for (field, value) in old.0.iter().filter(|(field, _)| *field != "status") {
        // A writer of a status mostly sends the rest as it read it.
        let same = new.0.remove(field).filter(|sent| sent == value);
        kept.0.insert(field.clone(), same.unwrap_or_else(|| value.clone()));
    }
    if let Some(status) = status {
        kept.0.insert("status".into(), status);
    }
    if let Some(metadata) = metadata {
        let old_metadata = old.metadata().cloned().unwrap_or_default();
        match target.resource.origin() {
            super::resource::Origin::Builtin => {
                kept.0.insert("metadata".into(), metadata);
                for field in target.resource.reset_fields(Part::Status) {
                    keep_in_metadata(&mut kept, &old_metadata, field);
                }
            }
            super::resource::Origin::Custom => {
                let managed = metadata.get("managedFields").cloned();
                match managed {
                    Some(managed) => kept.metadata_mut().insert("managedFields".into(), managed),
                    None => kept.metadata_mut().remove("managedFields"),
                };
            }
        }
    }
    *new = kept;
}

/// Keeps a field `metadata.<name>` as it was; other paths are none of this function's business.
fn keep_in_metadata(object: &mut Object, old: &serde_json::Map<String, serde_json::Value>, path: &str) {
    let Some(field) = path.strip_prefix("metadata.") else { return };
    match old.get(field) {
        Some(value) => object.metadata_mut().insert(field.to_owned(), value.clone()),
        None => object.metadata_mut().remove(field),
    };
}

fn check_changed(cx: &RequestContext, target: &Target, part: Part, new: &Object, old: &Object) -> ApiResult<()> {
    let resource = &*target.resource;
    // Kubernetes checks the metadata of a change more than once, and tells its faults as often (rest/update.go,
    // `validateCommonFields`, and each kind's own validation); the message names each once.
    let mut errors = decode::check_any_metadata(target, new);
    let changed = validate_object_meta_update(new, old, &FieldPath::new("metadata"));
    let own = resource.metadata_checks(part);
    errors.extend(changed.clone());
    if matches!(own, MetadataChecks::AsChange | MetadataChecks::Both) {
        errors.extend(changed);
        decode::check_finalizers(target, new, &mut errors);
    }
    if matches!(own, MetadataChecks::AsNew | MetadataChecks::Both) {
        errors.extend(decode::check_metadata(target, new));
    }
    errors.extend(match part {
        Part::Main => {
            let mut errors = resource.validate_update(new, old, &mut |warning| cx.warn(warning));
            errors.extend(resource.validate_in(&target.version().version, new, Some(old)));
            errors
        }
        Part::Status => resource.validate_status_update(new, old, &mut |warning| cx.warn(warning)),
        Part::Sub(subresource) => resource.validate_part_update(subresource, new, old),
        Part::Other => FieldErrors::new(),
    });
    if !errors.is_empty() {
        return Err(ApiError::invalid(&kind_of(target, new), old.name(), &errors));
    }
    if part == Part::Main {
        for warning in resource.warnings(new, Some(old)) {
            cx.warn(warning);
        }
    }
    Ok(())
}

/// Whether this change took the last thing away that kept a deleted object.
fn is_finally_deleted(target: &Target, new: &Object, old: &Object) -> bool {
    old.deletion_timestamp().is_some()
        && old.deletion_grace_period_seconds().unwrap_or(0) == 0
        && new.finalizers().is_empty()
        && !target.resource.holds_deleted(new)
}
