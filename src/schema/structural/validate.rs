//! Deciding whether a schema is acceptable in a definition: all checks, in Kubernetes' order.

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::node::{Extra, Node};
use super::{MAX_DEPTH, accepted, compile, defaults, shape};
use crate::schema::format;
use crate::schema::place::{Faults, Place};

/// What the status of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPart {
    /// A subresource: its schema is used alone too, so the root may not restrict it together with others.
    Subresource,
    /// A field like any other.
    Field,
}

/// What may stand at the root of a schema whose status is a subresource, in Kubernetes' words and order.
const ALLOWED_AT_ROOT: [(&str, &str); 22] = [
    ("Description", "description"),
    ("Type", "type"),
    ("Format", "format"),
    ("Title", "title"),
    ("Maximum", "maximum"),
    ("ExclusiveMaximum", "exclusiveMaximum"),
    ("Minimum", "minimum"),
    ("ExclusiveMinimum", "exclusiveMinimum"),
    ("MaxLength", "maxLength"),
    ("MinLength", "minLength"),
    ("Pattern", "pattern"),
    ("MaxItems", "maxItems"),
    ("MinItems", "minItems"),
    ("UniqueItems", "uniqueItems"),
    ("MultipleOf", "multipleOf"),
    ("Required", "required"),
    ("Items", "items"),
    ("Properties", "properties"),
    ("ExternalDocs", "externalDocs"),
    ("Example", "example"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"),
    ("XValidations", "x-kubernetes-validations"),
];

/// Checks an `openAPIV3Schema`; `path` is that of the field which holds it, such as `spec.validation` or
/// `spec.versions[0].schema`.
///
/// CEL expressions are to be checked by the caller if there are no faults.
pub fn validate(schema: &Value, path: &FieldPath, status: StatusPart) -> FieldErrors {
    let path = path.child("openAPIV3Schema");
    if crate::schema::is_deeper_than(schema, MAX_DEPTH) {
        return vec![FieldError::forbidden(&path, format!("must not nest more than {MAX_DEPTH} levels deep"))];
    }
    let node = Node::of(schema);
    let place = Place::start(&path);
    let mut faults = Faults::default();
    if status == StatusPart::Subresource {
        check_root_of_status(node, &path, &mut faults);
    }
    if node.flag("nullable") {
        faults.forbidden(&place.child("nullable"), "nullable cannot be true at the root");
    }
    // What cannot be compiled is told apart by `accepted` with a better place.
    let unstructured = match compile(schema) {
        Ok(compiled) => {
            let misshapen = shape::check(node, &place);
            if misshapen.is_empty() {
                defaults::check(&compiled, &place, &mut faults);
            }
            faults.extend(misshapen);
            None
        }
        Err(fault) => Some(fault),
    };
    accepted::check(node, &place, &mut faults);
    let mut errors = faults.into_errors();
    if let (true, Some(fault)) = (errors.is_empty(), unstructured) {
        errors.push(FieldError::invalid(&path, &"".into(), fault));
    }
    errors
}

fn check_root_of_status(node: Node<'_>, path: &FieldPath, faults: &mut Faults) {
    let place = Place::start(path);
    let kind = node.text("type");
    if !kind.is_empty() && kind != "object" {
        let detail =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        return faults.invalid(&place.child("type"), &kind.into(), detail);
    }
    let is_allowed = |name: &str| ALLOWED_AT_ROOT.iter().any(|(_, allowed)| *allowed == name);
    let says_more = node.spoken().any(|name| !is_allowed(name)) || node.value("default").is_some();
    if says_more {
        let names: Vec<&str> = ALLOWED_AT_ROOT.iter().map(|(name, _)| *name).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        faults.invalid(&place, &node.to_value(), detail);
    }
}

/// The formats in a schema that mean nothing for the types they are given with, sorted, each once: clients are warned.
pub fn unrecognized_formats(schema: &Value) -> Vec<String> {
    let mut formats = Vec::new();
    if !crate::schema::is_deeper_than(schema, MAX_DEPTH) {
        collect_formats(Node::of(schema), &mut formats);
    }
    formats.sort_unstable();
    formats.dedup();
    formats
}

fn collect_formats(node: Node<'_>, formats: &mut Vec<String>) {
    let format = node.text("format");
    let kind = crate::schema::SchemaType::parse(node.text("type"));
    if !format.is_empty() && !format::is_known_for(format, kind) {
        formats.push(format.to_owned());
    }
    let extra = match node.extra() {
        Some(Extra::Values(values)) => Some(values),
        _ => None,
    };
    let nested = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|operator| node.schemas(operator));
    let single = [node.item(), node.schema("not"), extra].into_iter().flatten();
    for below in node.named("properties").map(|(_, field)| field).chain(nested).chain(single) {
        collect_formats(below, formats);
    }
}
