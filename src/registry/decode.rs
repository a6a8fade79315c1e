//! From a request's body to an object of the request's version: right type, known fields, defaults.
//!
//! Parsing bytes is the codec's work; what a value may be is the schema's.

use atoll_api::validation::{self, Namespacing, validate_object_meta};
use atoll_api::{
    ApiError, ApiResult, FieldError, FieldErrors, FieldPath, GroupVersion, GroupVersionKind, Object, Reason,
};
use bytes::Bytes;
use serde_json::Value;

use super::Target;
use super::resource::{NameRule, Origin};
use crate::codec::body::unrecognized;
use crate::codec::{StrictFault, json, protobuf, strict_error, strict_warnings};
use crate::patch::shown::json_kind;
use crate::request::RequestContext;
use crate::schema::decode::Form;
use crate::schema::metadata::Malformed;
use crate::schema::{self, Schema};
use atoll_api::options::FieldValidation;

/// A parsed body, and what a strict reading of its text found.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// The value.
    pub value: Value,
    /// Faults that only the text shows, such as duplicate fields.
    pub faults: Vec<StrictFault>,
    /// The text itself, if it was JSON or YAML: it tells in which order faults stand.
    pub text: Bytes,
    /// How the value is read.
    pub form: Form,
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self { value, faults: Vec::new(), text: Bytes::new(), form: Form::Text }
    }
}

/// Decodes a body into an object of the target's version: checked for type, pruned, not yet defaulted.
pub fn decode(cx: &RequestContext, target: &Target, body: Body, validation: FieldValidation) -> ApiResult<Object> {
    let Body { value, mut faults, text, form } = body;
    let mut object = as_object(target, value)?;
    // Go's converter of values knows what it is to make, whatever they say.
    let is_known = form == Form::Values && target.resource.origin() == Origin::Builtin;
    if !is_known {
        check_type(target, &mut object, &text)?;
    }
    keep_reset_of_managers(&mut object);
    faults.extend(read_fields(target, &mut object, form)?);
    if is_known {
        let expected = target.kind();
        object.set_type(&expected.group_version().to_string(), &expected.kind);
    }
    // The unknown fields of custom kinds are found when the text is no longer known; they come sorted.
    if target.resource.origin() == Origin::Builtin {
        json::sort_by_document(&text, &mut faults);
    }
    report(cx, target, &faults, validation)?;
    Ok(object)
}

/// Reads what came of an apply. Nulls of custom kinds stay, and are judged like other values; what is no value of its type
/// in a built-in kind is a fault of the server's to Kubernetes.
pub(super) fn merged(
    cx: &RequestContext,
    target: &Target,
    merged: Object,
    config: &Object,
    validation: FieldValidation,
) -> ApiResult<Object> {
    let mut object = as_object(target, merged.into_value())?;
    check_type(target, &mut object, &[])?;
    keep_reset_of_managers(&mut object);
    let faults = with_fields(target, &mut object, |schema, value| match target.resource.origin() {
        Origin::Builtin => {
            schema::decode::builtin(schema, value, Form::Values).map_err(|why| unconvertible(target, config, &why))
        }
        Origin::Custom => {
            schema::decode::custom_with_nulls(schema, value).map_err(|why| cannot_be_handled(target, &why))
        }
    })?;
    report(cx, target, &faults, validation)?;
    Ok(object)
}

/// The error for an applied configuration that does not fit Go's type (managedfields/structuredmerge.go, 1.36).
fn unconvertible(target: &Target, config: &Object, why: &str) -> ApiError {
    let kind = target.kind();
    let kind = format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind);
    ApiError::new(
        Reason::Unknown,
        format!(
            "failed to convert new object ({}/{}; {kind}) to proper version: unable to convert unstructured object to {kind}: {why}",
            config.namespace(),
            config.name()
        ),
    )
}

/// Reads an object again that somebody has changed in admission, with what strict reading finds.
pub(super) fn reread(target: &Target, value: Value) -> ApiResult<(Object, Vec<StrictFault>)> {
    let mut object = as_object(target, value)?;
    check_type(target, &mut object, &[])?;
    let faults = read_fields(target, &mut object, Form::Text)?;
    Ok((object, faults))
}

/// The configuration of a server-side apply, of whatever kind.
pub(super) fn configuration(mut value: Value) -> ApiResult<Object> {
    write_out(&mut value);
    match value {
        Value::Object(map) => Ok(Object(map)),
        Value::Null => Ok(Object::default()),
        other => {
            let why = "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal";
            let what = json_kind(&other);
            Err(ApiError::bad_request(format!("{why} {what} into Go value of type map[string]interface {{}}")))
        }
    }
}

/// Checks that a configuration says to be of this kind.
pub(super) fn check_configured_type(object: &Object, kind: &GroupVersionKind) -> ApiResult<()> {
    if object.api_version() == kind.group_version().to_string() && *object.kind() == *kind.kind {
        return Ok(());
    }
    // What says no version has no kind either (unstructured.go).
    let nothing = (GroupVersion::new("", ""), "");
    let (version, kind) = GroupVersion::parse(object.api_version()).map_or(nothing, |version| (version, object.kind()));
    let why = format!("invalid object type: {}/{}, Kind={kind}", version.group, version.version);
    Err(ApiError::bad_request(why))
}

/// Tells of strict faults in the text of a configuration.
pub(super) fn report_configuration(
    cx: &RequestContext,
    faults: &[StrictFault],
    validation: FieldValidation,
) -> ApiResult<()> {
    match validation {
        FieldValidation::Strict if !faults.is_empty() => {
            let why = strict_error(faults);
            let why = why.strip_prefix("strict decoding error: ").unwrap_or(&why);
            let why = format!("error strict decoding YAML: error converting YAML to JSON: {why}");
            Err(ApiError::bad_request(why))
        }
        FieldValidation::Warn => {
            strict_warnings(faults).into_iter().for_each(|fault| cx.warn(fault));
            Ok(())
        }
        FieldValidation::Strict | FieldValidation::Ignore => Ok(()),
    }
}

/// Makes numbers without a fraction integers, as reading JSON by way of YAML does. Depth is bounded by the decoder that made
/// the value.
fn write_out(value: &mut Value) {
    const WRITTEN_OUT: f64 = 1e15;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|real| real.fract() == 0.0 && real.abs() < WRITTEN_OUT);
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_out),
        Value::Object(map) => map.values_mut().for_each(write_out),
        _ => {}
    }
}

/// Tells the client of strict faults in the way it asked for.
pub(super) fn report(
    cx: &RequestContext,
    target: &Target,
    faults: &[StrictFault],
    validation: FieldValidation,
) -> ApiResult<()> {
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => strict_warnings(faults).into_iter().for_each(|fault| cx.warn(fault)),
        FieldValidation::Strict if faults.is_empty() => {}
        FieldValidation::Strict => {
            return Err(cannot_be_handled(target, &strict_error(faults)));
        }
    }
    Ok(())
}

fn as_object(target: &Target, value: Value) -> ApiResult<Object> {
    Object::from_value(value).map_err(|other| {
        let kind = json_kind(&other);
        cannot_be_handled(
            target,
            &format!("json: cannot unmarshal {kind} into Go value of type {}", target.kind().kind),
        )
    })
}

/// The error for a body that cannot be read as the kind the URL names.
pub fn cannot_be_handled(target: &Target, why: &str) -> ApiError {
    let kind = target.kind();
    ApiError::bad_request(format!("{0} in version {1:?} cannot be handled as a {0}: {why}", kind.kind, kind.version))
}

/// Checks `apiVersion` and `kind` of a body against the URL. Built-in types may leave both out; custom ones may not.
fn check_type(target: &Target, object: &mut Object, text: &[u8]) -> ApiResult<()> {
    let expected = target.kind();
    let version = expected.group_version().to_string();
    match target.resource.origin() {
        Origin::Builtin => {
            let given_version =
                if object.api_version().is_empty() { version.clone() } else { object.api_version().into() };
            let given_kind = if object.kind().is_empty() { expected.kind.to_string() } else { object.kind().into() };
            if given_version != version || given_kind != *expected.kind {
                let short = GroupVersion::parse(&given_version).map(|v| v.version.to_string()).unwrap_or_default();
                let why = if protobuf::is_kind(&given_version, &given_kind) {
                    let into = format!("{}.{}", target.go_package(), expected.kind);
                    format!("converting ({short}.{given_kind}) to ({into}): unknown conversion")
                } else {
                    format!(
                        "no kind {given_kind:?} is registered for version {given_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
                    )
                };
                let kind = &expected.kind;
                return Err(ApiError::bad_request(format!(
                    "{given_kind} in version {short:?} cannot be handled as a {kind}: {why}"
                )));
            }
        }
        Origin::Custom => {
            if object.kind().is_empty() {
                let written = serde_json::to_vec(&object.0).unwrap_or_default();
                // Of a body that was nothing, its text is told.
                let text = if text.starts_with(b"{") || object.0.is_empty() { text } else { &written };
                let why = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(text));
                return Err(unrecognized(&expected.kind, &why, text));
            }
            if object.api_version() != version {
                return Err(ApiError::bad_request(format!(
                    "the API version in the data ({}) does not match the expected API version ({version})",
                    object.api_version()
                )));
            }
        }
    }
    let kind = if object.kind().is_empty() { expected.kind.to_string() } else { object.kind().to_owned() };
    object.set_type(&version, &kind);
    Ok(())
}

/// An empty list of managers means that they are to be forgotten, as one empty entry does; it must survive the dropping of
/// empty lists.
fn keep_reset_of_managers(object: &mut Object) {
    let Some(Value::Object(metadata)) = object.0.get_mut("metadata") else { return };
    if let Some(Value::Array(managers)) = metadata.get_mut("managedFields")
        && managers.is_empty()
    {
        managers.push(Value::Object(serde_json::Map::new()));
    }
}

/// Reads an object as its origin is read; gives what a strict reading finds.
fn read_fields(target: &Target, object: &mut Object, form: Form) -> ApiResult<Vec<StrictFault>> {
    with_fields(target, object, |schema, value| {
        let read = match target.resource.origin() {
            Origin::Builtin => schema::decode::builtin(schema, value, form),
            Origin::Custom => schema::decode::custom(schema, value, Malformed::Refuse),
        };
        read.map_err(|why| cannot_be_handled(target, &why))
    })
}

fn with_fields(
    target: &Target,
    object: &mut Object,
    read: impl FnOnce(&Schema, &mut Value) -> ApiResult<Vec<String>>,
) -> ApiResult<Vec<StrictFault>> {
    let mut value = Value::Object(std::mem::take(&mut object.0));
    let unknown = read(&target.version().schema, &mut value);
    if let Value::Object(map) = value {
        object.0 = map;
    }
    Ok(unknown?.into_iter().map(StrictFault::Unknown).collect())
}

/// Brings an object of a custom kind, read from the store, up to today's schema of the version it is in.
pub(super) fn prune_and_default(target: &Target, object: &mut Object) -> ApiResult<()> {
    let version = object.group_version();
    let known = target.descriptor().versions.iter().find(|info| Some(&info.version) == version.as_ref());
    let Some(info) = known else { return Ok(()) };
    let mut value = Value::Object(std::mem::take(&mut object.0));
    // What was stored before the schema spoke of embedded objects may have metadata that is no metadata.
    let read = schema::decode::custom(&info.schema, &mut value, Malformed::Drop);
    let filled = schema::default::fill(&info.schema, &mut value);
    if let Value::Object(map) = value {
        object.0 = map;
    }
    read.map_err(ApiError::internal)?;
    filled.map_err(|error| ApiError::internal(error.to_string()))
}

/// Fills in the defaults of the target's version.
pub(super) fn default(target: &Target, object: &mut Object) -> ApiResult<()> {
    let info = target.version();
    // The defaults of built-in types depend on each other in ways of their own: their hook does all of them.
    if target.resource.origin() == Origin::Custom {
        let mut value = Value::Object(std::mem::take(&mut object.0));
        schema::prune::drop_nulls(&info.schema, &mut value);
        if let Value::Object(map) = value {
            object.0 = map;
        }
    }
    fill(target, object)
}

/// Fills in the defaults of the target's version; nulls of custom kinds that have none stay.
pub(super) fn fill(target: &Target, object: &mut Object) -> ApiResult<()> {
    let info = target.version();
    if target.resource.origin() == Origin::Custom {
        let mut value = Value::Object(std::mem::take(&mut object.0));
        let filled = schema::default::fill(&info.schema, &mut value);
        if let Value::Object(map) = value {
            object.0 = map;
        }
        filled.map_err(|error| ApiError::bad_request(error.to_string()))?;
    }
    target.resource.default(&info.version, object);
    Ok(())
}

/// The faults in the metadata of a new object.
pub(super) fn check_metadata(target: &Target, object: &Object) -> FieldErrors {
    let mut errors = check_named_metadata(target, object, api_rule(target.resource.name_rule()));
    check_finalizers(target, object, &mut errors);
    errors
}

/// The faults in metadata that any kind has, whatever its rules of names.
pub(super) fn check_any_metadata(target: &Target, object: &Object) -> FieldErrors {
    check_named_metadata(target, object, validation::NameRule::PathSegment)
}

fn check_named_metadata(target: &Target, object: &Object, rule: validation::NameRule) -> FieldErrors {
    let namespaced = target.descriptor().is_namespaced();
    let namespacing = if namespaced { Namespacing::Required } else { Namespacing::Forbidden };
    validate_object_meta(object, namespacing, rule, &FieldPath::new("metadata"))
}

/// Finalizers of built-in kinds are Kubernetes' own or have a domain (core/validation, `ValidateObjectMeta` and
/// `ValidateObjectMetaUpdate`).
pub(super) fn check_finalizers(target: &Target, object: &Object, errors: &mut FieldErrors) {
    // The kinds of these groups are not checked by way of core/validation.
    let others = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "coordination.k8s.io",
        "node.k8s.io",
    ];
    if target.resource.origin() == Origin::Custom || others.contains(&&*target.descriptor().resource.group) {
        return;
    }
    errors.extend(finalizer_faults(object));
}

/// The finalizers that are neither Kubernetes' own nor have a domain.
pub fn finalizer_faults(object: &Object) -> FieldErrors {
    const STANDARD: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("metadata.finalizers");
    for (index, finalizer) in object.finalizers().into_iter().enumerate() {
        if !finalizer.contains('/') && !STANDARD.contains(&finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&path.index(index), &finalizer.into(), why));
        }
    }
    errors
}

/// The rule of names in the words of validation.
fn api_rule(rule: NameRule) -> validation::NameRule {
    match rule {
        NameRule::Subdomain => validation::NameRule::Subdomain,
        NameRule::Label => validation::NameRule::Label,
        NameRule::Rfc1035Label => validation::NameRule::Dns1035Label,
        NameRule::PathSegment => validation::NameRule::PathSegment,
        NameRule::Own => validation::NameRule::Custom(|_| Vec::new()),
    }
}
