//! CREATE: the order in which a new object is decoded, defaulted, admitted, readied, checked and stored.

use atoll_api::options::WriteOptions;
use atoll_api::{ApiError, ApiResult, GroupKind, Object, Reason, ResourceVersion};

use super::claim::outrun;
use super::decode::Body;
use super::resource::Part;
use super::tracking::{Tracked, Unconverted};
use super::{ObjectName, Registry, Target, Written, decode, encode, meta};
use crate::admission::{self, Ending, Operation};
use crate::authz;
use crate::authz::forbidden::forbidden;
use crate::request::RequestContext;
use crate::storage::{Action, Expect, Key, Op};

/// What a creation began as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Began {
    /// As a creation: the request was authorized as one.
    Creation,
    /// As a change of something that turned out not to be there: the right to create is still to be asked for.
    Change,
}

/// How often a generated name may be taken before the client is told.
const NAME_ATTEMPTS: usize = 8;

impl Registry {
    /// Creates an object. `name.name` is empty where the URL names none (a plain POST).
    pub async fn create(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Written> {
        let mut object = decode::decode(cx, target, body, options.validation())?;
        meta::settle_namespace(target, &mut object, name)?;
        decode::default(target, &mut object)?;
        self.track_creation(cx, target, &mut object, options);
        self.create_decoded(cx, target, object, Began::Creation, options).await
    }

    /// Records who owns the fields of a new object.
    pub(super) fn track_creation(
        &self,
        cx: &RequestContext,
        target: &Target,
        object: &mut Object,
        options: &WriteOptions,
    ) {
        meta::forget_system_fields(object);
        let unconverted = &Unconverted::default();
        Tracked { cx, target, part: Part::Main, subresource: "", options, unconverted }.created(object);
    }

    /// Creates an object that is decoded, pruned, defaulted and tracked, in the request's version.
    pub(super) async fn create_decoded(
        &self,
        cx: &RequestContext,
        target: &Target,
        mut object: Object,
        began: Began,
        options: &WriteOptions,
    ) -> ApiResult<Written> {
        if let Some(why) = target.resource.refuses_new() {
            return Err(ApiError::forbidden(&target.shown(), object.name(), why));
        }
        let mut claims_version = began == Began::Creation && !options.dry_run && names_a_version(&object);
        let working = target.at_work();
        working.resource.convert(&mut object, &working.version().version)?;
        let mut attributes =
            target.attributes(Operation::Create, "", &object, admission::Options::Write(options.clone()));
        if began == Began::Change {
            attributes.requested = attributes.name.clone();
        }
        self.admission.mutate(cx, &attributes, &mut object, None).await?;
        claims_version |= began == Began::Creation && !options.dry_run && names_a_version(&object);
        // Rights were asked for in the request's namespace, and plugins cannot lead out of it.
        let asked = ObjectName { namespace: &attributes.namespace, name: &attributes.name };
        meta::settle_namespace(&working, &mut object, &asked)?;
        decode::fill(&working, &mut object)?;
        meta::drop_repeated_owners(cx, &mut object);
        self.ready(cx, &working, &mut object);
        self.settle_claims(cx, &working, &mut object, None, options)?;
        let generated = object.name().is_empty() && !object.generate_name().is_empty();
        let attempts = if generated { NAME_ATTEMPTS } else { 1 };
        for attempt in 1..=attempts {
            if generated {
                let name = meta::generate(object.generate_name());
                object.set_meta("name", &name);
                // Some defaults come from the name.
                decode::fill(&working, &mut object)?;
            }
            let attributes =
                target.attributes(Operation::Create, "", &object, admission::Options::Write(options.clone()));
            self.check_new(cx, target, &object)?;
            if began == Began::Change {
                self.check_create_right(cx, target, &object)?;
            }
            self.admission.validate(cx, &attributes, Some(&object), None).await?;
            let stored = match claims_version {
                true => Err(version_on_create()),
                false => self.store_new(cx, target, &object, options).await,
            };
            let ending = if stored.is_ok() { Ending::Stored } else { Ending::Withdrawn };
            self.admission.follow(cx, &attributes, ending, Some(&object), None).await;
            match stored {
                Err(error) if error.reason() == Reason::AlreadyExists && attempt < attempts => {}
                other => return other,
            }
        }
        Err(ApiError::internal("no free name was found"))
    }

    /// What the server sets and drops in a new object before it is checked.
    fn ready(&self, cx: &RequestContext, target: &Target, object: &mut Object) {
        let resource = &*target.resource;
        if target.version().has_status() && !resource.keeps_new_status() {
            object.0.remove("status");
        }
        meta::make_new(cx, resource, object);
        resource.prepare_create(object);
        resource.stamp(cx, object, None, Part::Main);
    }

    fn check_new(&self, cx: &RequestContext, target: &Target, object: &Object) -> ApiResult<()> {
        let resource = &*target.resource;
        let mut errors = decode::check_metadata(target, object);
        errors.extend(resource.validate_create(object));
        errors.extend(resource.validate_in(&target.version().version, object, None));
        if !errors.is_empty() {
            return Err(ApiError::invalid(&kind_of(target, object), shown_name(object), &errors));
        }
        for warning in resource.warnings(object, None) {
            cx.warn(warning);
        }
        Ok(())
    }

    /// Whether the user may create an object that the request only asked to change. Asked when the object has been
    /// checked, as in Kubernetes (endpoints/handlers/create.go, `withAuthorization`).
    fn check_create_right(&self, cx: &RequestContext, target: &Target, object: &Object) -> ApiResult<()> {
        let gvr = target.gvr();
        let asked = authz::Attributes {
            version: &gvr.version,
            namespace: object.namespace(),
            name: object.name(),
            ..authz::Attributes::resource(&cx.cluster, &cx.user, "create", &gvr.group, &gvr.resource)
        };
        let decision = self.authorizer.authorize(&asked);
        if decision.is_allowed() { Ok(()) } else { Err(forbidden(&asked, &decision)) }
    }

    async fn store_new(
        &self,
        cx: &RequestContext,
        target: &Target,
        object: &Object,
        options: &WriteOptions,
    ) -> ApiResult<Written> {
        let name = ObjectName { namespace: object.namespace(), name: object.name() };
        let key = self.key(&cx.cluster, target, &name);
        if self.store.get(&key).is_some() || self.underlay_entry(cx, target, &name).is_some() {
            return Err(ApiError::already_exists(&target.shown(), name.name));
        }
        self.ready_to_store(target, object).await?;
        if options.dry_run {
            let mut shown = target.to_stored(object)?.into_owned();
            self.ready_to_show(target, &shown).await?;
            target.bring_up_to_date(&mut shown)?;
            return Ok(Written { json: super::get::json(&shown)?, created: true });
        }
        let bytes = encode::encode(&*target.to_stored(object)?)?;
        let mut ops = vec![Op { key: key.clone(), expect: Expect::Absent, action: Action::Put(bytes) }];
        for companion in target.resource.companions(cx, object) {
            let (namespace, name) = (companion.object.namespace(), companion.object.name());
            let key = Key::new(companion.resource, companion.cluster, namespace, name);
            let bytes = encode::encode(&companion.object)?;
            ops.push(Op { key, expect: Expect::Absent, action: Action::Put(bytes) });
        }
        ops.extend(self.claim_ops(cx, target, None, Some(object))?);
        ops.extend(self.namespace_op(cx, object.namespace())?);
        match self.commit(cx, target, ops).await? {
            Some(revision) => {
                let json = self.shown_after(target, &key, revision, object).await?;
                self.followed(cx, target, &name, Part::Main).await;
                Ok(Written { json, created: true })
            }
            None if self.store.get(&key).is_none() => Err(outrun()),
            None => Err(ApiError::already_exists(&target.shown(), name.name)),
        }
    }
}

/// The kind a fault is reported under: that of the object itself, which for a custom kind may be a wrong one, in the group
/// the kind is stored under, which is not the client's for events of `events.k8s.io`.
pub(super) fn kind_of(target: &Target, object: &Object) -> GroupKind {
    GroupKind { kind: object.kind().into(), ..target.descriptor().group_kind() }
}

/// Whether a new object says which version of it is stored. What is no number says nothing.
fn names_a_version(object: &Object) -> bool {
    ResourceVersion::parse(object.resource_version()).is_some_and(|version| version.0 != 0)
}

/// The store refuses it, when all else is done, and with an error that no client is prepared for (storage/errors.go).
fn version_on_create() -> ApiError {
    ApiError::new(Reason::Unknown, "resourceVersion should not be set on objects to be created")
}

/// The name a fault is reported under: that of the object, or the prefix of the generated one.
fn shown_name(object: &Object) -> &str {
    if object.name().is_empty() { object.generate_name() } else { object.name() }
}
