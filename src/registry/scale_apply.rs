//! Server-side apply of a Scale, to the Scale that an object is seen as and with those who own its replicas.
//!
//! What comes of it goes back to the object, with its owners (managedfields/scalehandler.go, 1.36).

use atoll_api::options::{FieldValidation, WriteOptions};
use atoll_api::{ApiError, ApiResult, Object, Reason};
use serde_json::{Value, json};

use super::decode::{self, Body};
use super::modify::Precondition;
use super::patch::refuse;
use super::resource::Origin;
use super::scale::{self, SUBRESOURCE};
use super::{ObjectName, Target, scale_body};
use crate::patch::apply::{self, Force, OneVersion, Tracking};
use crate::request::RequestContext;

const OWNERS: &str = "managedFields";

/// Reads the configuration of a Scale; its fields are looked at when it is applied.
pub(super) fn read(cx: &RequestContext, body: Body, validation: FieldValidation) -> ApiResult<Object> {
    let config = decode::configuration(body.value)?;
    decode::check_configured_type(&config, &scale_body::scale_kind())?;
    decode::report_configuration(cx, &body.faults, validation)?;
    Ok(config)
}

/// The live object with the configuration of its Scale applied.
pub(super) fn apply(
    cx: &RequestContext,
    target: &Target,
    options: &WriteOptions,
    (live, config): (&Object, &Object),
    force: Force,
) -> ApiResult<(Object, Precondition)> {
    let before = owned_scale(target, live)?;
    let after = applied(cx, options, &before, config, force)?;
    if target.resource.origin() == Origin::Custom && !is_the_same(&before, &after) {
        return Err(inconvertible(&format!(
            "new object ({}/{}; autoscaling/v1, Kind=Scale)",
            config.namespace(),
            config.name()
        )));
    }
    scale_body::check_whose(&after, &ObjectName { namespace: live.namespace(), name: live.name() })?;
    let mut object = scale::with_replicas(target, live, scale::replicas_of(target, &after, live.name())?)?;
    let version = target.version().version.to_string();
    let owners =
        scale::with_paths(target, |paths| apply::from_scale(owners_of(live), owners_of(&after), &version, paths));
    match owners.map_err(ApiError::internal)? {
        Some(owners) => object.metadata_mut().insert(OWNERS.to_owned(), owners),
        None => object.metadata_mut().remove(OWNERS),
    };
    Ok((object, Precondition::of(config)))
}

/// The Scale that an object is seen as, with those who own its replicas.
fn owned_scale(target: &Target, live: &Object) -> ApiResult<Object> {
    let scale = with_owners(target, live)?;
    if owners_of(&scale).is_none() && target.resource.origin() == Origin::Custom {
        let why = inconvertible("live object (/; autoscaling/v1, Kind=Scale)").status.message;
        return Err(ApiError::new(Reason::Unknown, format!("failed to create manager for existing fields: {why}")));
    }
    Ok(scale)
}

/// The Scale that a patch changes, with those who own its replicas if there are any.
pub(super) fn with_owners(target: &Target, live: &Object) -> ApiResult<Object> {
    let owners = scale::with_paths(target, |paths| apply::to_scale(owners_of(live), paths));
    let mut scale = scale::patchable_scale(target, live)?;
    if let Some(owners) = owners.map_err(ApiError::internal)? {
        scale.metadata_mut().insert(OWNERS.to_owned(), owners);
    }
    Ok(scale)
}

fn applied(
    cx: &RequestContext,
    options: &WriteOptions,
    before: &Object,
    config: &Object,
    force: Force,
) -> ApiResult<Object> {
    let tracking = Tracking {
        manager: &apply::manager_name(&options.field_manager, &cx.user_agent),
        subresource: SUBRESOURCE,
        api_version: scale_body::VERSION,
        kind: scale_body::KIND,
        blank: &json!({"metadata": {"creationTimestamp": null}, "spec": {}, "status": {"replicas": 0}}),
        reset: &[],
        versions: &OneVersion { api_version: scale_body::VERSION, schema: &scale_body::SCHEMA },
        // The time of those who write a Scale is lost on the way back to the object.
        now: None,
    };
    let before = Value::Object(before.0.clone());
    let after = apply::apply(&tracking, Some(&before), &Value::Object(config.0.clone()), force).map_err(refuse)?;
    Object::from_value(after).map_err(|_| ApiError::internal("an applied Scale is an object"))
}

/// Whether two Scales are the same but for their owners.
fn is_the_same(before: &Object, after: &Object) -> bool {
    let bare = |scale: &Object| {
        let mut scale = scale.clone();
        scale.metadata_mut().remove(OWNERS);
        scale
    };
    bare(before) == bare(after)
}

/// Kubernetes takes the Scale of a custom resource for a version of the resource where it would be changed, and fails
/// (customresource_handler.go, `crConverter`, 1.36).
fn inconvertible(what: &str) -> ApiError {
    let why = "request to convert CR to an invalid group/version: autoscaling/v1";
    ApiError::new(Reason::Unknown, format!("failed to convert {what} to proper version: {why}"))
}

fn owners_of(object: &Object) -> Option<&Value> {
    object.at(&["metadata", OWNERS])
}
