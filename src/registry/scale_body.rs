//! Reads the Scale that a client sent or patched: its types, its unknown fields, and whose it is.
//!
//! What a Scale stands for is told in `scale`.

use std::sync::{Arc, LazyLock};

use atoll_api::options::FieldValidation;
use atoll_api::{ApiError, ApiResult, GroupVersion, GroupVersionKind, Object};
use serde_json::Value;

use super::decode::Body;
use super::meta::check_name;
use super::resource::Origin;
use super::{ObjectName, Target};
use crate::codec::{StrictFault, json, protobuf, strict_error, strict_warnings};
use crate::request::RequestContext;
use crate::schema::decode::Form;
use crate::schema::{self, Link, Schema, SchemaType, metadata};

pub(super) const VERSION: &str = "autoscaling/v1";
pub(super) const KIND: &str = "Scale";

/// The type of a Scale.
pub fn scale_kind() -> GroupVersionKind {
    GroupVersionKind { group: "autoscaling".into(), version: "v1".into(), kind: KIND.into() }
}

/// What a Scale consists of.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let integer = || Schema { format: Some("int32".into()), ..of(SchemaType::Integer) };
    structure(
        "v1.Scale",
        [
            ("apiVersion", of(SchemaType::String)),
            ("kind", of(SchemaType::String)),
            ("metadata", metadata::schema().clone()),
            ("spec", structure("v1.ScaleSpec", [("replicas", integer())])),
            ("status", structure("v1.ScaleStatus", [("replicas", integer()), ("selector", of(SchemaType::String))])),
        ],
    )
});

fn of(kind: SchemaType) -> Schema {
    Schema { kind: Some(kind), ..Schema::default() }
}

fn structure<const N: usize>(go_type: &str, fields: [(&str, Schema); N]) -> Schema {
    let properties = fields.into_iter().map(|(name, schema)| (Arc::from(name), Link::from(schema)));
    Schema { go_type: Some(go_type.into()), properties: properties.collect(), ..of(SchemaType::Object) }
}

/// Why a Scale cannot be read, in the sentences of Go's decoders.
pub(super) enum Unread {
    /// It says to be something else: what it says, and why that is no Scale.
    Foreign { kind: String, version: String, why: String },
    /// It is not as a Scale is.
    Malformed(String),
}

/// Reads a Scale, whoever's it is.
pub(super) fn read(cx: &RequestContext, body: Body, validation: FieldValidation) -> Result<Object, Unread> {
    let Body { mut value, mut faults, text, form } = body;
    if form == Form::Text {
        check_type(&value)?;
    }
    let unknown = schema::decode::builtin(&SCHEMA, &mut value, form).map_err(Unread::Malformed)?;
    faults.extend(unknown.into_iter().map(StrictFault::Unknown));
    json::sort_by_document(&text, &mut faults);
    match validation {
        FieldValidation::Warn => strict_warnings(&faults).into_iter().for_each(|fault| cx.warn(fault)),
        FieldValidation::Strict if !faults.is_empty() => return Err(Unread::Malformed(strict_error(&faults))),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    let mut scale = Object::from_value(value)
        .map_err(|_| Unread::Malformed("json: cannot unmarshal into Go value of type v1.Scale".to_owned()))?;
    scale.set_type(VERSION, KIND);
    Ok(scale)
}

/// Reads a Scale that somebody has changed in admission; what it does not know is dropped.
pub(super) fn taken(mut value: Value) -> Result<Object, Unread> {
    check_type(&value)?;
    schema::decode::builtin(&SCHEMA, &mut value, Form::Text).map_err(Unread::Malformed)?;
    Object::from_value(value).map_err(|_| Unread::Malformed("it is no object".to_owned()))
}

/// Checks that a Scale a client sent is that of the object in the URL.
pub(super) fn check_whose(scale: &Object, name: &ObjectName<'_>) -> ApiResult<()> {
    check_name(scale, name.name)?;
    match scale.namespace() {
        given if given.is_empty() || given == name.namespace => Ok(()),
        _ => Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

fn check_type(value: &Value) -> Result<(), Unread> {
    let said = |field: &str, expected: &str| match value[field].as_str() {
        None | Some("") => expected.to_owned(),
        Some(given) => given.to_owned(),
    };
    let (version, kind) = (said("apiVersion", VERSION), said("kind", KIND));
    if version == VERSION && kind == KIND {
        return Ok(());
    }
    let short = GroupVersion::parse(&version).map(|version| version.version.to_string()).unwrap_or_default();
    let why = match protobuf::is_kind(&version, &kind) {
        true => format!("converting ({short}.{kind}) to (autoscaling.Scale): unknown conversion"),
        false => {
            format!("no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\"")
        }
    };
    Err(Unread::Foreign { kind, version: short, why })
}

// === impl Unread ===

impl Unread {
    /// The sentence alone.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Foreign { why, .. } | Self::Malformed(why) => why,
        }
    }

    /// The error for a body.
    pub(super) fn of_body(&self, target: &Target) -> ApiError {
        match target.resource.origin() {
            Origin::Builtin => self.of_builtin_body(),
            Origin::Custom => unregistered(),
        }
    }

    /// The error for a body, but for custom resources.
    pub(super) fn of_builtin_body(&self) -> ApiError {
        let (kind, version) = match self {
            Self::Foreign { kind, version, .. } => (&**kind, &**version),
            Self::Malformed(_) => (KIND, "v1"),
        };
        let why = self.why();
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {KIND}: {why}"))
    }
}

/// What Kubernetes says of any Scale of a custom resource that it cannot read, whatever is wrong with it: its handler does
/// not know the type that it tries to name (customresource_handler.go, 1.36).
pub fn unregistered() -> ApiError {
    ApiError::bad_request("no kind is registered for the type v1.Scale in scheme \"pkg/runtime/scheme.go:111\"")
}
