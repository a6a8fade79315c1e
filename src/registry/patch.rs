//! PATCH: JSON patch, merge patch, strategic merge patch and server-side apply, each as one way to make the new object.

use atoll_api::options::WriteOptions;
use atoll_api::status::{Cause, Details};
use atoll_api::{ApiError, ApiResult, FieldError, FieldPath, GroupKind, Object, Reason};
use bytes::Bytes;
use serde_json::Value;

use super::decode::Body;
use super::modify::{By, Change, Precondition, Tracking};
use super::patched_type::{self, Fault};
use super::resource::{Origin, Part};
use super::tracking::{ROUNDS, Tracked, Unconverted, owners_unconverted};
use super::{ObjectName, Registry, Target, Written, decode, meta};
use crate::codec::StrictFault;
use crate::patch;
use crate::patch::apply::Force;
use crate::request::RequestContext;
use crate::schema::decode::Form;
use atoll_api::options::FieldValidation;

/// Which of the four kinds of patch a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchKind {
    /// `application/json-patch+json` (RFC 6902).
    Json,
    /// `application/merge-patch+json` (RFC 7396).
    Merge,
    /// `application/strategic-merge-patch+json`: built-in types only.
    Strategic,
    /// `application/apply-patch+yaml`: server-side apply.
    Apply,
}

/// A patch as it was sent.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Its kind.
    pub kind: PatchKind,
    /// The parsed body.
    pub body: Body,
    /// Whether an apply takes fields over from other managers.
    pub force: Force,
}

impl PatchKind {
    /// In which form the patched object is read.
    pub(super) fn leaves(self) -> Form {
        match self {
            Self::Json | Self::Merge => Form::Text,
            Self::Strategic | Self::Apply => Form::Values,
        }
    }
}

impl Registry {
    /// Patches an object or its status.
    pub async fn patch(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        part: Part,
        patch: Patch,
        options: &WriteOptions,
    ) -> ApiResult<Written> {
        let apply = patch.kind == PatchKind::Apply;
        let change = Change {
            part,
            tracking: if apply { Tracking::Done } else { Tracking::Compare },
            precondition: Precondition::default(),
            // Kubernetes' status strategies are their kinds' own in this, so a status may create what a PUT may.
            may_create: apply && (part == Part::Main || part == Part::Status && target.resource.create_on_update()),
            subresource: target.subresource_of(part),
            unconditional: true,
            by: By::Client,
        };
        if apply {
            let applied = self.decode_applied(target, name, &patch);
            // What cannot be made by it must be there before it is read (handlers/patch.go).
            let applied = match applied {
                Err(error) if !change.may_create => return Err(self.find(cx, target, name).err().unwrap_or(error)),
                applied => applied?,
            };
            let unconverted = Unconverted::default();
            for _ in 0..ROUNDS {
                let tracked =
                    Tracked { cx, target, part, subresource: change.subresource, options, unconverted: &unconverted };
                let apply = |live: Option<&Object>| apply_patch(&tracked, (name, &applied), live, &patch);
                let written = self.modify(cx, target, name, change.clone(), options, apply).await;
                if !unconverted.fetch(target).await? {
                    return written;
                }
            }
            return Err(owners_unconverted());
        }
        self.modify(cx, target, name, change, options, |live| {
            let live = live.ok_or_else(|| ApiError::not_found(&target.shown(), name.name))?;
            patched(cx, (target, part), &patch, live, options.validation())
        })
        .await
    }

    /// Reads the configuration of a server-side apply.
    fn decode_applied(&self, target: &Target, name: &ObjectName<'_>, patch: &Patch) -> ApiResult<Object> {
        // Its nulls and empty values mean something, so its fields are not looked at here.
        let object = decode::configuration(patch.body.value.clone())?;
        decode::check_configured_type(&object, &target.kind())?;
        if object.metadata().and_then(|m| m.get("managedFields")).is_some_and(|managers| !managers.is_null()) {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        if !object.name().is_empty() || !object.generate_name().is_empty() {
            meta::check_name(&object, name.name)?;
        }
        // What the client leaves out is not filled in here: nobody is to own it.
        meta::settle_namespace(target, &mut object.clone(), name)?;
        Ok(object)
    }
}

/// The live object after a JSON, merge or strategic merge patch, decoded and defaulted.
fn patched(
    cx: &RequestContext,
    (target, part): (&Target, Part),
    patch: &Patch,
    live: &Object,
    validation: FieldValidation,
) -> ApiResult<(Object, Precondition)> {
    let mut faults = patch.body.faults.clone();
    let mut operation_faults = Vec::new();
    if let PatchKind::Json = patch.kind {
        operation_faults = faults.drain(..).map(|fault| format!("json patch {fault}")).collect();
    }
    let mut after = lay(target, patch, live, &mut operation_faults)?;
    let nonsense = |error: &ApiError| patched_into_nonsense(&target.kind().kind, &shown(target, patch, live), error);
    if let Value::Object(after) = &mut after {
        patched_type::settle(target, part, patch.kind, live.name(), after).map_err(|fault| match fault {
            Fault::Nonsense(why) => nonsense(&ApiError::bad_request(why)),
            Fault::Refused(error) => error,
        })?;
    }
    let after = match patch.kind {
        PatchKind::Json | PatchKind::Merge if target.resource.origin() == Origin::Builtin => {
            read_without_version(after, &mut faults)
        }
        _ => after,
    };
    match validation {
        FieldValidation::Strict if !operation_faults.is_empty() => {
            let why = format!("strict decoding error: {}", operation_faults.join(", "));
            return Err(nonsense(&ApiError::bad_request(why)));
        }
        FieldValidation::Warn => operation_faults.into_iter().for_each(|fault| cx.warn(fault)),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    let body = Body { value: after, faults, text: Bytes::new(), form: patch.kind.leaves() };
    let mut object = decode::decode(cx, target, body, validation).map_err(|error| nonsense(&error))?;
    meta::check_name(&object, live.name())?;
    let name = ObjectName { namespace: live.namespace(), name: live.name() };
    meta::settle_namespace(target, &mut object, &name)?;
    decode::default(target, &mut object)?;
    let precondition = changed_identity(&object, live);
    Ok((object, precondition))
}

/// What the patch makes of the live object, not yet decoded; what a strict reading finds in its operations goes to `faults`.
fn lay(target: &Target, patch: &Patch, live: &Object, faults: &mut Vec<String>) -> ApiResult<Value> {
    let before = Value::Object(live.0.clone());
    let after = match patch.kind {
        PatchKind::Json => {
            let decoded = patch::json::Patch::decode(&patch.body.value).map_err(refuse)?;
            faults.extend(decoded.unknown_fields.iter().cloned());
            decoded.apply(before)
        }
        PatchKind::Merge => patch::merge::apply(before, &patch.body.value),
        PatchKind::Strategic if target.resource.origin() == Origin::Custom => return Err(unsupported_strategic()),
        _ => patch::strategic::apply(before, &patch.body.value, &target.version().schema),
    };
    after.map_err(refuse)
}

/// What came of a patch, in the words of the error for nonsense. It is laid once more for that, as hardly any is nonsense.
fn shown(target: &Target, patch: &Patch, live: &Object) -> String {
    if patch.kind == PatchKind::Strategic {
        return patch::shown::plain(&patch.body.value);
    }
    let after = lay(target, patch, live, &mut Vec::new()).unwrap_or_default();
    match target.resource.origin() {
        Origin::Builtin => patch::shown::object(&after),
        Origin::Custom => after.to_string(),
    }
}

/// An object that no longer says its version is read as the type Kubernetes keeps in memory (json/serializer.go), whose
/// fields have no names in JSON: nothing of it is known.
fn read_without_version(after: Value, faults: &mut Vec<StrictFault>) -> Value {
    let Value::Object(fields) = &after else { return after };
    if !matches!(fields.get("apiVersion"), None | Some(Value::Null)) && fields["apiVersion"] != "" {
        return after;
    }
    let mut unknown: Vec<&String> = fields.keys().filter(|field| *field != "apiVersion" && *field != "kind").collect();
    unknown.sort();
    faults.extend(unknown.into_iter().cloned().map(StrictFault::Unknown));
    Value::Object(serde_json::Map::new())
}

/// What the patch itself says of the object it means: only what it set.
fn changed_identity(object: &Object, live: &Object) -> Precondition {
    let said = |field: &str| Some(object.meta(field)).filter(|said| *said != live.meta(field));
    Precondition::saying(said("uid").unwrap_or_default(), said("resourceVersion").unwrap_or_default())
}

/// The live object after server-side apply, defaulted.
fn apply_patch(
    tracked: &Tracked<'_>,
    (name, applied): (&ObjectName<'_>, &Object),
    live: Option<&Object>,
    patch: &Patch,
) -> ApiResult<(Object, Precondition)> {
    let Tracked { cx, target, options, .. } = tracked;
    let precondition = Precondition::of(applied);
    let merged = tracked.applied(live, applied, patch.force)?;
    // After conflicts and what the schema does not know (handlers/patch.go).
    decode::report_configuration(cx, &patch.body.faults, options.validation())?;
    if merged.name().is_empty() {
        let why =
            format!("the name of the object ({} based on URL) was undeterminable: name must be provided", name.name);
        return Err(ApiError::bad_request(why));
    }
    let mut object = decode::merged(cx, target, merged, applied, options.validation())?;
    meta::settle_namespace(target, &mut object, name)?;
    decode::fill(target, &mut object)?;
    Ok((object, precondition))
}

/// The Status for a patch that cannot be applied.
pub(super) fn refuse(error: patch::Error) -> ApiError {
    match error {
        patch::Error::BadRequest(message) => ApiError::bad_request(message),
        patch::Error::TooLarge(why) => {
            ApiError::new(Reason::RequestEntityTooLarge, format!("Request entity is too large: {why}"))
        }
        patch::Error::Unprocessable(why) => {
            tracing::debug!(why, "a patch does not fit its object");
            ApiError::with_details(Reason::Invalid, patch::Error::UNPROCESSABLE, Some(Details::default()))
        }
        patch::Error::Conflict(conflicts) => {
            let cause = |conflict: &patch::apply::Conflict| Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: conflict.message(),
                field: conflict.field.clone(),
            };
            let causes = conflicts.listed.iter().map(cause).collect();
            let details = Details { causes, ..Details::default() };
            ApiError::with_details(Reason::Conflict, conflicts.to_string(), Some(details))
        }
        patch::Error::Failed(message) => ApiError::new(Reason::Unknown, message),
    }
}

/// A patch that leaves something which is not an object of the kind is the patch's fault: 422, not 400.
pub(super) fn patched_into_nonsense(kind: &str, patched: &str, error: &ApiError) -> ApiError {
    let path = FieldPath::new("patch");
    let nobody = GroupKind { group: "".into(), kind: "".into() };
    let message = &error.status.message;
    let why = message.split_once(&format!(" cannot be handled as a {kind}: ")).map_or(&**message, |(_, why)| why);
    ApiError::invalid(&nobody, "", &vec![FieldError::invalid(&path, &patched.into(), why)])
}

fn unsupported_strategic() -> ApiError {
    ApiError::new(
        atoll_api::Reason::UnsupportedMediaType,
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
    )
}
