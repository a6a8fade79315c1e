//! A write as expressions see it, ready to be looked at.

use atoll_api::{ApiResult, Object};
use atoll_cel::library::CheckTarget;
use serde_json::Value;

use super::asking::{Asking, resource_of};
use super::evaluation::View;
use crate::admission::Shape;
use crate::admission::matching::{Subject, request};

/// What expressions see of a write that they want in one shape.
pub(in crate::admission) struct Sight {
    object: Value,
    old: Value,
    request: Value,
    namespace: Value,
    params: Value,
    resource: CheckTarget,
}

impl Sight {
    /// A write, without its namespace or any parameters.
    pub(in crate::admission) fn of(subject: &Subject<'_>, shape: &Shape) -> ApiResult<Self> {
        let version = shape.kind.group_version();
        let show = |object: Option<&Object>| -> ApiResult<Value> {
            let shown = object.map(|object| subject.attributes.shapes.show(object, &version)).transpose()?;
            Ok(shown.map_or(Value::Null, Object::into_value))
        };
        Ok(Self {
            object: show(subject.object)?,
            old: show(subject.old)?,
            request: request(subject, shape),
            namespace: Value::Null,
            params: Value::Null,
            resource: resource_of(subject.attributes),
        })
    }

    /// The same, with these parameters and the namespace.
    pub(in crate::admission) fn with(self, params: Option<&Object>, subject: &Subject<'_>) -> Self {
        let shown = |object: Option<Object>| object.map_or(Value::Null, Object::into_value);
        Self { params: shown(params.cloned()), namespace: shown(subject.namespace_object()), ..self }
    }

    /// What there is to see.
    pub(in crate::admission) fn view<'a>(&'a self, asking: &'a Asking<'a>) -> View<'a> {
        View {
            object: &self.object,
            old: &self.old,
            request: &self.request,
            namespace: &self.namespace,
            params: &self.params,
            asking,
            resource: &self.resource,
        }
    }
}
