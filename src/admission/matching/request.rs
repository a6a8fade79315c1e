//! A write as webhooks and expressions are told of it: an `AdmissionRequest` without the objects.

use atoll_api::options::{DeleteOptions, FieldValidation, Propagation, WriteOptions};
use serde_json::{Map, Value, json};

use super::{Subject, namespace_of};
use crate::admission::{Operation, Options, Shape};

/// The request about a write, for somebody who wants it in this shape.
pub(in crate::admission) fn request(subject: &Subject<'_>, shape: &Shape) -> Value {
    let attributes = subject.attributes;
    let written = Shape { resource: attributes.resource.clone(), kind: attributes.kind.clone() };
    let mut request = json!({
        "kind": kind(shape),
        "resource": resource(shape),
        "requestKind": kind(&written),
        "requestResource": resource(&written),
        "operation": attributes.operation.as_str(),
        "userInfo": serde_json::to_value(&subject.cx.user).unwrap_or_default(),
        "dryRun": attributes.dry_run,
        "options": options(attributes.operation, &attributes.options),
    });
    for (field, value) in [
        ("subResource", attributes.subresource.as_str()),
        ("requestSubResource", attributes.subresource.as_str()),
        ("name", attributes.name.as_str()),
        ("namespace", namespace_of(attributes)),
    ] {
        if !value.is_empty() {
            request[field] = value.into();
        }
    }
    request
}

fn kind(shape: &Shape) -> Value {
    json!({"group": *shape.kind.group, "version": *shape.kind.version, "kind": *shape.kind.kind})
}

fn resource(shape: &Shape) -> Value {
    let resource = &shape.resource;
    json!({"group": *resource.group, "version": *resource.version, "resource": *resource.resource})
}

/// The options of a write as an object.
fn options(operation: Operation, options: &Options) -> Value {
    match options {
        Options::Write(options) => write_options(operation, options),
        Options::Delete(options) => delete_options(options),
        Options::None => Value::Null,
    }
}

fn write_options(operation: Operation, options: &WriteOptions) -> Value {
    let kind = if operation == Operation::Create { "CreateOptions" } else { "UpdateOptions" };
    let mut value = of_kind(kind, options.dry_run);
    if !options.field_manager.is_empty() {
        value.insert("fieldManager".into(), options.field_manager.clone().into());
    }
    let validation = options.field_validation.map(|validation| match validation {
        FieldValidation::Ignore => "Ignore",
        FieldValidation::Warn => "Warn",
        FieldValidation::Strict => "Strict",
    });
    if let Some(validation) = validation {
        value.insert("fieldValidation".into(), validation.into());
    }
    Value::Object(value)
}

fn delete_options(options: &DeleteOptions) -> Value {
    let mut value = of_kind("DeleteOptions", options.dry_run);
    if let Some(seconds) = options.grace_period_seconds {
        value.insert("gracePeriodSeconds".into(), seconds.into());
    }
    if let Some(propagation) = options.propagation_policy {
        let policy = match propagation {
            Propagation::Foreground => "Foreground",
            Propagation::Background => "Background",
            Propagation::Orphan => "Orphan",
        };
        value.insert("propagationPolicy".into(), policy.into());
    }
    if let Some(preconditions) = &options.preconditions {
        let mut given = Map::new();
        for (field, text) in [("uid", &preconditions.uid), ("resourceVersion", &preconditions.resource_version)] {
            if let Some(text) = text {
                given.insert(field.into(), text.clone().into());
            }
        }
        value.insert("preconditions".into(), Value::Object(given));
    }
    Value::Object(value)
}

fn of_kind(kind: &str, dry_run: bool) -> Map<String, Value> {
    let mut value = Map::new();
    value.insert("kind".into(), kind.into());
    value.insert("apiVersion".into(), "meta.k8s.io/v1".into());
    if dry_run {
        value.insert("dryRun".into(), json!(["All"]));
    }
    value
}
