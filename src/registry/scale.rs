//! The `scale` subresource: an `autoscaling/v1` `Scale` in front of any object that has replicas.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::selector::LabelSelector;
use atoll_api::validation::{NameRule, Namespacing, validate_object_meta};
use atoll_api::{ApiError, ApiResult, FieldError, FieldPath, GroupKind, GroupVersion, GroupVersionKind, Object};
use bytes::Bytes;
use serde_json::{Value, json};

use super::decode::Body;
use super::descriptor::{ScalePaths, Subresource};
use super::modify::{By, Change, Precondition, Tracking};
use super::patch::{patched_into_nonsense, refuse};
use super::resource::{Origin, Part};
use super::{ObjectName, Patch, PatchKind, Registry, Target, decode, modify, scale_apply, scale_body};
use crate::admission::{Attributes, Fields, Shape, Shapes};
use crate::patch;
use crate::patch::apply;
use crate::request::RequestContext;

/// The subresource's name.
pub(super) const SUBRESOURCE: &str = "scale";

/// A Scale has one form, whatever the versions of the object behind it.
#[derive(Debug)]
struct OneForm(Shape);

impl Shapes for OneForm {
    fn versions(&self) -> Vec<Shape> {
        vec![self.0.clone()]
    }

    fn show(&self, object: &Object, _: &GroupVersion) -> ApiResult<Object> {
        Ok(object.clone())
    }

    fn take(&self, value: Value, _: &GroupVersion, _: Fields) -> ApiResult<Object> {
        scale_body::taken(value).map_err(|unread| unread.of_builtin_body())
    }

    fn overlay(&self, object: &Value, part: &Value, _: &GroupVersion) -> Result<Value, String> {
        // A Scale has no lists, so that laying one over another is a merge.
        patch::merge::apply(object.clone(), part).map_err(|error| refuse(error).status.message)
    }
}

/// Tells admission that it is about a Scale (registry/apps/deployment/storage, `ScaleREST`).
pub(super) fn show_as_scale(attributes: &mut Attributes) {
    attributes.kind = GroupVersionKind { group: "autoscaling".into(), version: "v1".into(), kind: "Scale".into() };
    let shape = Shape { resource: attributes.resource.clone(), kind: attributes.kind.clone() };
    attributes.shapes = Arc::new(OneForm(shape));
}

impl Registry {
    /// Reads the scale of an object.
    pub fn get_scale(&self, cx: &RequestContext, target: &Target, name: &ObjectName<'_>) -> ApiResult<Object> {
        let object = self.get_object(cx, target, name)?;
        let path = &paths(target)?.spec_replicas;
        if target.resource.origin() == Origin::Custom && at(&object, path).is_none() {
            return Err(ApiError::internal(format!("the spec replicas field \".{path}\" does not exist")));
        }
        scale_of(target, &object)
    }

    /// Replaces the scale of an object.
    pub async fn update_scale(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Object> {
        let scale = scale_body::read(cx, body, options.validation()).map_err(|unread| unread.of_body(target))?;
        scale_body::check_whose(&scale, name)?;
        let precondition = Precondition::of(&scale);
        self.write_scale(cx, target, name, Tracking::Compare, options, |live| {
            let live = live.ok_or_else(|| ApiError::not_found(&target.shown(), name.name))?;
            if !scale.uid().is_empty() && scale.uid() != live.uid() {
                return Err(modify::other_uid(target, name, scale.uid(), live.uid()));
            }
            Ok((with_replicas(target, live, replicas_of(target, &scale, name.name)?)?, precondition.clone()))
        })
        .await
    }

    /// Patches the scale of an object.
    pub async fn patch_scale(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        patch: Patch,
        options: &WriteOptions,
    ) -> ApiResult<Object> {
        if patch.kind == PatchKind::Apply {
            let config = match scale_apply::read(cx, patch.body.clone(), options.validation()) {
                Ok(config) => config,
                // Kubernetes looks for the object first.
                Err(fault) => return Err(self.get_object(cx, target, name).err().unwrap_or(fault)),
            };
            let apply = |live: Option<&Object>| {
                let live = live.ok_or_else(|| ApiError::not_found(&target.shown(), name.name))?;
                scale_apply::apply(cx, target, options, (live, &config), patch.force)
            };
            return self.write_scale(cx, target, name, Tracking::Done, options, apply).await;
        }
        self.write_scale(cx, target, name, Tracking::Compare, options, |live| {
            let live = live.ok_or_else(|| ApiError::not_found(&target.shown(), name.name))?;
            let before = scale_apply::with_owners(target, live)?;
            let value = before.clone().into_value();
            let after = match patch.kind {
                PatchKind::Json => {
                    patch::json::Patch::decode(&patch.body.value).and_then(|p| p.apply(value)).map_err(refuse)?
                }
                PatchKind::Merge => patch::merge::apply(value, &patch.body.value).map_err(refuse)?,
                _ => patch::strategic::apply(value, &patch.body.value, &scale_body::SCHEMA).map_err(refuse)?,
            };
            let shown = match patch.kind {
                PatchKind::Strategic => patch::shown::plain(&patch.body.value),
                _ => patch::shown::object(&after),
            };
            let (faults, form) = (patch.body.faults.clone(), patch.kind.leaves());
            let patched = Body { value: after, faults, text: Bytes::new(), form };
            let scale = scale_body::read(cx, patched, options.validation())
                .map_err(|unread| patched_into_nonsense("Scale", &shown, &ApiError::bad_request(unread.why())))?;
            scale_body::check_whose(&scale, name)?;
            check_uid(target, live, scale.uid())?;
            let mut said = scale.clone();
            if said.resource_version() == before.resource_version() {
                said.set_meta("resourceVersion", "");
            }
            Ok((with_replicas(target, live, replicas_of(target, &scale, name.name)?)?, Precondition::of(&said)))
        })
        .await
    }

    /// Lets admission change the Scale that a changed object is seen as.
    pub(super) async fn mutate_scale(
        &self,
        cx: &RequestContext,
        target: &Target,
        attributes: &Attributes,
        new: &mut Object,
        old: &Object,
    ) -> ApiResult<()> {
        let shown = scale_of(target, new)?;
        let mut scale = shown.clone();
        self.admission.mutate(cx, attributes, &mut scale, Some(&scale_of(target, old)?)).await?;
        if scale != shown {
            *new = with_replicas(target, new, replicas_of(target, &scale, old.name())?)?;
        }
        Ok(())
    }

    /// Lets admission refuse the Scale that a changed object is seen as.
    pub(super) async fn validate_scale(
        &self,
        cx: &RequestContext,
        target: &Target,
        attributes: &Attributes,
        new: &Object,
        old: &Object,
    ) -> ApiResult<()> {
        let (new, old) = (scale_of(target, new)?, scale_of(target, old)?);
        self.admission.validate(cx, attributes, Some(&new), Some(&old)).await
    }

    async fn write_scale(
        &self,
        cx: &RequestContext,
        target: &Target,
        name: &ObjectName<'_>,
        tracking: Tracking,
        options: &WriteOptions,
        make: impl FnMut(Option<&Object>) -> ApiResult<(Object, Precondition)> + Send,
    ) -> ApiResult<Object> {
        let change = Change {
            part: Part::Main,
            tracking,
            precondition: Precondition::default(),
            may_create: false,
            subresource: SUBRESOURCE,
            unconditional: true,
            by: By::Client,
        };
        let written = self.modify(cx, target, name, change, options, make).await?;
        scale_of(target, &written.object()?)
    }
}

/// Whether somebody owns the number of replicas. A Scale that nobody owns anything of has no record to go on with, so that
/// who changes it does not come to own them (managedfields/skipnonapplied.go, 1.36).
pub(super) fn has_owner(target: &Target, object: &Object) -> bool {
    let managed = object.at(&["metadata", "managedFields"]);
    with_paths(target, |paths| apply::to_scale(managed, paths)).is_ok_and(|owners| owners.is_some())
}

/// Where each version of a resource holds its replicas.
pub(super) fn with_paths<T>(target: &Target, run: impl FnOnce(apply::ReplicasPaths<'_>) -> T) -> T {
    let versions = target.descriptor().versions.iter();
    let known: Vec<(String, Vec<&str>)> = versions
        .filter_map(|info| match info.subresource(SUBRESOURCE) {
            Some(Subresource::Scale(paths)) => {
                let path = paths.spec_replicas.split('.').filter(|part| !part.is_empty()).collect();
                Some((info.version.to_string(), path))
            }
            _ => None,
        })
        .collect();
    let paths: Vec<(&str, Option<&[&str]>)> =
        known.iter().map(|(version, path)| (version.as_str(), Some(path.as_slice()))).collect();
    run(apply::ReplicasPaths(&paths))
}

fn paths(target: &Target) -> ApiResult<Arc<ScalePaths>> {
    match target.version().subresource(SUBRESOURCE) {
        Some(Subresource::Scale(paths)) => Ok(Arc::new(paths.clone())),
        _ => Err(ApiError::no_such_path()),
    }
}

fn at<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    let path: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
    object.at(&path)
}

/// The scale that stands for an object.
pub(super) fn scale_of(target: &Target, object: &Object) -> ApiResult<Object> {
    let paths = paths(target)?;
    let spec = at(object, &paths.spec_replicas).and_then(Value::as_i64);
    let mut metadata = json!({
        "name": object.name(), "uid": object.uid(), "resourceVersion": object.resource_version(),
        "creationTimestamp": object.meta("creationTimestamp"),
    });
    if !object.namespace().is_empty() {
        metadata["namespace"] = object.namespace().into();
    }
    let mut status = json!({"replicas": at(object, &paths.status_replicas).and_then(Value::as_i64).unwrap_or(0)});
    let selector = paths.selector.as_ref().and_then(|path| at(object, path));
    if let Some(text) = selector.map(|value| selector_text(target, value)).filter(|text| !text.is_empty()) {
        status["selector"] = text.into();
    }
    let spec =
        spec.filter(|replicas| *replicas != 0).map_or_else(|| json!({}), |replicas| json!({"replicas": replicas}));
    let scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status,
    });
    Object::from_value(scale).map_err(|_| ApiError::internal("a Scale is an object"))
}

fn selector_text(target: &Target, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        _ if target.resource.origin() == Origin::Custom => String::new(),
        Value::Object(map) if map.contains_key("matchLabels") || map.contains_key("matchExpressions") => {
            LabelSelector::from_object(value).map(|selector| selector.to_string()).unwrap_or_default()
        }
        _ => LabelSelector::from_label_map(value).to_string(),
    }
}

/// A patch of a Scale that means an object of another uid is refused by built-in kinds (registry/apps, `ScaleREST`, 1.36).
fn check_uid(target: &Target, live: &Object, meant: &str) -> ApiResult<()> {
    if meant.is_empty() || meant == live.uid() || target.resource.origin() == Origin::Custom {
        return Ok(());
    }
    let mut resource = target.shown();
    resource.resource = format!("{}/{SUBRESOURCE}", resource.resource).into();
    let why = format!("Precondition failed: UID in precondition: {meant}, UID in object meta: {}", live.uid());
    Err(ApiError::conflict(&resource, live.name(), &why))
}

/// What stands for the replicas of a custom object that has none while its Scale is patched (customresource/etcd.go, 1.36).
const NO_REPLICAS: i64 = i32::MIN as i64;

/// The scale that a patch changes.
pub(super) fn patchable_scale(target: &Target, object: &Object) -> ApiResult<Object> {
    let mut scale = scale_of(target, object)?;
    if target.resource.origin() == Origin::Custom && at(object, &paths(target)?.spec_replicas).is_none() {
        scale.map_mut("spec").insert("replicas".into(), NO_REPLICAS.into());
    }
    Ok(scale)
}

/// Custom objects are checked as a whole, with their replicas.
pub(super) fn replicas_of(target: &Target, scale: &Object, name: &str) -> ApiResult<i64> {
    let replicas = scale.at(&["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(0);
    if target.resource.origin() == Origin::Custom {
        if replicas == NO_REPLICAS {
            let path = &paths(target)?.spec_replicas;
            return Err(ApiError::bad_request(format!("the spec replicas field \".{path}\" cannot be empty")));
        }
        return Ok(replicas);
    }
    let path = FieldPath::new("metadata");
    let mut placed = scale.clone();
    if placed.namespace().is_empty() {
        // It is that of the URL then, which is one.
        placed.set_meta("namespace", "default");
    }
    let mut faults = validate_object_meta(&placed, Namespacing::Required, NameRule::Subdomain, &path);
    faults.extend(decode::finalizer_faults(scale));
    if replicas < 0 {
        let path = FieldPath::new("spec.replicas");
        faults.push(FieldError::invalid(&path, &replicas.into(), "must be greater than or equal to 0"));
    }
    if faults.is_empty() {
        return Ok(replicas);
    }
    let kind = GroupKind { group: "autoscaling".into(), kind: "Scale".into() };
    Err(ApiError::invalid(&kind, name, &faults))
}

/// The object with that many replicas wanted.
pub(super) fn with_replicas(target: &Target, object: &Object, replicas: i64) -> ApiResult<Object> {
    let paths = paths(target)?;
    let mut parts: Vec<&str> = paths.spec_replicas.split('.').filter(|part| !part.is_empty()).collect();
    let last = parts.pop().ok_or_else(|| ApiError::internal("the scale has no path to its replicas"))?;
    let mut value = object.clone().into_value();
    let mut place = &mut value;
    for part in parts {
        if !place.is_object() {
            *place = json!({});
        }
        place = place.as_object_mut().expect("made an object just above").entry(part).or_insert_with(|| json!({}));
    }
    if !place.is_object() {
        *place = json!({});
    }
    place[last] = replicas.into();
    Object::from_value(value).map_err(|_| ApiError::internal("an object stays one"))
}
